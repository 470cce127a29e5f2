"""The embedded engine: previews, secrets, config, reads, values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from bedplate.engine import UNKNOWN, Created, DiffKind, EmbeddedEngine, Properties, StackRef, diff_properties
from bedplate.problems import catalogue
from engine_cloud import Cloud, Thing, bench_in, build, ops, refused

TESTS = Path(__file__).parent


def test_a_preview_shows_unknowns_at_any_depth(tmp_path: Path) -> None:
    """An output of a new resource is unknown wherever it stands in another's inputs and in the stack's outputs."""
    bench = bench_in(tmp_path)
    found = bench.preview([{"name": "a"}, {"name": "b", "refs": ["a"]}], exports={"x": "b.address", "n": "b.name"})
    [step] = [s for s in found.steps if s.name == "b"]
    assert step.new_inputs == {"name": "b", "size": 1, "refs": [UNKNOWN]}
    assert found.outputs == {"n": "b", "x": UNKNOWN}


def test_a_preview_of_a_replacement_makes_its_dependents_updates(tmp_path: Path) -> None:
    """What a replacement will change is unknown, and a difference to unknown is an update."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b", "refs": ["a"]}])
    found = bench.preview([{"name": "a", "props": {"zone": "y"}}, {"name": "b", "refs": ["a"]}])
    [step] = [s for s in found.steps if s.name == "b"]
    assert (step.op, step.diff) == ("update", {"refs[0]": DiffKind.UPDATE})


def test_a_note_without_a_changed_property_is_an_update(tmp_path: Path) -> None:
    """A provider may say `not running`: preview and update honour it, and it is done once."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    bench.cloud.stopped.add("a")
    [step] = bench.preview([{"name": "a"}]).changes
    assert (step.op, step.note, step.diff) == ("update", "not running", {})
    assert ops(bench.up([{"name": "a"}])) == ["update a"]
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_an_update_without_changes_costs_a_check_and_a_diff_and_writes_nothing(tmp_path: Path) -> None:
    """No file of the stack is touched, and each resource is checked and compared once."""
    bench = bench_in(tmp_path, secrets=True)
    program = [{"name": "a"}, {"name": "b", "refs": ["a"]}]
    bench.up(program, exports={"t": "a.token"})
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in bench.stack.folder.iterdir()}
    bench.cloud.calls.clear()
    bench.up(program, exports={"t": "a.token"})
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in bench.stack.folder.iterdir()} == before
    assert sorted(bench.cloud.calls) == [("check", "a"), ("check", "b"), ("diff", "a"), ("diff", "b")]


def test_secrets_are_masked_for_people_and_encrypted_on_disk(tmp_path: Path) -> None:
    """No file holds a secret in plain text, no step or output shows one, and the provider still gets it."""
    bench = bench_in(tmp_path, secrets=True)
    specs = [{"name": "a", "props": {"code": "geheim", "deep": {"n": [1]}}, "secret": ["code"]}]
    outcome = bench.up(specs, exports={"code": "a.code", "token": "a.token"})
    assert outcome.outputs == {"code": "[secret]", "token": "[secret]"}
    assert bench.engine.outputs(bench.stack) == outcome.outputs
    assert [t["code"] for t in bench.cloud.things.values()] == ["geheim"]
    shown = repr((outcome, bench.events, bench.engine.resources(bench.stack)))
    kept = b"".join(p.read_bytes() for p in bench.stack.folder.iterdir())
    assert "geheim" not in shown
    assert "hunter2" not in shown
    assert b"geheim" not in kept
    assert b"hunter2" not in kept
    assert (bench.stack.folder / "state.key").stat().st_mode & 0o777 == 0o600
    assert (bench.stack.folder / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_changed_secret_keeps_the_ciphertext_of_the_others(tmp_path: Path) -> None:
    """Encrypting again what did not change would make every update look like a change of every secret."""
    bench = bench_in(tmp_path, secrets=True)
    bench.up([{"name": "a"}, {"name": "b"}])
    before = {r["urn"]: r["outputs"].get("token") for r in bench.state()["resources"]}
    bench.up([{"name": "a"}, {"name": "b", "props": {"size": 2}}])
    assert {r["urn"]: r["outputs"].get("token") for r in bench.state()["resources"]} == before


def test_a_passphrase_from_the_environment_is_used_and_a_wrong_one_refused(tmp_path: Path) -> None:
    """With PULUMI_CONFIG_PASSPHRASE no key file is made, and another passphrase opens nothing."""
    cloud = Cloud()
    stack = StackRef("shop", "dev", tmp_path / "dev")

    def engine(passphrase: str) -> EmbeddedEngine:
        return EmbeddedEngine({Thing.type: Thing(cloud)}, environment={"PULUMI_CONFIG_PASSPHRASE": passphrase})

    engine("right").up(stack, build([{"name": "a"}]), {})
    assert not (stack.folder / "state.key").exists()
    assert engine("right").up(stack, build([{"name": "a"}]), {}).changes == ()
    assert "state.key" in refused(lambda: engine("wrong").up(stack, build([{"name": "a"}]), {}), "BP214").fix
    assert [r.name for r in engine("wrong").resources(stack)] == ["shop-dev", "a"]


def test_outputs_and_resources_of_a_stack_that_was_never_deployed(tmp_path: Path) -> None:
    """There are none, which differs from an empty set of outputs."""
    bench = bench_in(tmp_path)
    assert bench.engine.outputs(bench.stack) is None
    assert bench.engine.resources(bench.stack) == ()
    assert not bench.stack.folder.exists()
    assert bench.engine.destroy(bench.stack).changes == ()


def test_config_reaches_the_program(tmp_path: Path) -> None:
    """A key without a namespace belongs to the project; another namespace is kept."""
    bench, seen = bench_in(tmp_path), []

    def program() -> None:
        import pulumi

        seen.append((pulumi.Config().get("colour"), pulumi.Config("aws").get("region"), pulumi.get_stack()))

    bench.engine.up(bench.stack, program, {"colour": "red", "aws:region": "eu-west-1"})
    assert seen == [("red", "eu-west-1", "dev")]


def test_a_resource_outside_of_the_stack_is_read_and_never_deleted(tmp_path: Path) -> None:
    """Reading takes its properties; when the program drops it, only the state forgets it."""
    bench = bench_in(tmp_path)
    made = Thing(bench.cloud).create({"name": "z", "size": 7})

    def program() -> None:
        import pulumi

        found = pulumi.CustomResource(Thing.type, "z", {"name": None, "size": None}, pulumi.ResourceOptions(id=made.id))
        pulumi.export("size", found.size)

    assert bench.engine.up(bench.stack, program, {}).outputs == {"size": 7}
    assert ops(bench.engine.up(bench.stack, program, {})) == ["read z"]
    bench.up([])
    assert made.id in bench.cloud.things
    assert [r.name for r in bench.engine.resources(bench.stack)] == ["shop-dev"]
    bench.cloud.things.clear()
    assert (
        "no test:index:Thing with the id" in refused(lambda: bench.engine.up(bench.stack, program, {}), "BP208").summary
    )


def test_nested_differences_have_the_paths_that_pulumi_gives_them() -> None:
    """Keys are dotted, indices and odd keys in brackets; true is not 1; unknown differs from everything."""
    old = {"a": {"b": 1, "x.y": 2}, "l": [1, 2, 3], "t": True, "u": 1, "gone": 0}
    new = {"a": {"b": 2, "x.y": 3}, "l": [1, 9], "t": 1, "u": UNKNOWN, "came": None}
    assert dict(diff_properties(old, new, frozenset({"l"})).properties) == {
        "a.b": DiffKind.UPDATE,
        'a["x.y"]': DiffKind.UPDATE,
        "l[1]": DiffKind.UPDATE_REPLACE,
        "l[2]": DiffKind.DELETE_REPLACE,
        "t": DiffKind.UPDATE,
        "u": DiffKind.UPDATE,
        "gone": DiffKind.DELETE,
        "came": DiffKind.ADD,
    }
    assert not diff_properties(old, old).changes


class _Typed(Thing):
    """Remembers the types of what it is given."""

    seen: ClassVar[list[Any]] = []

    def create(self, news: Properties) -> Created:
        self.seen.append(dict(news))
        return super().create(news)


def test_whole_numbers_stay_integers_on_their_way_to_a_provider(tmp_path: Path) -> None:
    """The wire knows doubles only, but a port is no 8080.0."""
    engine = EmbeddedEngine({Thing.type: _Typed(Cloud())}, environment={})
    program = build([{"name": "a", "props": {"port": 8080, "share": 0.5, "on": True, "deep": [{"n": 3}]}}])
    engine.up(StackRef("shop", "dev", tmp_path / "dev"), program, {})
    assert repr(_Typed.seen[-1]["port"]) == "8080"
    assert repr(_Typed.seen[-1]["deep"]) == "[{'n': 3}]"
    assert (_Typed.seen[-1]["share"], _Typed.seen[-1]["on"]) == (0.5, True)


def test_every_code_that_the_engine_raises_stands_in_the_catalogue() -> None:
    """Every code in the engine's source is explained, and those of its own area all stand there."""
    import re

    import bedplate.engine

    [folder] = bedplate.engine.__path__
    used = {code for path in Path(folder).glob("*.py") for code in re.findall(r"BP2\d\d", path.read_text("utf-8"))}
    explained = {code: entry.area for code, entry in catalogue().items() if entry.area in {"engine", "pulumi"}}
    assert used <= set(explained)
    assert {code for code, area in explained.items() if area == "engine"} <= used
