"""States and providers that are odd: what another tool has marked, text that is no text, providers that break."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bedplate.engine import Created, EmbeddedEngine, Properties, StackRef
from bedplate.engine.places import place_of
from bedplate.engine.storage import load
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
