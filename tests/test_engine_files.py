"""The files of a stack: state, journal, lock, a full disk, damage."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.journal import DamagedJournal, Journal, read_journal
from bedplate.engine.places import Folder
from bedplate.engine.secrets import Keyring
from bedplate.problems import BedplateError
from engine_cloud import Bench, bench_in, ops, refused

TESTS = Path(__file__).parent


def test_importing_the_engine_and_reading_a_state_imports_no_pulumi(tmp_path: Path) -> None:
    """Commands that only look at a stack do not pay for the SDK."""
    bench_in(tmp_path).up([{"name": "a"}])
    code = (
        "import sys; from pathlib import Path; from bedplate.engine import EmbeddedEngine, StackRef\n"
        "e = EmbeddedEngine({}); s = StackRef('shop', 'dev', Path(sys.argv[1]))\n"
        "assert [r.name for r in e.resources(s)] == ['shop-dev', 'a'], e.resources(s)\n"
        "assert e.outputs(s) == {}\n"
        "assert not {'pulumi', 'grpc', 'cryptography'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "dev")], check=True)


def test_state_is_a_pulumi_deployment_of_version_3(tmp_path: Path) -> None:
    """Providers, parents and dependencies precede, references exist, and every live URN is there once."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "box", "type": "Component"}, {"name": "a", "parent": "box"}, {"name": "b", "refs": ["a"]}])
    state = json.loads((bench.stack.folder / "state.json").read_text())
    assert state["version"] == 3
    resources = state["deployment"]["resources"]
    seen: set[str] = set()
    for resource in resources:
        assert {resource.get("parent", ""), *resource.get("dependencies", ())} - {""} <= seen
        if resource["urn"].count("test:index:Thing"):
            provider, _, provider_id = resource["provider"].rpartition("::")
            assert [r["id"] for r in resources if r["urn"] == provider] == [provider_id]
        seen.add(resource["urn"])
    assert len(seen) == len(resources)
    assert resources[-1]["propertyDependencies"]["refs"] == [resources[-2]["urn"]]
    assert "urn:pulumi:dev::shop::test:index:Component$test:index:Thing::a" in seen


def test_fields_of_other_engines_survive_an_update(tmp_path: Path) -> None:
    """A field that this engine does not know stays in the state it came with."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    state = bench.state()
    state["resources"][-1]["sourcePosition"] = "project:///main.py#3,1"
    bench.write_state(state)
    bench.up([{"name": "a", "props": {"size": 4}}])
    assert bench.state()["resources"][-1]["sourcePosition"] == "project:///main.py#3,1"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"version": 3, "deployment": {"resour', "BP211"),
        ("[]", "BP211"),
        ('{"version": 3, "deployment": {"resources": [{"type": "x"}]}}', "BP211"),
        ('{"version": 3, "deployment": {"resources": [3]}}', "BP211"),
        ('{"version": 9, "deployment": {}}', "BP212"),
        ("", "BP211"),
    ],
)
def test_a_damaged_state_is_refused_with_the_way_to_mend_it(content: str, code: str, tmp_path: Path) -> None:
    """Cut short, wrong or from the future: every command refuses it, leaves it alone, and names the backup."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    bench.up([{"name": "a", "props": {"size": 2}}])
    path = bench.stack.folder / "state.json"
    path.write_text(content)
    if code == "BP212":
        (bench.stack.folder / "state.json.sha256").unlink()
    for call in (lambda: bench.up([]), lambda: bench.preview([]), lambda: bench.engine.destroy(bench.stack)):
        problem = refused(call, code)
        assert code == "BP212" or "state.json.bak" in problem.fix
    refused(lambda: bench.engine.outputs(bench.stack), code)
    assert path.read_text() == content
    assert len(bench.cloud.things) == 1
    path.with_name("state.json.bak").replace(path)
    assert ops(bench.up([{"name": "a", "props": {"size": 2}}])) == ["update a"]


def test_a_journal_cut_short_is_replayed_up_to_the_cut_and_a_damaged_one_refused(tmp_path: Path) -> None:
    """A line without its end was never acted on; a broken line in the middle is not guessed at."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    path = bench.stack.folder / "journal.jsonl"
    base = hashlib.sha256((bench.stack.folder / "state.json").read_bytes()).hexdigest()
    lines = journal_of(base, ["drop", "urn:pulumi:dev::shop::test:index:Thing::a", ""])
    path.write_bytes(lines + b'["0123456789abcdef",{"changes": [["put", {"ur')
    assert [r.name for r in bench.engine.resources(bench.stack)] == ["shop-dev"]
    head, drop, _ = lines.split(b"\n")
    path.write_bytes(head + b"\n" + drop[:40] + b"\n" + drop + b"\n")
    assert str(refused(lambda: bench.up([]), "BP211").where).endswith("journal.jsonl:2")
    path.write_bytes(journal_of("0" * 64, ["settle", "x"]))
    refused(lambda: bench.up([]), "BP215")
    path.write_bytes(lines[:20])
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def journal_of(base: str, *changes: list[Any]) -> bytes:
    """A journal as a run writes it."""
    lines: list[bytes] = []
    begun = {"kind": "up", "started": 1.0}
    journal = Journal(_Lines(lines), base, begun, Keyring(Path(), None, {}))
    journal.append([[change] for change in changes])
    return b"".join(lines)


@dataclass
class _Lines:
    lines: list[bytes]

    def append(self, data: bytes) -> None:
        self.lines.append(data)

    def close(self, *, remove: bool) -> None:
        self.lines.clear()


def test_steps_that_end_together_are_written_together(tmp_path: Path) -> None:
    """While one write is under way the others wait and go into the next one; each is durable when its call returns."""
    from bedplate.engine.state import Put, ResourceState, Snapshot
    from bedplate.engine.storage import Ledger, Loaded

    class Slow(_Lines):
        def append(self, data: bytes) -> None:
            time.sleep(0.05)
            self.lines.append(data)

    lines: list[bytes] = []
    keys = Keyring(tmp_path, None, {})
    ledger = Ledger(Loaded(Snapshot(), keys), Journal(Slow(lines), "", {"kind": "up", "started": 1.0}, keys))

    def step(number: int) -> None:
        urn = f"urn:pulumi:dev::shop::t::{number}"
        ledger.record(Put(ResourceState(urn, "t", False)))
        assert any(urn.encode() in data for data in lines)
        assert ledger.snapshot.live(urn)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(step, range(16)))
    assert len(lines) < 6
    record = read_journal(b"".join(lines), "j")
    assert record is not None
    assert len(record.changes) == 16


@pytest.mark.parametrize("name", ["state.json", "journal.jsonl"])
def test_a_flipped_byte_is_found_wherever_it_is(name: str, tmp_path: Path) -> None:
    """Each byte of the state and of a journal, flipped: refused, or without any consequence. Never believed."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    bench.up([{"name": "a"}, {"name": "b"}])
    base = hashlib.sha256((bench.stack.folder / "state.json").read_bytes()).hexdigest()
    drop = ["drop", "urn:pulumi:dev::shop::test:index:Thing::a", ""]
    (bench.stack.folder / "journal.jsonl").write_bytes(journal_of(base, drop))
    right = bench.engine.resources(bench.stack)
    assert len(right) == 2
    path = bench.stack.folder / name
    whole = path.read_bytes()
    place, refusals = Folder(bench.stack.folder), 0
    for index in range(0, len(whole), 1 if name.startswith("journal") else 37):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1 << index % 8]) + whole[index + 1 :])
        files = place.read()
        try:
            record = read_journal(files.journal, "j")
        except DamagedJournal:
            refusals += 1
        else:
            refusals += not files.intact
            assert not files.intact or (record is not None and record.changes == (drop,)), index
    assert refusals > len(whole) / 40


def test_destroy_deletes_in_reverse_respects_protect_and_leaves_only_the_history(tmp_path: Path) -> None:
    """Nothing is deleted while something protected is in the stack; afterwards only the history is left."""
    bench = bench_in(tmp_path)
    program = [{"name": "a", "options": {"protect": True}}, {"name": "b", "refs": ["a"]}]
    bench.up(program)
    assert refused(lambda: bench.engine.destroy(bench.stack), "BP206").summary.startswith("a is protected")
    assert len(bench.cloud.things) == 2
    program[0] = {"name": "a"}
    bench.up(program)
    assert ops(bench.engine.destroy(bench.stack)) == ["delete b", "delete a"]
    assert bench.cloud.violations == []
    assert [path.name for path in bench.stack.folder.iterdir()] == ["history.jsonl"]


SLOW = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from engine_cloud import Bench, Cloud, Thing, bench_in, build, ops, refused
def program():
    print("running", flush=True)
    time.sleep(60)
bench = Bench(Path(sys.argv[1]))
bench.engine.up(bench.stack, program, {})
"""


def test_a_second_update_is_refused_and_a_dead_owner_is_not_in_the_way(tmp_path: Path) -> None:
    """The lock names its owner and exits with 6; when the owner is killed the next update runs at once."""
    bench = bench_in(tmp_path)
    command = [sys.executable, "-c", SLOW, str(bench.stack.folder), str(TESTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "running\n"
        with pytest.raises(BedplateError) as caught:
            bench.up([])
        lock = json.loads((bench.stack.folder / "lock.json").read_text())
        assert ops(bench.preview([{"name": "a"}])) == ["create a"]
        owner.kill()
    assert caught.value.exit_code == 6
    assert f"process {owner.pid} of" in caught.value.problems[0].summary
    assert {"pid", "host", "user", "purpose", "started", "expires"} <= set(lock)
    assert ops(bench.up([{"name": "a"}])) == ["create a"]
    assert not (bench.stack.folder / "lock.json").exists()


def test_a_lease_of_another_machine_is_respected_until_it_ends(tmp_path: Path) -> None:
    """On a shared folder the lease decides, since the kernel of one machine knows nothing of the other's processes."""
    bench = bench_in(tmp_path)
    bench.stack.folder.mkdir()
    lock = {"pid": 1, "user": "u", "host": "elsewhere.invalid", "purpose": "up", "started": "t", "expires_at": 9e12}
    (bench.stack.folder / "lock.json").write_text(json.dumps(lock))
    assert "elsewhere.invalid" in refused(lambda: bench.up([]), "BP210").summary
    (bench.stack.folder / "lock.json").write_text(json.dumps({**lock, "expires_at": 1}))
    bench.up([])


def test_of_many_updates_at_once_one_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    """However many race for it, no two are ever inside."""
    from bedplate.engine.lock import held

    inside, most, entered = 0, 0, 0
    guard = threading.Lock()

    def race() -> None:
        nonlocal inside, most, entered
        for _ in range(40):
            try:
                with held(tmp_path / "lock.json", "up", lambda: 1.0):
                    with guard:
                        inside, entered = inside + 1, entered + 1
                        most = max(most, inside)
                    with guard:
                        inside -= 1
            except BedplateError as error:
                codes.append(error.problems[0].code)

    codes: list[str] = []
    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, entered + len(codes)) == (1, 240)
    assert set(codes) <= {"BP210"}


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from engine_cloud import Bench, Cloud, Thing, bench_in, build, ops, refused
from bedplate.problems import BedplateError
bench = Bench(Path(sys.argv[1]), secrets=False)
bench.up([{"name": "a"}])
before = (bench.stack.folder / "state.json").read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    bench.up([{"name": "a"}, *({"name": f"n{i}", "props": {"text": "x" * 300}} for i in range(20))])
except BedplateError as error:
    assert error.problems[0].code == "BP213", error
    assert (bench.stack.folder / "state.json").read_bytes() == before
    print(error.problems[0].summary)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
bench.up([{"name": "a"}, *({"name": f"n{i}", "props": {"text": "x" * 300}} for i in range(20))])
assert len({t["name"] for t in bench.cloud.things.values()}) == 21
state = {r["id"] for r in bench.state()["resources"] if r["type"] == "test:index:Thing"}
assert len(state) == 21, state
assert bench.state()["pending_operations"] == []
"""


@pytest.mark.parametrize("room", [10, 3000, 9000])
def test_a_full_disk_is_a_clear_error_and_the_next_update_goes_on(room: int, tmp_path: Path) -> None:
    """No byte more can be written: the old state is intact, the error says so, and nothing is forgotten."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "dev"), str(TESTS), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cannot write ")


def test_an_interrupted_create_is_finished_even_when_the_program_has_dropped_it(tmp_path: Path) -> None:
    """What may exist is made known before it is deleted, so that nothing is orphaned; an event tells of it."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    state = bench.state()
    resource = {**state["resources"][-1]}
    resource |= {"urn": resource["urn"][:-1] + "b", "inputs": {"name": "b", "size": 1}, "outputs": {}}
    del resource["id"]
    bench.write_state({**state, "pending_operations": [{"type": "creating", "resource": resource}]})
    bench.events.clear()
    assert ops(bench.up([{"name": "a"}])) == ["same a", "delete b"]
    assert [e.message for e in bench.events if e.kind == "log"] == [
        "b: creating was interrupted; it was created again as b-2"
    ]
    assert ("create", "b") in bench.cloud.calls
    assert list(bench.cloud.things) == ["a-1"]


def test_a_reader_beside_a_running_update_always_sees_a_whole_state(tmp_path: Path) -> None:
    """Reading takes no lock and never finds state and journal out of step."""
    bench = Bench(tmp_path / "dev", secrets=False)
    bench.up([{"name": "a"}])
    done = threading.Event()

    def write() -> None:
        for n in range(15):
            bench.up([{"name": "a", "props": {"size": n}}, {"name": "b", "props": {"zone": str(n)}}])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert {"shop-dev", "a"} <= {r.name for r in bench.engine.resources(bench.stack)}
    writer.join()


def test_a_lock_on_a_removed_file_is_no_lock(tmp_path: Path) -> None:
    """Who opened the lock's file before its owner removed it holds nothing, also when there is a new file by then."""
    import os

    from bedplate.engine.lock import is_current

    path = tmp_path / "lock.json"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    assert is_current(fd, path)
    path.unlink()
    assert not is_current(fd, path)
    path.write_text("")
    assert not is_current(fd, path)
    os.close(fd)
