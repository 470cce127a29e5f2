"""The state of a stack in a bucket: the same guarantees between machines, by conditional writes alone."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bedplate.engine import EmbeddedEngine
from bedplate.engine.bucket import Bucket
from bedplate.engine.history import Begun
from bedplate.engine.objects import Conflict, S3Objects
from bedplate.engine.state import Begin, PendingOperation, Put, ResourceState, Settle
from bedplate.engine.storage import Storage, history, load, opened
from bedplate.problems import BedplateError
from engine_cloud import Bench, build, ops, refused
from engine_objects import FakeObjects


def bench_on(objects: FakeObjects, tmp_path: Path, environment: dict[str, str] | None = None) -> Bench:
    """A bench whose stack is in a bucket."""
    bench = Bench(tmp_path / "dev", secrets=environment is not None)
    registry = bench.engine._registry
    bench.engine = EmbeddedEngine(
        registry, environment=environment or {}, place=lambda stack: Bucket(objects, stack.folder)
    )
    return bench


def resource(name: str) -> ResourceState:
    """A resource as a step would record it."""
    return ResourceState(f"urn:pulumi:dev::shop::test:index:Thing::{name}", "test:index:Thing", True, id=f"{name}-1")


def test_a_stack_lives_in_a_bucket_as_it_does_in_a_folder(tmp_path: Path) -> None:
    """Up, change, no change, destroy: the same steps, a version 3 state, and nothing left but lease and history."""
    objects = FakeObjects()
    bench = bench_on(objects, tmp_path)
    assert ops(bench.up([{"name": "a"}, {"name": "b", "refs": ["a"]}])) == ["create a", "create b"]
    assert ops(bench.up([{"name": "a", "props": {"size": 4}}])) == ["update a", "delete b"]
    state = json.loads(objects.objects["state.json"].data)
    assert state["version"] == 3
    written = len(objects.calls)
    assert ops(bench.up([{"name": "a", "props": {"size": 4}}])) == ["same a"]
    assert {key for _, key, _ in objects.calls[written:]} == {"lock.json"}
    assert not [key for key in objects.objects if key.startswith("journal/")]
    assert ops(bench.engine.destroy(bench.stack)) == ["delete a"]
    assert bench.engine.outputs(bench.stack) is None
    assert sorted(objects.objects) == [*(f"history/{n:08}" for n in (1, 2, 3)), "lock.json", "state.json"]
    assert not tmp_path.joinpath("dev").exists()


def test_a_second_machine_is_refused_and_named_until_the_lease_ends(tmp_path: Path) -> None:
    """BP210 names who holds it; a lease that was given back or has expired is free."""
    objects = FakeObjects()
    with Bucket(objects, tmp_path).held("up", time.time):
        with pytest.raises(BedplateError) as caught, Bucket(objects, tmp_path).held("destroy", time.time):
            pass
        assert (caught.value.problems[0].code, caught.value.exit_code) == ("BP210", 6)
        with Bucket(objects, tmp_path).held("up", lambda: time.time() + 61):
            pass
    with Bucket(objects, tmp_path).held("up", time.time):
        pass


def test_a_slow_holder_meets_the_fence_and_changes_nothing_more(tmp_path: Path) -> None:
    """Its lease expired and was taken over: its next line is refused, and so is its state; what it began is settled."""
    objects, now = FakeObjects(), [1000.0]

    def run_slowly() -> None:
        with opened(Bucket(objects, tmp_path), Begun("up", 1.0), "", lambda: now[0], {}) as storage:
            storage.ledger.record(Begin(PendingOperation("creating", resource("a"))))
            now[0] += 61
            with opened(Bucket(objects, tmp_path), Begun("up", 2.0), "", lambda: now[0], {}) as other:
                assert [p.type for p in other.ledger.snapshot.pending.values()] == ["creating"]
                other.ledger.record(Put(resource("a")), Settle(resource("a").urn))
            storage.ledger.record(Put(resource("b")))

    refused(run_slowly, "BP250")
    found = load(Bucket(objects, tmp_path), {}).snapshot
    assert [r.name for r in found.resources.values()] == ["a"]
    assert found.pending == {}
    assert [u.result for u in history(Bucket(objects, tmp_path))] == ["succeeded", "interrupted"]


def test_a_holder_without_a_line_yet_is_fenced_too(tmp_path: Path) -> None:
    """What has not written anything when its lease is taken over cannot begin afterwards."""
    objects, now = FakeObjects(), [1000.0]
    first, second = Bucket(objects, tmp_path), Bucket(objects, tmp_path)
    with first.held("up", lambda: now[0]):
        storage = Storage(first, Begun("up", 1.0), "", lambda: now[0], {})
        now[0] += 61
        with second.held("up", lambda: now[0]):
            pass
        refused(lambda: storage.ledger.record(Put(resource("b"))), "BP250")


def test_a_fence_stays_for_thirty_days(tmp_path: Path) -> None:
    """As long as whoever it keeps out may still wake up, and not for ever."""
    objects, now = FakeObjects(), [1000.0]

    def fences() -> int:
        return sum(key.startswith("journal/") for key in objects.objects)

    lock = Bucket(objects, tmp_path).held("up", lambda: now[0])
    lock.__enter__()  # and never left, as by a process that dies
    now[0] += 61
    for after, left in ((1.0, 1), (29 * 86400, 1), (2 * 86400, 0)):
        now[0] += after
        with opened(Bucket(objects, tmp_path), Begun("up", 2.0), "", lambda: now[0], {}):
            pass
        assert fences() == left


def test_a_lease_that_could_not_be_renewed_in_time_is_not_used(tmp_path: Path) -> None:
    """Without the bucket's word the holder stops by its own clock, before anyone may take over."""
    objects = FakeObjects()
    bucket = Bucket(objects, tmp_path, lease_seconds=0.0)
    with bucket.held("up", time.time):
        storage = Storage(bucket, Begun("up", 1.0), "", time.time, {})
        refused(lambda: storage.ledger.record(Put(resource("a"))), "BP250")


def test_a_lease_is_renewed_while_its_holder_works(tmp_path: Path) -> None:
    """A run that takes longer than the lease keeps it."""
    objects = FakeObjects()
    bucket = Bucket(objects, tmp_path, lease_seconds=0.3)
    with opened(bucket, Begun("up", 1.0), "", time.time, {}) as storage:
        time.sleep(0.7)
        storage.ledger.record(Put(resource("a")))
        with pytest.raises(BedplateError), Bucket(objects, tmp_path).held("up", time.time):
            pass
    assert load(Bucket(objects, tmp_path), {}).snapshot.resources


def test_an_answer_that_got_lost_is_no_conflict(tmp_path: Path) -> None:
    """The client repeats a write whose answer it never saw, and meets itself: the run goes on."""

    class Always(random.Random):
        def random(self) -> float:
            return 0.0

    objects = FakeObjects()
    objects.lose = Always()
    bench = bench_on(objects, tmp_path)
    assert ops(bench.up([{"name": "a"}])) == ["create a"]
    assert ops(bench.up([{"name": "a", "props": {"size": 2}}])) == ["update a"]
    assert [update.result for update in bench.engine.history(bench.stack)] == ["succeeded", "succeeded"]


def test_a_storage_that_ignores_conditions_is_refused(tmp_path: Path) -> None:
    """It would let two runs in at once, so that not one is let in."""
    objects = FakeObjects()
    objects.conditional = False
    refused(lambda: bench_on(objects, tmp_path).up([{"name": "a"}]), "BP255")


def test_secrets_of_a_shared_state_need_a_passphrase(tmp_path: Path) -> None:
    """A key in a file of one machine would lock out all others."""
    objects = FakeObjects()
    with pytest.raises(BedplateError) as caught:
        bench_on(objects, tmp_path, {"OTHER": ""}).up([{"name": "a"}])
    assert "BP214" in {problem.code for problem in caught.value.problems}
    bench = bench_on(objects, tmp_path, {"PULUMI_CONFIG_PASSPHRASE": "correct horse"})
    bench.up([{"name": "a"}])
    assert b"hunter2" not in b"".join(found.data for found in objects.objects.values())
    assert not tmp_path.joinpath("dev").exists()


@pytest.mark.parametrize("seed", range(25))
def test_of_runs_that_race_and_stall_no_acknowledged_line_is_lost(seed: int, tmp_path: Path) -> None:
    """Three machines whose leases expire at any instant and whose answers get lost: all that was begun is known."""
    chance, now = random.Random(seed), [1000.0]
    effects: list[str] = []

    def before(_verb: str, _key: str) -> None:
        time.sleep(chance.uniform(0, 0.0004))
        # Now and then a machine sleeps: by the next instant its lease has expired.
        now[0] += 61 if chance.random() < 0.06 else 0.1

    objects = FakeObjects(before)
    objects.lose = random.Random(seed + 1)

    def work(machine: int) -> None:
        for number in range(4):
            try:
                with opened(Bucket(objects, tmp_path), Begun("up", now[0]), "", lambda: now[0], {}) as storage:
                    made = resource(f"{machine}-{number}")
                    storage.ledger.record(Begin(PendingOperation("creating", made)))
                    effects.append(made.urn)
                    storage.ledger.record(Put(made), Settle(made.urn))
            except BedplateError as error:
                codes.add(error.problems[0].code)

    codes: set[str] = set()
    threads = [threading.Thread(target=work, args=(machine,)) for machine in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    objects.before, objects.lose = (lambda _verb, _key: None), None
    now[0] += 100
    with opened(Bucket(objects, tmp_path), Begun("up", now[0]), "", lambda: now[0], {}) as storage:
        known = {r.urn for r in storage.ledger.snapshot.resources.values()} | set(storage.ledger.snapshot.pending)
    assert set(effects) <= known
    assert effects
    assert codes <= {"BP210", "BP250", "BP251"}
    numbers = [update.number for update in history(Bucket(objects, tmp_path))]
    assert numbers == list(range(len(numbers), 0, -1))


@pytest.mark.parametrize("point", range(1, 26))
def test_a_machine_that_dies_at_any_call_loses_nothing(point: int, tmp_path: Path) -> None:
    """The run ends at one call to the bucket; the next one knows all that was begun and ends where it should."""
    objects, left, now = FakeObjects(), [point], [1000.0]

    class Died(BaseException):
        pass

    def before(_verb: str, _key: str) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise Died

    bench_on(objects, tmp_path).up([{"name": "a"}, {"name": "c"}])
    objects.before = before
    effects: list[ResourceState] = []
    with suppress(Died), opened(Bucket(objects, tmp_path), Begun("up", 2.0), "", lambda: now[0], {}) as storage:
        storage.ledger.record(Begin(PendingOperation("creating", resource("b"))))
        effects.append(resource("b"))
        storage.ledger.record(Put(resource("b")), Settle(resource("b").urn))
    objects.before = lambda _verb, _key: None
    now[0] = time.time() + 100
    with opened(Bucket(objects, tmp_path), Begun("up", now[0]), "", lambda: now[0], {}) as storage:
        found = storage.ledger.snapshot
        known = {r.name for r in found.resources.values()} | {p.resource.name for p in found.pending.values()}
    assert known >= {"a", "c", *(r.name for r in effects)}
    assert len(found.resources) + len(found.pending) <= 5
    assert not [key for key, at in objects.objects.items() if key.startswith("journal/") and b"fence" not in at.data]


def test_the_journal_of_a_step_is_as_small_in_a_large_stack(tmp_path: Path) -> None:
    """What one changed resource costs does not depend on how many there are."""
    sizes = []
    for count in (5, 60):
        objects = FakeObjects()
        bench = bench_on(objects, tmp_path)
        specs = [{"name": f"r{n:03}"} for n in range(count)]
        bench.up(specs)
        objects.calls.clear()
        bench.up([{**specs[0], "props": {"size": 2}}, *specs[1:]])
        sizes.append(sum(size for _, key, size in objects.calls if key.startswith("journal/")))
    assert abs(sizes[0] - sizes[1]) < 20


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server on loopback."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_the_calls_are_those_of_s3(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a server that speaks S3 over HTTP: conditions, pages, a whole life of a stack, and a missing bucket."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3)
    client = boto3.client("s3")
    client.create_bucket(Bucket="states")
    objects = S3Objects(client, "states", "some/")
    tag = objects.create("k", b"1")
    for call in (lambda: objects.create("k", b"2"), lambda: objects.replace("k", b"2", '"0"')):
        with pytest.raises(Conflict):
            call()
    objects.replace("k", b"3", tag)
    for number in range(1005):
        client.put_object(Bucket="states", Key=f"some/many/{number:04}", Body=b"")
    assert len(objects.keys("many/")) == 1005

    bench = Bench(tmp_path / "dev", secrets=True)
    environment = {"BEDPLATE_STATE": "s3://states/agents", "PULUMI_CONFIG_PASSPHRASE": "p"}
    engine = EmbeddedEngine(bench.engine._registry, environment=environment)
    assert ops(engine.up(bench.stack, build([{"name": "a"}]), {})) == ["create a"]
    assert ops(engine.up(bench.stack, build([{"name": "a"}]), {})) == ["same a"]
    keys = [found["Key"] for found in client.list_objects_v2(Bucket="states", Prefix="agents/")["Contents"]]
    assert keys == [
        f"agents/shop/dev/{name}" for name in ("history/00000001", "lock.json", "state.json", "state.json.bak")
    ]
    assert ops(engine.destroy(bench.stack)) == ["delete a"]

    elsewhere = EmbeddedEngine(bench.engine._registry, environment={"BEDPLATE_STATE": "s3://nowhere"})
    assert "nowhere" in refused(lambda: elsewhere.outputs(bench.stack), "BP251").summary
    wrong = EmbeddedEngine(bench.engine._registry, environment={"BEDPLATE_STATE": "nowhere"})
    refused(lambda: wrong.outputs(bench.stack), "BP254")
