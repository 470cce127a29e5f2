"""The Pulumi CLI behind the engine's protocol: real runs where `pulumi` is on PATH, and what is told without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bedplate.engine import Created, Engine, Properties, StackRef
from bedplate.engine.api import Options
from bedplate.engine.pulumi import PulumiEngine
from bedplate.engine.pulumievents import problem_of
from bedplate.problems import BedplateError
from cli_support import bedplate, ok
from engine_cloud import Bench, Thing, build, ops, refused
from pulumi_support import CliBench, cli_bench, environment, needs_cli

A, B = {"name": "a"}, {"name": "b", "refs": ["a"]}


class Slow(Thing):
    """A `Thing` whose create waits until it may go on."""

    type: ClassVar[str] = "test:index:Slow"
    started: ClassVar[threading.Event]
    go_on: ClassVar[threading.Event]

    def create(self, news: Properties) -> Created:
        self.started.set()
        assert self.go_on.wait(30)
        return super().create(news)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[CliBench]:
    """The CLI on an empty cloud."""
    Slow.started, Slow.go_on = threading.Event(), threading.Event()
    with cli_bench(tmp_path / "dev", (Thing, Slow)) as found:
        yield found
        Slow.go_on.set()


@needs_cli
def test_a_stack_lives_from_its_first_preview_to_its_end(bench: CliBench, tmp_path: Path) -> None:
    """Preview, up, another up, what is there, and destroy give what the embedded engine gives, and leave nothing."""
    engine: Engine = bench.engine
    assert ops(bench.preview([A, B], exports={"at": "a.address", "key": "a.token"})) == ["create a", "create b"]
    assert not bench.stack.folder.exists()
    assert engine.outputs(bench.stack) is None
    first = bench.up([A, B], exports={"at": "a.address", "key": "a.token"})
    assert ops(first) == ["create a", "create b"]
    assert first.outputs == {"at": "at/a-1", "key": "[secret]"} == engine.outputs(bench.stack)
    started = [event.step.name for event in bench.events if event.kind == "started"]
    assert started[-3:] == ["shop-dev", "a", "b"]
    changed = bench.preview([{**A, "props": {"size": 2}}, B]).changes
    assert [(step.op, dict(step.diff)) for step in changed] == [("update", {"size": "update"})]
    assert [step.name for step in engine.resources(bench.stack)] == ["shop-dev", "a", "b"]
    told = (engine.resources(bench.stack), bench.events, engine.export_state(bench.stack))
    assert "hunter2" not in repr(told)
    assert [(u.number, u.kind, u.result, dict(u.counts)) for u in engine.history(bench.stack)] == [
        (1, "up", "succeeded", {"create": 3})
    ]
    assert ops(engine.destroy(bench.stack)) == ["delete b", "delete a"]
    assert bench.cloud.things == {}
    assert list(bench.stack.folder.iterdir()) == []


@needs_cli
def test_what_fails_is_told_in_our_words_and_pulumis_are_kept(bench: CliBench) -> None:
    """A provider's refusal has its own code, a program's exception its line, and the original is its cause."""
    bench.cloud.fail = {("create", "b")}
    with pytest.raises(BedplateError) as caught:
        bench.up([A, B])
    (problem,) = caught.value.problems
    assert (problem.code, problem.summary) == ("BP205", "b: the cloud refuses to create")
    assert "[BP205]" in str(caught.value.__cause__)
    assert [event.step.name for event in bench.events if event.kind == "failed"] == ["b"]
    refused(lambda: bench.up([{**A, "props": {"size": -1}}]), "BP205")
    refused(lambda: bench.up([A, A]), "BP204")

    def broken() -> None:
        raise ValueError("no such shelf")

    problem = refused(lambda: bench.engine.up(bench.stack, broken, {}), "BP201")
    assert problem.summary == "the program raised ValueError: no such shelf"
    assert str(problem.where).rpartition("/")[2].startswith("test_engine_pulumi.py:")
    assert sorted(bench.cloud.things) == ["a-1"]


@needs_cli
def test_stopping_lets_the_running_step_finish_and_a_second_run_is_locked_out(bench: CliBench) -> None:
    """While a run is under way another is refused (BP210); after a stop the running step is recorded, the next not."""
    raised: list[BaseException] = []
    slow = {"name": "s", "type": "test:index:Slow"}

    def run() -> None:
        try:
            bench.up([slow, {"name": "later", "after": ["s"]}])
        except BedplateError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert Slow.started.wait(30)
    other = PulumiEngine(environment=bench.environment)
    assert "state.key" not in refused(lambda: other.up(bench.stack, build([A]), {}), "BP210").summary
    bench.engine.cancel()
    Slow.go_on.set()
    thread.join(30)
    assert isinstance(raised[0], BedplateError)
    assert raised[0].problems[0].code == "BP231"
    assert [step.name for step in bench.engine.resources(bench.stack)] == ["shop-dev", "s"]
    assert list(bench.cloud.things) == ["s-1"]


@needs_cli
def test_drift_is_told_apart_from_intent(bench: CliBench) -> None:
    """A refresh tells what differs and what is gone as `refresh` steps; its preview leaves the state as it is."""
    bench.up([A, {"name": "gone"}])
    before = bench.state()["resources"]
    ids = {id.partition("-")[0]: id for id in bench.cloud.things}
    bench.cloud.things[ids["a"]]["size"] = 7
    del bench.cloud.things[ids["gone"]]
    found = bench.engine.refresh(bench.stack, preview=True)
    assert found.changes == ()
    assert sorted((s.name, s.note, "size" in s.diff) for s in found.drift) == [("a", "", True), ("gone", "gone", False)]
    assert bench.state()["resources"] == before
    assert sorted(s.name for s in bench.engine.refresh(bench.stack).drift) == ["a", "gone"]
    assert [step.name for step in bench.engine.resources(bench.stack)] == ["shop-dev", "a"]


@needs_cli
def test_a_state_goes_from_one_engine_to_the_other_and_back(bench: CliBench, tmp_path: Path) -> None:
    """What one engine exports the other imports: then nothing is to be done, and secrets can still be opened."""
    ours = Bench(tmp_path / "ours", bench.cloud)
    ours.engine = type(ours.engine)({Thing.type: Thing(bench.cloud)}, environment={"PULUMI_CONFIG_PASSPHRASE": "test"})
    ours.up([A, B], exports={"key": "a.token"})
    bench.engine.import_state(bench.stack, ours.engine.export_state(ours.stack))
    assert bench.up([A, B], exports={"key": "a.token"}).changes == ()
    ours.engine.import_state(ours.stack, bench.engine.export_state(bench.stack))
    assert ours.up([A, B], exports={"key": "a.token"}).changes == ()
    assert ours.engine.outputs(ours.stack) == {"key": "[secret]"} == bench.engine.outputs(bench.stack)


@needs_cli
def test_a_wrong_passphrase_is_told_as_such(bench: CliBench) -> None:
    """Secrets that the passphrase does not open are BP214, as in the embedded engine."""
    bench.up([A])
    other = PulumiEngine(environment={**bench.environment, "PULUMI_CONFIG_PASSPHRASE": "wrong"})
    refused(lambda: other.up(bench.stack, build([A]), {}), "BP214")


@needs_cli
def test_targets_and_excludes_bound_a_run(bench: CliBench) -> None:
    """A target is all that changes; what is excluded from a destroy stays, and so does the stack.

    The CLI's destroy does not exclude what depends on it as well: BP264.
    """
    bench.up([A, {"name": "c"}])
    sized = [{"name": name, "props": {"size": 5}} for name in ("a", "c")]
    options = Options(targets=("c",), parallel=1, message="only c")
    changes = bench.engine.up(bench.stack, build(sized), {}, options=options).changes
    assert [step.name for step in changes] == ["c"]
    assert bench.engine.history(bench.stack)[0].message == "only c"
    nobody = Options(targets=("urn:pulumi:dev::shop::test:index:Thing::nobody",))
    refused(lambda: bench.engine.up(bench.stack, build(sized), {}, options=nobody), "BP232")
    along = Options(excludes=("**a",), target_dependents=True)
    refused(lambda: bench.engine.destroy(bench.stack, options=along), "BP264")
    but_a = bench.engine.destroy(bench.stack, options=Options(excludes=("**a",)))
    assert [(step.op, step.name) for step in but_a.changes] == [("delete", "c")]
    assert {r.name for r in bench.engine.resources(bench.stack)} == {"shop-dev", "a"}


def test_a_missing_or_old_cli_is_refused_by_name(tmp_path: Path) -> None:
    """Without the CLI it is BP260, with one that streams no events BP261, both with the command that mends it."""
    stack = StackRef("shop", "dev", tmp_path / "dev")
    nowhere = {**environment(tmp_path), "PATH": "/usr/bin:/bin"}
    assert (
        "bedplate engine --install"
        in refused(lambda: PulumiEngine(environment=nowhere).up(stack, build([]), {}), "BP260").fix
    )
    old = tmp_path / ".pulumi/bin/pulumi"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\necho v3.99.0\n")
    old.chmod(0o755)
    assert "3.99.0" in refused(lambda: PulumiEngine(environment=nowhere).up(stack, build([]), {}), "BP261").summary


SAID: list[tuple[str, str, str]] = [
    ("error: the stack is currently locked by 1 lock(s).", "BP210", "the stack is currently locked by 1 lock(s)"),
    ("error: incorrect passphrase", "BP214", "incorrect passphrase"),
    ("error: PULUMI_ACCESS_TOKEN must be set for login", "BP262", "PULUMI_ACCESS_TOKEN must be set for login"),
    ("<{%fg 1%}>error: <{%reset%}>odd", "BP263", "odd"),
    ("", "BP263", "the Pulumi CLI failed and did not say why"),
    ("one\nthe shelf is full [BP205]\nmore\nfix: make room", "BP205", "the shelf is full"),
    ("a shelf of no catalogue [BP999]", "BP263", "a shelf of no catalogue [BP999]"),
]


@pytest.mark.parametrize(("text", "code", "summary"), SAID, ids=[code + str(n) for n, (_, code, _) in enumerate(SAID)])
def test_what_the_cli_says_becomes_one_problem(text: str, code: str, summary: str) -> None:
    """Known causes have our codes, everything else is BP263, and what is not ours stays whole in the detail."""
    found: Any = problem_of(text)
    assert (found.code, found.summary) == (code, summary)
    ours = "[BP205]" in text
    assert found.detail == ("more" if ours else text.replace("<{%fg 1%}>", "").replace("<{%reset%}>", ""))
    assert found.fix == ("make room" if ours else "")


def test_a_cli_that_cannot_be_downloaded_is_refused_and_one_that_is_there_is_not_downloaded(tmp_path: Path) -> None:
    """`engine --install` says why it failed, and finds what an earlier one has installed without any network."""
    from pulumi.automation._cmd import sdk_version

    offline = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "https_proxy": "http://127.0.0.1:1"}
    failed = bedplate(tmp_path, "engine", "--install", env=offline)
    assert (failed.code, "BP260" in failed.err) == (1, True)
    there = tmp_path / f".pulumi/versions/{sdk_version}/bin/pulumi"
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text(f"#!/bin/sh\necho v{sdk_version}\n")
    there.chmod(0o755)
    assert str(there) in ok(tmp_path, "engine", "--install", env=offline).err
