"""States between this engine and the Pulumi CLI, in both directions. Skipped where the CLI is not on PATH."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from bedplate.engine import EmbeddedEngine
from engine_cloud import Bench
from pulumi_support import environment, needs_cli

PROGRAM: list[dict[str, Any]] = [
    {"name": "box", "type": "Component"},
    {"name": "a", "parent": "box"},
    {"name": "kept", "options": {"protect": True, "retain_on_delete": True, "ignore_changes": ["size"]}},
    {
        "name": "b",
        "refs": ["a"],
        "secret": ["code"],
        "props": {"code": {"deep": "geheim"}, "f": 1.5, "big": 2**40, "list": [1, None, True, "é", {"x": ""}]},
    },
]


def plain(document: Any) -> Any:
    """A document up to timestamps and to how its secrets were encrypted; what is empty counts as left out."""
    match document:
        case {"ciphertext": str()}:
            return "secret"
        case dict():
            gone = ("time", "metadata", "state")
            return {key: plain(value) for key, value in document.items() if key not in gone}
        case list():
            return [plain(item) for item in document]
        case _:
            return document


@needs_cli
def test_a_state_goes_to_pulumi_and_comes_back_as_it_was(tmp_path: Path) -> None:
    """`pulumi stack import` takes ours, `pulumi stack export` gives the same back, and we take that."""
    cli = {**environment(tmp_path), "PULUMI_BACKEND_URL": f"file://{tmp_path}"}
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")

    def pulumi(*arguments: str, given: str = "") -> str:
        command = ["pulumi", "--non-interactive", *arguments]
        done = subprocess.run(command, cwd=project, env=cli, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    bench = Bench(tmp_path / "dev", secrets=True)
    passphrase = {"PULUMI_CONFIG_PASSPHRASE": cli["PULUMI_CONFIG_PASSPHRASE"]}
    bench.engine = EmbeddedEngine(bench.engine._registry, environment=passphrase)
    bench.up(PROGRAM, exports={"address": "a.address", "token": "b.token"})
    ours = json.loads(json.dumps(bench.engine.export_state(bench.stack)))
    pulumi("stack", "init", "dev")
    pulumi("stack", "import", given=json.dumps(ours))
    theirs = json.loads(pulumi("stack", "export"))
    assert plain(theirs) == plain(ours)
    outputs = json.loads(pulumi("stack", "output", "--json", "--show-secrets"))
    made = {name: outputs_of(bench, name) for name in "ab"}
    assert outputs == {"address": made["a"]["address"], "token": made["b"]["token"]["plaintext"].strip('"')}

    bench.engine.import_state(bench.stack, theirs)
    assert plain(json.loads(json.dumps(bench.engine.export_state(bench.stack)))) == plain(ours)
    again = bench.up(PROGRAM, exports={"address": "a.address", "token": "b.token"})
    assert {step.op for step in again.steps} == {"same"}


def outputs_of(bench: Bench, name: str) -> dict[str, Any]:
    """The outputs of a resource in state, its secrets in plain text."""
    document = bench.engine.export_state(bench.stack, show_secrets=True)
    resources = document["deployment"]["resources"]
    return next(dict(r["outputs"]) for r in resources if r["urn"].endswith(f"::{name}"))
