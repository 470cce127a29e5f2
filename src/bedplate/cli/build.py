"""`build`: make a build, list builds, compare two, and remove what nothing needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile
from bedplate.cli.output import ago, say, show, show_json, strong, table

if TYPE_CHECKING:
    from bedplate.release.builds.compare import BuildDiff

_NAMED = Annotated[str, typer.Argument(help="A digest's first digits, a stage, or `.` for the files as they are now.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=False, rich_markup_mode=None)
    group.callback(invoke_without_command=True)(build)
    group.command("list")(list_)
    group.command("diff")(diff)
    group.command("collect")(collect)
    app.add_typer(group, name="build")


def build(context: typer.Context, file: ManifestFile = DEFAULT_FILE, as_json: AsJson = False) -> int:
    """Make a build: the manifest and every file it names, under a digest that is the same everywhere."""
    if context.invoked_subcommand:
        return 0
    from dataclasses import asdict

    from bedplate.release.builds.make import make
    from bedplate.release.builds.store import BuildStore
    from bedplate.release.check import open_buildable

    target = open_buildable(file)
    store = BuildStore(target.home)
    with store.holding():
        known = store.record(target.inputs.digest).exists()
        made = make(target)
    if as_json:
        files, wheels = [asdict(ref) for ref in made.laid_out().values()], [asdict(ref) for ref in made.wheels]
        facts = {"agent": target.blueprint.name, "buildDigest": made.digest, "new": not known, "bytes": made.size}
        show_json({"schema": "bedplate.dev/build/v1", "ok": True, **facts, "files": files, "wheels": wheels})
        return 0
    show(f"{strong(f'build {made.short}')}   {target.blueprint.name}, {'unchanged' if known else 'new'}\n")
    rows = [("digest", made.digest), ("files", f"{len(made.laid_out()):,}"), ("size", _size(made.size))]
    show(table([*rows, *([("packages", f"{len(made.wheels):,}")] if made.wheels else [])]))
    return 0


def list_(file: ManifestFile = DEFAULT_FILE, as_json: AsJson = False) -> int:
    """List the builds that are kept, the one made last first, and what uses them."""
    import time

    from bedplate.release.builds.store import BuildStore
    from bedplate.release.builds.using import uses
    from bedplate.release.folders import home_of

    home = home_of(file)
    store, used = BuildStore(home), uses(home)
    rows = [(build, store.made(build.digest), used.get(build.digest, ())) for build in store.records()]
    if as_json:
        builds = [
            {"buildDigest": b.digest, "made": at, "files": len(b.laid_out()), "bytes": b.size, "uses": list(who)}
            for b, at, who in rows
        ]
        show_json({"schema": "bedplate.dev/builds/v1", "ok": True, "builds": builds})
        return 0
    lines = [
        (b.short, ago(time.time() - at), f"{len(b.laid_out()):,} files", _size(b.size), ", ".join(who))
        for b, at, who in rows
    ]
    show(table(lines) if lines else "No builds. `bedplate build` makes one.")
    return 0


def diff(
    old: _NAMED,
    new: Annotated[str, typer.Argument(help="The same; the files as they are now unless given.")] = ".",
    file: ManifestFile = DEFAULT_FILE,
    as_json: AsJson = False,
) -> int:
    """Say in the manifest's words what differs between two builds."""
    from bedplate.release.builds.compare import compare
    from bedplate.release.builds.sides import side

    found = compare(side(file, old), side(file, new))
    if as_json:
        show_json(found.to_json())
    else:
        show(diff_screen(found))
    return 0


def diff_screen(found: BuildDiff) -> str:
    """What differs on one screen: fields of the manifest, then files."""
    head = strong(f"{found.old[7:19]} → {found.new[7:19]}")
    if found.empty:
        return f"{head}   the same build"
    parts = [head]
    if found.fields:
        parts += ["", "  manifest", table([(f.path, f"{f.old} → {f.new}", f.where) for f in found.fields], indent=4)]
    files = [(f.symbol, f.path, f.what, f.lines, f.where) for f in (*found.files, *found.lock_file)]
    return "\n".join([*parts, "", "  files", table(files, indent=4)] if files else parts)


def collect(file: ManifestFile = DEFAULT_FILE, as_json: AsJson = False) -> int:
    """Remove builds that nothing uses. Kept: what runs, the last ten releases of each stage, the build made last."""
    from bedplate.cli.planscreen import counted
    from bedplate.problems import BedplateError, Problem
    from bedplate.release.builds.using import collect as remove
    from bedplate.release.folders import home_of

    removed = remove(home_of(file))
    if removed is None:
        fix = "run it again when that command has ended"
        raise BedplateError(Problem("BP766", "another command uses the builds of this project", fix=fix))
    if as_json:
        document = {"builds": list(removed.builds), "bytes": removed.bytes}
        show_json({"schema": "bedplate.dev/build-collect/v1", "ok": True, **document})
        return 0
    for digest in removed.builds:
        say(f"  removed {digest[7:19]}")
    show(f"{counted(len(removed.builds), 'build')} removed, {_size(removed.bytes)} freed.")
    return 0


def _size(number: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
