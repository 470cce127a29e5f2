"""`access matrix`, `access prove`, `access compile`: what holds the scopes, what is within what, and the artefacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import say, show, show_json

if TYPE_CHECKING:
    from bedplate.access.artefacts import Artefact, Compiled

_SIDE = "a stage of the manifest, a manifest's file, or a git revision; stage:, file: or git: before it says which"


def matrix(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show every clause of the scopes, the layers that hold it, and the verdict. Exit 1 where one is open."""
    from bedplate.cli.accessscreen import matrix_markdown, matrix_screen
    from bedplate.cli.options import require_one_form
    from bedplate.release.check import open_checked
    from bedplate.release.enforcing import matrix_of

    require_one_form(markdown, as_json)
    found = matrix_of(open_checked(file, stage, enforced=False).blueprint)
    if as_json:
        show_json(found.to_json())
    else:
        show(matrix_markdown(found) if markdown else matrix_screen(found))
    return 0 if found.held else 1


def prove(
    stage: Annotated[str, typer.Option("--stage", "-s", help=f"What must be within: {_SIDE}.", metavar="SIDE")],
    within: Annotated[str, typer.Option("--within", help="What it must be within, written likewise.", metavar="SIDE")],
    file: ManifestFile = DEFAULT_FILE,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for the proof.", metavar="N")] = 10.0,
    as_json: AsJson = False,
) -> int:
    """Prove that one side may do nothing that the other may not. Exit 3 with a request where it may, or unproved."""
    from bedplate.cli.accessscreen import proof_screen
    from bedplate.review.accessproof import access_proof

    found = access_proof(file, stage, within, timeout)
    if as_json:
        show_json(found.to_json())
    else:
        show(proof_screen(found))
    return int(found.exit)


def compile_(
    target: Annotated[
        str,
        typer.Option(
            "--target", "-t", help="cedar, agentcore, iam, postgres, egress, sandbox or container.", metavar="TARGET"
        ),
    ],
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the files there.", metavar="FOLDER")] = None,
    gateway: Annotated[
        str, typer.Option("--gateway", help="agentcore: the gateway's id; AGENT-STAGE unless given.", metavar="ID")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Compile the scopes to what one layer is given, read it back, and list what the layer cannot express."""
    from bedplate.release.artefacts import compiled
    from bedplate.release.check import open_checked

    blueprint = open_checked(file, stage, enforced=False).blueprint
    made = compiled(blueprint, target, gateway)
    files = [str(_written(out, artefact)) for artefact in made.artefacts] if out else []
    if as_json:
        show_json({**_document(made), "stage": blueprint.stage, "target": target, "files": files})
        return 0
    if not made.artefacts:
        say(f"stage {blueprint.stage} has nothing for {target}")
    for artefact in made.artefacts:
        show(f"wrote {out / artefact.name}" if out else _text(artefact))
    for rest in made.remainder:
        say(f"not expressed: {rest.clause} of {rest.grant or 'never'} ({rest.where}): {rest.reason}")
    return 0


def _written(folder: Path, artefact: Artefact) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / artefact.name
    path.write_text(artefact.text, "utf-8")
    return path


def _text(artefact: Artefact) -> str:
    return f"==> {artefact.name} <==\n{artefact.text}"


def _document(made: Compiled) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "schema": "bedplate.dev/access-compile/v1",
        "ok": True,
        "artefacts": [
            {"name": a.name, "media": a.media, "text": a.text, "lines": [asdict(line) for line in a.lines]}
            for a in made.artefacts
        ],
        "remainder": [asdict(rest) for rest in made.remainder],
    }
