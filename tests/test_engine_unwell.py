"""Resources that are not well, change by themselves, or fail with an error that quotes their secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine import Created, EmbeddedEngine, Properties, ReadResult
from bedplate.engine.faults import hushed
from bedplate.engine.provider import Incomplete
from bedplate.engine.state import ResourceState
from bedplate.engine.values import Secret
from bedplate.problems import BedplateError, Problem
from engine_cloud import Bench, PlainThing, Thing, bench_in, build, ops, refused

PASSWORD = "correct horse battery"


class Unwell(PlainThing):
    """Exists, and says while its cloud has `down` that it is not well."""

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        found = super().read(id, inputs, outputs)
        if found is None or "down" not in self.cloud.stopped:
            return found
        raise Incomplete(Created(id, {**found.outputs, "size": 7}), Problem("BP205", "no healthy backend"))


def custom(bench: Bench) -> dict[str, Any]:
    """The only custom resource in state."""
    found: dict[str, Any] = next(r for r in bench.state()["resources"] if r["type"] == Thing.type)
    return found


def unwell(tmp_path: Path) -> Bench:
    """A stack with `a`, which is not well from now on."""
    bench = bench_in(tmp_path)
    bench.engine = EmbeddedEngine({Thing.type: Unwell(bench.cloud)}, environment={})
    bench.up([{"name": "a"}])
    bench.cloud.stopped.add("down")
    return bench


def test_a_refresh_records_what_is_not_well(tmp_path: Path) -> None:
    """A read that finds a resource which is not well records its outputs and the reasons, and a later one clears them;
    the update in between tries again.
    """
    bench = unwell(tmp_path)
    assert ops(bench.engine.refresh(bench.stack, on_event=bench.events.append)) == ["refresh a"]
    assert (custom(bench)["outputs"]["size"], custom(bench)["initErrors"]) == (7, ["no healthy backend"])
    assert any("no healthy backend" in event.message for event in bench.events if event.kind == "log")
    assert ops(bench.preview([{"name": "a"}])) == ["update a"]
    bench.cloud.stopped.clear()
    bench.engine.refresh(bench.stack)
    assert (custom(bench)["outputs"]["size"], "initErrors" in custom(bench)) == (1, False)


def refreshed_first(tmp_path: Path) -> Bench:
    """A stack with `a`, of which Pulumi has noted that it is to be read before updates."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    document = bench.engine.export_state(bench.stack)
    for resource in document["deployment"]["resources"]:
        if resource["type"] == Thing.type:
            resource["refreshBeforeUpdate"] = True
    bench.engine.import_state(bench.stack, document)
    return bench


DRIFT: list[tuple[Callable[[Bench], Any], list[str]]] = [
    (lambda _bench: None, ["refresh a", "same a"]),
    (lambda bench: bench.cloud.things["a-1"].update(size=5), ["refresh a", "update a"]),
    (lambda bench: bench.cloud.things.clear(), ["refresh a", "create a"]),
]


@pytest.mark.parametrize(("drift", "steps"), DRIFT, ids=["nothing", "changed", "gone"])
def test_what_changes_by_itself_is_read_before_updates(
    tmp_path: Path, drift: Callable[[Bench], Any], steps: list[str]
) -> None:
    """`refreshBeforeUpdate` of a state from Pulumi: read, then compared; the mark outlives updates."""
    bench = refreshed_first(tmp_path)
    drift(bench)
    assert ops(bench.preview([{"name": "a"}])) == steps
    assert ops(bench.up([{"name": "a"}])) == steps
    assert [thing["size"] for thing in bench.cloud.things.values()] == [1]
    if steps[1] != "create a":
        assert ops(bench.up([{"name": "a"}])) == ["refresh a", "same a"]


class Talking(Thing):
    """Quotes the password that it was given, or the token that it has made, in what it says is wrong."""

    def __init__(self, bench: Bench, verb: str) -> None:
        super().__init__(bench.cloud)
        self.verb = verb

    def _say(self, verb: str, news: Properties) -> None:
        if self.verb == verb:
            said = f"cannot log in with {news.get('password')} and {news.get('token')}"
            raise BedplateError(Problem("BP205", said, detail=said, fix=said))

    def create(self, news: Properties) -> Created:
        self._say("create", news)
        made = super().create(news)
        if self.verb == "late":
            raise Incomplete(made, Problem("BP205", f"{news['password']} and {made.outputs['token']} do not work"))
        if self.verb == "bug":
            raise ValueError(f"what is {news['password']!r}?")
        return made

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Any:
        self._say("diff", news)
        return super().diff(id, old_inputs, old_outputs, news)

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        self._say("read", outputs)
        return super().read(id, inputs, outputs)

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        self._say("update", {**old_outputs, **news})
        return super().update(id, old_inputs, old_outputs, news)

    def delete(self, id: str, outputs: Properties) -> None:
        self._say("delete", outputs)
        super().delete(id, outputs)


@pytest.mark.parametrize("verb", ["create", "late", "bug", "diff", "update", "read", "delete"])
def test_errors_do_not_tell_secrets(tmp_path: Path, verb: str) -> None:
    """What a provider quotes of secret inputs and outputs is masked in problems, events, the state and the journal."""
    bench = bench_in(tmp_path, secrets=True)
    kind = Talking(bench, "")
    bench.engine = EmbeddedEngine({Thing.type: kind}, environment={})
    spec = {"name": "a", "props": {"password": PASSWORD}, "secret": ["password"]}
    if verb not in {"create", "late", "bug"}:
        bench.up([spec])
    kind.verb = verb
    calls: dict[str, Callable[[], Any]] = {
        "read": lambda: bench.engine.refresh(bench.stack, on_event=bench.events.append),
        "delete": lambda: bench.engine.destroy(bench.stack, on_event=bench.events.append),
    }
    changed = {**spec, "props": {"password": PASSWORD, "size": 2}}
    problem = refused(calls.get(verb, lambda: bench.up([changed])), "BP207" if verb == "bug" else "BP205")
    told = [repr(problem), *map(repr, bench.events)]
    kept = [path.read_text("utf-8") for path in bench.stack.folder.iterdir() if path.name != "state.key"]
    assert "[secret]" in problem.summary
    assert not [text for text in (*told, *kept) if PASSWORD in text or "hunter2" in text]


def test_a_short_secret_is_not_masked_everywhere(tmp_path: Path) -> None:
    """A secret of fewer than four characters would mask half of what is said, and is left."""
    bench = bench_in(tmp_path, secrets=True)
    bench.engine = EmbeddedEngine({Thing.type: Talking(bench, "create")}, environment={})
    program = build([{"name": "a", "props": {"password": "log"}, "secret": ["password"]}])
    assert "cannot log in with log" in refused(lambda: bench.engine.up(bench.stack, program, {}), "BP205").summary


@pytest.mark.parametrize(
    ("secret", "said", "told"),
    [
        ("two\nlines", r"it said 'two\nlines'", "it said '[secret]'"),
        ("''''", "it's bad", "it's bad"),
        (12345, "port 12345 is taken", "port [secret] is taken"),
        ({"deep": ["wood"]}, "no wood here", "no [secret] here"),
        (True, "True enough", "True enough"),
    ],
)
def test_what_a_message_would_quote_of_a_secret(secret: Any, said: str, told: str) -> None:
    """Texts as they are and as `repr` and JSON write them, numbers, at any depth; nothing else."""
    state = ResourceState("urn:pulumi:dev::shop::t::a", "t", True, inputs={"x": Secret(secret)})
    quiet = hushed(BedplateError(Problem("BP205", f"a: {said}")), state)
    assert isinstance(quiet, BedplateError)
    assert quiet.problems[0].summary == f"a: {told}"
