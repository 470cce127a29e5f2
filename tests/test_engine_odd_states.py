"""States and providers that are odd: what another tool has marked, text that is no text, providers that break."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar, cast

import pytest
from pulumi.runtime.proto import provider_pb2

from bedplate.engine import Created, EmbeddedEngine, Properties, StackRef
from bedplate.engine.assets import SIGNATURE
from bedplate.engine.places import place_of
from bedplate.engine.storage import load
from bedplate.engine.values import from_struct, to_struct
from bedplate.engine.wire import diff_of
from engine_cloud import PlainThing, bench_in, build, ops, refused
from plugin_support import install


class Breaking(PlainThing):
    """Raises what no provider should."""

    broken: ClassVar[bool] = False

    def create(self, news: Properties) -> Created:
        if self.broken:
            raise OSError("the line is dead")
        return super().create(news)


class Bytes(PlainThing):
    """Answers with a file's name that is no UTF-8, as Python reads it."""

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        return {**super().update(id, old_inputs, old_outputs, news), "path": "a\udcff"}


def test_what_is_tainted_is_replaced_once(tmp_path: Path) -> None:
    """A resource that `pulumi state taint` has marked is replaced by the next update, and only by that one."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    document = bench.engine.export_state(bench.stack)
    for resource in document["deployment"]["resources"]:
        if resource["type"] == PlainThing.type:
            resource["taint"] = True
    bench.engine.import_state(bench.stack, document)
    assert ops(bench.up([{"name": "a"}])) == ["create-replacement a", "replace a", "delete-replaced a"]
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_text_that_is_no_utf8_does_not_lock_the_state(tmp_path: Path) -> None:
    """Outputs with a lone surrogate are kept, and the stack can be destroyed."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    bench.engine = EmbeddedEngine({PlainThing.type: Bytes(bench.cloud)}, environment={})
    refused(lambda: bench.up([{"name": "a", "props": {"size": 2}}]), "BP201")
    assert ops(bench.engine.destroy(bench.stack)) == ["delete a"]


def test_a_provider_that_breaks_while_settling_is_reported(tmp_path: Path) -> None:
    """An interrupted create whose provider raises anything at all is reported by name, and `repair` says what to do."""
    bench = bench_in(tmp_path)
    kind = Breaking(bench.cloud)
    bench.engine = EmbeddedEngine({PlainThing.type: kind}, environment={})
    bench.up([{"name": "a"}])
    document = bench.engine.export_state(bench.stack)
    one = next(r for r in document["deployment"]["resources"] if r["type"] == PlainThing.type)
    left = {**one, "urn": one["urn"] + "2", "inputs": {"name": "a2"}}
    left.pop("id")
    document["deployment"]["pending_operations"] = [{"type": "creating", "resource": left}]
    bench.engine.import_state(bench.stack, document)
    Breaking.broken = True
    try:
        assert "the line is dead" not in refused(lambda: bench.engine.repair(bench.stack), "BP216").summary
        bench.engine.up(bench.stack, build([{"name": "a"}]), {}, on_event=bench.events.append)
    finally:
        Breaking.broken = False
    assert any("the line is dead" in event.message for event in bench.events)
    bench.up([{"name": "a"}])
    assert not load(place_of(bench.stack, {}), {}).snapshot.pending


class Nameless(PlainThing):
    """Gives what it makes the id that is set here."""

    id: ClassVar[object] = None

    def create(self, news: Properties) -> Created:
        made = super().create(news) if not self.cloud.things else Created(*self._there(news))
        return made if self.id == "sound" else Created(cast(str, self.id), made.outputs)

    def _there(self, news: Properties) -> tuple[str, Properties]:
        id = next(iter(self.cloud.things))
        return id, self._outputs(id, news)


@pytest.mark.parametrize("id", [None, "", 42])
def test_what_is_made_without_an_id_is_not_lost(tmp_path: Path, id: object) -> None:
    """A create that gives no id, or one that is no text, is refused with the type's name and what was made; it stays
    pending, and is settled once the type is mended.
    """
    bench = bench_in(tmp_path)
    bench.engine = EmbeddedEngine({PlainThing.type: Nameless(bench.cloud)}, environment={})
    Nameless.id = id
    problem = refused(lambda: bench.up([{"name": "a"}]), "BP207")
    assert f"{PlainThing.type} made it and gave it the id {id!r}" in problem.summary
    assert '"address": "at/a-1"' in problem.detail
    assert [p.type for p in load(place_of(bench.stack, {}), {}).snapshot.pending.values()] == ["creating"]
    Nameless.id = "sound"
    assert ops(bench.up([{"name": "a"}])) == ["same a"]
    assert list(bench.cloud.things) == ["a-1"]


@pytest.mark.parametrize("status", [0, 3, None])
def test_a_program_that_exits_is_no_success(tmp_path: Path, status: int | None) -> None:
    """`sys.exit` in a program fails the run, whatever its status: what it has not registered stays."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b"}])

    def program() -> None:
        build([{"name": "a"}])()
        sys.exit(status)

    problem = refused(lambda: bench.engine.up(bench.stack, program, {}), "BP201")
    assert problem.summary == f"the program ended itself with sys.exit({status!r})"
    assert problem.where.line == program.__code__.co_firstlineno + 2
    assert set(bench.cloud.things) == {"a-1", "b-2"}


def test_an_exit_while_outputs_are_awaited_is_no_success(tmp_path: Path) -> None:
    """The same in a function that gets an output."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b"}])

    def program() -> None:
        import pulumi

        made = pulumi.CustomResource(PlainThing.type, "a", {"name": "a", "address": None})
        pulumi.export("x", made.address.apply(lambda _address: sys.exit(0)))  # type: ignore[attr-defined]

    assert "sys.exit(0)" in refused(lambda: bench.engine.up(bench.stack, program, {}), "BP201").summary
    assert set(bench.cloud.things) == {"a-1", "b-2"}


def test_a_difference_of_an_unknown_kind_is_refused() -> None:
    """A plugin whose answer names a kind of difference that the protocol does not have is refused with the path."""
    answer = provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_SOME, hasDetailedDiff=True)
    answer.detailedDiff["size"].kind = 99
    assert "size" in refused(lambda: diff_of(answer, {}, {}), "BP244").summary


@pytest.mark.parametrize("signature", [1, ["x"], {"a": "b"}, True])
def test_a_signature_that_is_no_text_is_refused(signature: object) -> None:
    """A value with a signature of another kind is refused by what it is."""
    sent = to_struct({"value": {SIGNATURE: signature}})
    assert "is no text" in refused(lambda: from_struct(sent), "BP202").summary


UNREADABLE = """
import plugin_support
from google.protobuf.struct_pb2 import Struct
from bedplate.engine import serving

answers = serving.Servicer.Create
def create(self, request, context):
    answer = answers(self, request, context)
    if not request.preview:
        answer.properties.update({"odd": {"4dabf18193072939515e22adb298388d": "nobody knows this"}})
    return answer
serving.Servicer.Create = create
plugin_support.main()
"""


def test_what_a_plugin_has_made_and_told_unreadably_is_not_made_again(tmp_path: Path) -> None:
    """A create whose answer cannot be read has made something: it stays pending, and the next run refuses."""
    install(tmp_path / "bin", body=UNREADABLE)
    (tmp_path / "shelf").mkdir()
    environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "PULUMI_CONFIG_PASSPHRASE": "test"}
    engine, stack = EmbeddedEngine({}, environment=environment), StackRef("shop", "dev", tmp_path / "dev")
    config = {"shelf:folder": str(tmp_path / "shelf")}

    def program() -> None:
        import pulumi

        pulumi.CustomResource("shelf:index:Box", "a", {"name": "a"})

    refused(lambda: engine.up(stack, program, config), "BP202")
    assert (tmp_path / "shelf/box-a").exists()
    refused(lambda: engine.up(stack, program, config), "BP216")


def test_a_resource_that_is_looked_up_has_its_provider(tmp_path: Path) -> None:
    """`pulumi:pulumi:getResource` gives a resource's URN, id, state and the reference of its provider."""
    bench = bench_in(tmp_path)

    def program() -> None:
        import pulumi

        made = pulumi.CustomResource(PlainThing.type, "a", {"name": "a"})
        asked = made.urn.apply(lambda urn: pulumi.runtime.invoke_async("pulumi:pulumi:getResource", {"urn": urn}))
        pulumi.export("found", asked)

    found = bench.engine.up(bench.stack, program, {}).outputs["found"]
    one = next(r for r in bench.state()["resources"] if r["type"] == PlainThing.type)
    assert (found["urn"], found["id"], found["provider"]) == (one["urn"], one["id"], one["provider"])
    assert found["provider"]
    assert found["state"]["address"] == "at/a-1"
