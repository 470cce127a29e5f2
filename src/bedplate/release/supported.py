"""What of a stage nothing here can deploy or enforce yet.

Goes in: a blueprint. Comes out: problems, each with its line.

Such a stage validates, compiles and is compared; only planning and bringing it up are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from bedplate.blueprint.grants import HTTP
from bedplate.blueprint.model import Blueprint, McpTool, PythonTool, SqlTool
from bedplate.problems import BedplateError, Problem, Where


def require_supported(blueprint: Blueprint) -> None:
    """Raises BedplateError with all problems of a stage that cannot be brought up: BP801, BP802."""
    if problems := tuple(unsupported(blueprint)):
        raise BedplateError(*problems)


def unsupported(blueprint: Blueprint) -> Iterator[Problem]:
    """What keeps a stage from being planned and brought up."""
    if blueprint.target != "local":
        line = blueprint.lines.get(f"stages.{blueprint.stage}", 0)
        what = f"stage `{blueprint.stage}` has the target `{blueprint.target}`, to which nothing is deployed yet"
        where = Where(blueprint.model.where.rpartition(":")[0], line)
        yield Problem("BP801", what, where, fix="use a stage with `target: local`; validating works as it is")
        return
    found = {(where, what): None for what, where in _unenforced(blueprint)}
    for written, what in found:
        summary = f"{what}: not enforced by the local target yet"
        yield Problem("BP802", summary, _place(written), fix="leave it out for now")


def _unenforced(blueprint: Blueprint) -> Iterator[tuple[str, str]]:
    """What is written, and where."""
    own = {tool.name for tool in blueprint.tools if isinstance(tool, PythonTool | McpTool)}
    for grant in blueprint.scopes.grants:
        if grant.tool in own and grant.verb in HTTP and "://" in grant.pattern:
            yield f"egress of `{grant.tool}`", grant.where
        if grant.tool == "sandbox":
            yield f"`sandbox.{grant.verb}`", grant.where
    yield from ((f"the tool `{t.name}` of type sql", t.where) for t in blueprint.tools if isinstance(t, SqlTool))
    yield from ((f"the data `{s.name}` of type {s.type}", s.where) for s in blueprint.stores)
    yield from ((f"the state `{key.name}`", key.where) for key in blueprint.state)


def _place(where: str) -> Where:
    file, _, line = where.rpartition(":")
    return Where(file, int(line))
