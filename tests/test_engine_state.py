"""The state out of a stack and into one, its history, and mending it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine import EmbeddedEngine
from bedplate.engine.bucket import Bucket
from bedplate.problems import BedplateError
from engine_cloud import Bench, bench_in, build, ops, refused
from engine_objects import FakeObjects

PASS = {"PULUMI_CONFIG_PASSPHRASE": "correct horse"}


def without_time(document: dict[str, Any]) -> dict[str, Any]:
    """A document up to the time in its manifest."""
    deployment = {**document["deployment"], "manifest": {**document["deployment"]["manifest"], "time": ""}}
    return {**document, "deployment": deployment}


def secret_bench(folder: Path) -> Bench:
    """A bench with secrets under a passphrase."""
    bench = Bench(folder, secrets=True)
    bench.engine = EmbeddedEngine(bench.engine._registry, environment=PASS)
    return bench


def test_an_exported_state_takes_a_stack_elsewhere(tmp_path: Path) -> None:
    """Imported into an empty stack it is the same document again, and the next update finds nothing to do."""
    bench = secret_bench(tmp_path / "dev")
    program = [{"name": "a"}, {"name": "b", "refs": ["a"], "secret": ["code"], "props": {"code": "geheim"}}]
    bench.up(program)
    document = bench.engine.export_state(bench.stack)
    assert "geheim" not in json.dumps(document)
    other = secret_bench(tmp_path / "other")
    other.cloud.things = bench.cloud.things
    other.engine.import_state(other.stack, json.loads(json.dumps(document)))
    assert without_time(other.engine.export_state(other.stack)) == without_time(document)
    assert {s.op for s in other.up(program).steps} == {"same"}
    assert [u.kind for u in other.engine.history(other.stack)] == ["import"]


def test_secrets_in_plain_text_are_shown_only_when_asked_for_and_are_taken_in(tmp_path: Path) -> None:
    """As Pulumi has them: `plaintext` in place of `ciphertext`. Imported they are encrypted again."""
    bench = secret_bench(tmp_path / "dev")
    bench.up([{"name": "a"}])
    document = bench.engine.export_state(bench.stack, show_secrets=True)
    text = json.dumps(document)
    assert '"plaintext": "\\"hunter2-a-1\\""' in text
    assert "secrets_providers" not in text
    bench.engine.import_state(bench.stack, document)
    assert "hunter2" not in (bench.stack.folder / "state.json").read_text()
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_what_pulumi_wrote_beside_the_resources_survives(tmp_path: Path) -> None:
    """Fields of the deployment that this engine does not know go through import, update and export."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    document = bench.engine.export_state(bench.stack)
    document["deployment"]["metadata"] = {"integrity_error": {"version": "x"}}
    bench.engine.import_state(bench.stack, {**document, "version": 4, "features": ["replaceWith"]})
    bench.up([{"name": "a", "props": {"size": 3}}])
    assert bench.engine.export_state(bench.stack)["deployment"]["metadata"] == {"integrity_error": {"version": "x"}}


def _drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["deployment"]["resources"].pop(0 if key == "stack" else 1)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "version": (lambda d: d.update(version=9), "BP212", "version 9"),
    "no deployment": (lambda d: d.pop("deployment"), "BP252", "no deployment"),
    "nonsense": (lambda d: d["deployment"].update(resources=[3]), "BP252", "no deployment"),
    "feature": (lambda d: d.update(version=4, features=["views", "replaceWith"]), "BP252", "views"),
    "snippets": (lambda d: d["deployment"].update(snippets=[{}]), "BP252", "snippets"),
    "missing parent": (_drop("stack"), "BP252", "needs a resource that is not there"),
    "missing provider": (_drop("provider"), "BP252", "names a provider that is not there"),
    "twice": (lambda d: d["deployment"]["resources"].append(d["deployment"]["resources"][-1]), "BP252", "the same"),
    "other stack": (
        lambda d: d["deployment"].update(json.loads(json.dumps(d["deployment"]).replace(":dev::", ":prod::"))),
        "BP252",
        "urn:pulumi:prod::shop",
    ),
    "other key": (
        lambda d: d["deployment"].update(secrets_providers={"type": "cloud", "state": {}}),
        "BP202",
        "'cloud'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_document_that_does_not_fit_is_refused_and_changes_nothing(name: str, tmp_path: Path) -> None:
    """Another version or stack, something missing, something we do not have: named, and the state is as it was."""
    bench = secret_bench(tmp_path / "dev")
    bench.up([{"name": "a"}])
    before = (bench.stack.folder / "state.json").read_bytes()
    document = bench.engine.export_state(bench.stack)
    change, code, words = WRONG[name]
    change(document)
    with pytest.raises(BedplateError) as caught:
        bench.engine.import_state(bench.stack, document)
    assert code in {problem.code for problem in caught.value.problems}
    assert words in str(caught.value.problems)
    assert (bench.stack.folder / "state.json").read_bytes() == before
    files = ["history.jsonl", "journal.jsonl.bak", "state.json", "state.json.bak", "state.json.sha256"]
    assert sorted(p.name for p in bench.stack.folder.iterdir()) == files


def test_history_tells_of_every_run_that_did_something(tmp_path: Path) -> None:
    """Number, kind, result, counts and who; a run that changed nothing leaves none; it outlives the resources."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b"}])
    bench.up([{"name": "a"}, {"name": "b"}])
    bench.cloud.fail = {("create", "c")}
    with pytest.raises(BedplateError):
        bench.up([{"name": "a", "props": {"size": 2}}, {"name": "c", "after": ["a"]}])
    bench.cloud.fail = set()
    bench.engine.destroy(bench.stack)
    found = bench.engine.history(bench.stack)
    assert [(u.number, u.kind, u.result) for u in found] == [
        (3, "destroy", "succeeded"),
        (2, "up", "failed"),
        (1, "up", "succeeded"),
    ]
    assert found[-1].counts["create"] == 3
    assert found[0].counts == {"delete": 3}
    assert "@" in found[0].who
    assert found[0].started <= found[0].finished


def test_a_history_cut_short_loses_only_the_line_that_was_cut(tmp_path: Path) -> None:
    """A crash in the middle of a line does not glue the next one to it; a damaged line is named."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    path = bench.stack.folder / "history.jsonl"
    path.write_bytes(path.read_bytes() + b'{"number":2,"ki')
    bench.up([{"name": "a", "props": {"size": 2}}])
    assert [u.number for u in bench.engine.history(bench.stack)] == [2, 1]
    path.write_bytes(path.read_bytes().replace(b'"number":1', b'"numb":1'))
    assert str(refused(lambda: bench.engine.history(bench.stack), "BP211").where).endswith("history:1")
    bench.up([{"name": "a", "props": {"size": 3}}])


def places(tmp_path: Path) -> dict[str, Bench]:
    """A bench on a folder, and one on a bucket."""
    inside = Bench(tmp_path / "bucket", secrets=False)
    objects = FakeObjects()
    inside.engine = EmbeddedEngine(
        inside.engine._registry, environment={}, place=lambda stack: Bucket(objects, stack.folder)
    )
    return {"folder": bench_in(tmp_path), "bucket": inside}


def damage(bench: Bench, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of a file, wherever it is."""
    place = bench.engine._place(bench.stack)
    if isinstance(place, Bucket):
        place._objects.put(name, change(place._objects.get(name).data))  # type: ignore[union-attr]
    else:
        path = bench.stack.folder / name
        path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_a_damaged_state_is_mended_from_its_backup(where: str, tmp_path: Path) -> None:
    """Refused by all else; a repair says what it would do, does it, and keeps the damaged file."""
    bench = places(tmp_path)[where]
    bench.up([{"name": "a"}])
    bench.up([{"name": "a"}, {"name": "b"}])
    (bench.stack.folder / "journal.jsonl.bak").unlink(missing_ok=True)
    damage(bench, "state.json", lambda data: data[:-40])
    refused(lambda: bench.up([]), "BP211")
    foreseen = bench.engine.repair(bench.stack, preview=True)
    assert len(foreseen) == 1
    assert foreseen[0].startswith("state.json is damaged: state.json.bak, the state before the last update")
    refused(lambda: bench.up([]), "BP211")
    done = bench.engine.repair(bench.stack)
    assert done[0] == foreseen[0]
    assert "damaged" in done[1]
    assert [r.name for r in bench.engine.resources(bench.stack)] == ["shop-dev", "a"]
    assert bench.engine.repair(bench.stack) == ()
    assert bench.engine.history(bench.stack)[0].kind == "repair"


def test_a_damaged_state_without_a_backup_is_mended_by_an_import(tmp_path: Path) -> None:
    """A repair has nothing to go by and says so; a document takes its place, the damaged file is kept."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    document, folder = bench.engine.export_state(bench.stack), bench.stack.folder
    (folder / "journal.jsonl.bak").unlink()
    for name in ("state.json", "state.json.bak"):
        damage(bench, name, lambda data: data[: len(data) // 2])
    for call in (lambda: bench.up([]), lambda: bench.engine.repair(bench.stack)):
        assert "state import" in refused(call, "BP211").fix
    assert bench.engine.import_state(bench.stack, document) == (str(folder / "state.json.damaged-1"),)
    assert ops(bench.up([{"name": "a"}])) == ["same a"]
    assert (folder / "state.json.damaged-1.bak").exists()
    damage(bench, "state.json", lambda data: data[: len(data) // 2])
    assert "a copy of it" in bench.engine.repair(bench.stack)[0]
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_an_import_says_where_the_state_before_it_is(tmp_path: Path) -> None:
    """In the backup, or set aside if it was damaged, its journal too; nowhere where there was none."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    document, folder = bench.engine.export_state(bench.stack), bench.stack.folder
    other = Bench(tmp_path / "other", secrets=False)
    assert other.engine.import_state(other.stack, document) == ()
    assert bench.engine.import_state(bench.stack, document) == (str(folder / "state.json.bak"),)
    leave_a_journal(bench, [{"name": "a"}, {"name": "b"}])
    damage(bench, "state.json", lambda data: data[:-40])
    kept = bench.engine.import_state(bench.stack, document)
    assert kept == (str(folder / "state.json.damaged-1"), str(folder / "journal.jsonl.damaged-1"))
    assert all(Path(path).exists() for path in kept)


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_a_first_state_has_a_backup_with_bytes_of_its_own(where: str, tmp_path: Path) -> None:
    """Damaged after a first update it is made again from the copy alone, and nothing is lost."""
    bench = places(tmp_path)[where]
    bench.up([{"name": "a"}])
    (bench.stack.folder / "journal.jsonl.bak").unlink(missing_ok=True)
    damage(bench, "state.json", lambda data: data[:50] + bytes([data[50] ^ 255]) + data[51:])
    assert "state.json.bak" in bench.engine.repair(bench.stack)[0]
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_a_damaged_journal_is_mended_up_to_the_damage(tmp_path: Path) -> None:
    """The lines before it count; what stands behind it is kept and not believed."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    leave_a_journal(bench, [{"name": "a"}, {"name": "b"}, {"name": "c", "after": ["b"]}])
    path = bench.stack.folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 5
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"creating", b"creeping"), lines[4]]))
    refused(lambda: bench.up([]), "BP211")
    assert "at line 4" in bench.engine.repair(bench.stack, preview=True)[0]
    bench.engine.repair(bench.stack)
    assert [r.name for r in bench.engine.resources(bench.stack)] == ["shop-dev", "a", "b"]
    assert (bench.stack.folder / "journal.jsonl.damaged-1").exists()


def leave_a_journal(bench: Bench, program: list[dict[str, Any]]) -> None:
    """Run an update, and leave its journal as if it had died before the end of it."""
    folder = bench.stack.folder
    state = (folder / "state.json").read_bytes()
    kept: list[bytes] = []
    place = bench.engine._place

    class Keeping:
        """A log that is read before it is removed."""

        def __init__(self, log: Any) -> None:
            self.log = log

        def append(self, data: bytes) -> None:
            if b'"folded"' not in data:
                kept.append(data)
            self.log.append(data)

        def close(self, *, remove: bool) -> None:
            self.log.close(remove=remove)

    def keeping(stack: Any) -> Any:
        found = place(stack)
        opener = found.open_log
        found.open_log = lambda keep=0: Keeping(opener(keep))
        return found

    engine = EmbeddedEngine(bench.engine._registry, environment={}, place=keeping)
    engine.up(bench.stack, build(program), {})
    (folder / "state.json").write_bytes(state)
    (folder / "state.json.sha256").unlink()
    (folder / "journal.jsonl").write_bytes(b"".join(kept))


def test_a_journal_of_another_state_is_set_aside(tmp_path: Path) -> None:
    """Only when asked to: what it records may exist without being known."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    leave_a_journal(bench, [{"name": "a"}, {"name": "b"}])
    state = bench.state()
    bench.write_state({**state, "resources": state["resources"]})
    refused(lambda: bench.up([]), "BP215")
    assert "another state" in bench.engine.repair(bench.stack)[0]
    assert (bench.stack.folder / "journal.jsonl.damaged-1").exists()
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_what_names_nothing_is_taken_out_and_what_cannot_be_known_is_left(tmp_path: Path) -> None:
    """A dependency on something that is gone is no dependency; a missing provider is only told of."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b", "refs": ["a"]}])
    state = bench.state()
    kept = [r for r in state["resources"] if not r["urn"].endswith("::a")]
    kept[-1]["provider"] = "urn:pulumi:dev::shop::pulumi:providers:test::gone::1"
    bench.write_state({**state, "resources": kept})
    foreseen = bench.engine.repair(bench.stack, preview=True)
    assert len(foreseen) == 2
    done = bench.engine.repair(bench.stack)
    assert [line.split(":")[0] for line in done] == ["taken out", "left, because nobody can know what was meant"]
    assert bench.state()["resources"][-1].get("dependencies", []) == []
    assert len(bench.engine.repair(bench.stack)) == 1


def test_an_interrupted_operation_is_settled_by_its_provider_or_by_a_person(tmp_path: Path) -> None:
    """A repair reads what is there; what its provider cannot tell stays, until a person says that it is settled."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    state = bench.state()
    resource = state["resources"][-1]
    lost = {**resource, "urn": resource["urn"][:-1] + "b", "type": "test:index:Gone"}
    pending = [{"type": "deleting", "resource": resource}, {"type": "updating", "resource": lost}]
    bench.write_state({**state, "pending_operations": pending})
    assert len(bench.engine.repair(bench.stack, preview=True)) == 2
    problem = refused(lambda: bench.engine.repair(bench.stack), "BP216")
    assert problem.fix.endswith("`bedplate state repair --forget b`")
    assert [p["resource"]["urn"] for p in bench.state()["pending_operations"]] == [lost["urn"]]
    refused(lambda: bench.engine.repair(bench.stack, forget=["a"]), "BP256")
    assert bench.engine.repair(bench.stack, forget=["b"]) == ("b: updating is taken out of the state",)
    assert bench.state()["pending_operations"] == []
    assert [r.name for r in bench.engine.resources(bench.stack)] == ["shop-dev", "a"]
