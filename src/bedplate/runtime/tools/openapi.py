"""The operations of an OpenAPI document that a tool of type http offers: those that a grant can meet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bedplate.access import Grant
from bedplate.blueprint.apidocument import Broken, Document
from bedplate.blueprint.openapi import ApiOperation, read_api
from bedplate.problems import BedplateError, Problem
from bedplate.runtime.tools.common import log


def read_openapi(tool: str, file: Path, *, base_url: str | None, grants: Sequence[Grant]) -> tuple[ApiOperation, ...]:
    """The operations of `file` that some grant of `tool` can meet. Raises BedplateError BP452.

    An operation that needs what is not supported (a cookie parameter, a multipart body) is left out with a log line.
    """
    mine = [grant for grant in grants if grant.tool == tool]
    try:
        found = read_api(
            tool,
            Document.read(file),
            base_url,
            lambda method, pattern: any(g.verb == method and overlaps(g.pattern, pattern) for g in mine),
        )
    except Broken as error:
        raise _unusable(tool, file, str(error)) from error
    for left_out in found.left_out:
        log.warning("tool %s: %s", tool, left_out)
    return found.operations


def overlaps(left: str, right: str) -> bool:
    """Whether some text matches both globs."""
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        a, b = left[i : i + 1], right[j : j + 1]
        if not a and not b:
            return True
        steps = {
            (i + 1, j) if a == "*" else None,
            (i, j + 1) if b == "*" or (a == "*" and b) else None,
            (i + 1, j) if b == "*" and a else None,
            (i + 1, j + 1) if a and a == b else None,
        }
        todo += [step for step in steps if step and step not in reached]
        reached.update(step for step in steps if step)
    return False


def _unusable(tool: str, file: Path, detail: str) -> BedplateError:
    return BedplateError(
        Problem(
            "BP452",
            f"tool {tool}: the OpenAPI document {file.name} cannot be used",
            detail=detail,
            fix="mend or replace the document; `bedplate explain BP452` says what is needed",
        )
    )
