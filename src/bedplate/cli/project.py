"""`init`, `validate`, `explain`, `schema`, `completion`: what needs no running stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile
from bedplate.cli.output import interactive, say, show, show_json

TEMPLATES = ("support", "blank")
INTENTS = ("product", "script")
SHELLS = ("bash", "zsh", "fish")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("init")(init)
    app.command("validate")(validate)
    app.command("explain")(explain)
    app.command("schema")(schema)
    app.command("completion")(completion)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; created if it does not exist.")] = Path(),
    template: Annotated[str | None, typer.Option(help=f"One of {', '.join(TEMPLATES)}.", metavar="NAME")] = None,
    intent: Annotated[
        str | None, typer.Option(help="product: must have memory, scopes, eval gates, traces. script: may not.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The agent's name; the folder's unless given.")] = None,
    as_json: AsJson = False,
) -> int:
    """Write a new agent: manifest, instructions, sample documents and evals."""
    from bedplate.manifest.scaffold import name_from, scaffold

    intent = _choose(
        "intent", intent, INTENTS, "Is this agent a product (people rely on it) or a script (only you do)?"
    )
    template = _choose("template", template, TEMPLATES, "Start from which template?")
    written = scaffold(folder, template=template, intent=intent, name=name or name_from(folder))
    files = [str(path) for path in written]
    if as_json:
        show_json(
            {"schema": "bedplate.dev/init/v1", "ok": True, "template": template, "intent": intent, "files": files}
        )
        return 0
    for file in files:
        show(f"  + {file}")
    say("\nNext:")
    if folder != Path():
        say(f"  cd {folder}")
    say('  bedplate validate\n  bedplate up\n  bedplate ask "…"')
    return 0


def _choose(option: str, given: str | None, choices: tuple[str, ...], question: str) -> str:
    """The value given, else asked for on a terminal, else refused with the flag to use."""
    from bedplate.problems import BedplateError, ExitCode, Problem

    if given in choices:
        return given
    if given is not None or not interactive():
        summary = f"--{option} {given} is unknown" if given else f"--{option} is needed without a terminal"
        fix = " or ".join(f"--{option} {choice}" for choice in choices)
        raise BedplateError(Problem("BP701", summary, fix=fix), exit_code=ExitCode.USAGE)
    say(question)
    while True:
        answer = typer.prompt(f"  {' / '.join(choices)}", default=choices[0], err=True).strip().lower()
        match [choice for choice in choices if answer and choice.startswith(answer)]:
            case [choice]:
                return choice
            case _:
                say(f"  Please answer {' or '.join(choices)}.")


def validate(file: ManifestFile = DEFAULT_FILE, as_json: AsJson = False) -> int:
    """Check the manifest and everything it names, for every stage. All problems at once."""
    from bedplate.release.check import validate as check

    checked = check(file)
    blueprints, problems = checked.blueprints, checked.warnings
    if as_json:
        show_json(
            {
                "schema": "bedplate.dev/validate/v1",
                "ok": True,
                "agent": blueprints[0].name,
                "intent": blueprints[0].intent,
                "buildDigest": blueprints[0].digests.build,
                "stages": {b.stage: {"target": b.target, "behaviourDigest": b.digests.behaviour} for b in blueprints},
                "warnings": [p.to_json() for p in problems],
            }
        )
        return 0
    from bedplate.cli.output import problem_text

    for problem in problems:
        say(problem_text(problem))
    first = blueprints[0]
    show(f"{file} is valid: {first.intent} {first.name}, stages {', '.join(b.stage for b in blueprints)}")
    show(f"build {first.digests.build[:19]}")
    return 0


def explain(
    code: Annotated[str, typer.Argument(help="A code such as BP012; `all` lists every code.", metavar="CODE")],
    as_json: AsJson = False,
) -> int:
    """Say more about an error code: what it means, why it matters, how to mend it."""
    from dataclasses import asdict

    from bedplate.problems import BedplateError, ExitCode, Problem, catalogue
    from bedplate.problems import explain as look_up

    if code.lower() == "all":
        entries = catalogue().values()
        if as_json:
            show_json({"schema": "bedplate.dev/codes/v1", "codes": [asdict(e) for e in entries]})
        else:
            show("\n".join(f"{e.code}  {e.title}" for e in entries))
        return 0
    entry = look_up(code)
    if entry is None:
        fix = "`bedplate explain all` lists every code"
        raise BedplateError(Problem("BP702", f"no such code: {code}", fix=fix), exit_code=ExitCode.USAGE)
    if as_json:
        show_json({"schema": "bedplate.dev/code/v1", **asdict(entry)})
        return 0
    show(f"{entry.code}  {entry.title}\n\n{entry.explain}\n\nTo mend it:\n{entry.fix}\n\nExit code {int(entry.exit)}.")
    return 0


def schema(
    ceiling: Annotated[bool, typer.Option("--ceiling", help="Of a ceiling's file instead.")] = False,
) -> int:
    """Print the JSON Schema of agent.yaml."""
    from bedplate.manifest.schema import ceiling_schema, json_schema, schema_text

    show(schema_text(ceiling_schema() if ceiling else json_schema()))
    return 0


def completion(
    shell: Annotated[str, typer.Argument(help=f"One of {', '.join(SHELLS)}.", metavar="SHELL")],
) -> int:
    """Print a completion script: `eval "$(bedplate completion bash)"`."""
    from typer._completion_shared import get_completion_script

    from bedplate.problems import BedplateError, ExitCode, Problem

    if shell not in SHELLS:
        problem = Problem("BP701", f"no completion for {shell}", fix=f"one of {', '.join(SHELLS)}")
        raise BedplateError(problem, exit_code=ExitCode.USAGE)
    show(get_completion_script(prog_name="bedplate", complete_var="_BEDPLATE_COMPLETE", shell=shell))
    return 0
