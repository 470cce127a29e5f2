"""Differences and failures between our types and messages of `pulumirpc.ResourceProvider`, both ways.

Goes in: a `Diff`, a failure, or the message for it. Comes out: the other. Source of the format: Pulumi's
`proto/pulumi/provider.proto`. It makes no calls. Import it only where a plugin is served or run: it imports Pulumi.
"""

from __future__ import annotations

import re
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2, status_pb2

from bedplate.engine.diffing import diff_properties
from bedplate.engine.provider import Checked, CheckFailure, Created, Diff, DiffKind, Incomplete, Properties
from bedplate.engine.values import from_struct, to_struct
from bedplate.problems import BedplateError, Problem

DETAILS: Final = "grpc-status-details-bin"
_KINDS: Final = {kind: getattr(provider_pb2.PropertyDiff, kind.name) for kind in DiffKind}
_FROM_KINDS: Final = {number: kind for kind, number in _KINDS.items()}
_OURS: Final = re.compile(r"^(?P<summary>.*) \[(?P<code>BP\d{3})\]$", re.MULTILINE)
_TOP = re.compile(r'\["([^"]*)"\]|([^.\[]+)')


def top_level(path: str) -> str:
    """The property that a path begins with: `config` of `config.limits[0]`."""
    match = _TOP.match(path)
    return path if match is None else str(match.group(1) or match.group(2))


def diff_response(diff: Diff, stable: frozenset[str]) -> Any:
    """A difference as the answer to Diff and DiffConfig."""
    response = provider_pb2.DiffResponse
    return response(
        changes=response.DIFF_SOME if diff.changes else response.DIFF_NONE,
        replaces=diff.replaces,
        stables=sorted(stable),
        diffs=list(dict.fromkeys(map(top_level, diff.properties))),
        deleteBeforeReplace=diff.delete_before_replace,
        hasDetailedDiff=bool(diff.properties),
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=_KINDS[kind], inputDiff=True) for path, kind in diff.properties.items()
        },
    )


def diff_of(response: Any, old_inputs: Properties, news: Properties) -> Diff:
    """The difference in an answer. A provider that does not know leaves it to the inputs; one without details names
    top-level properties only.
    """
    if response.changes == response.DIFF_NONE:
        return Diff()
    before = bool(response.deleteBeforeReplace)
    if response.hasDetailedDiff:
        found = {path: _kind_of(path, entry.kind) for path, entry in response.detailedDiff.items()}
    elif response.changes == response.DIFF_UNKNOWN:
        found = dict(diff_properties(old_inputs, news).properties)
    else:
        found = {path: _kind(path, old_inputs, news) for path in response.diffs}
    # What replaces may be named here alone, at top level or by its full path.
    replacing = set(response.replaces)
    kinds = {path: kind.replacing if {path, top_level(path)} & replacing else kind for path, kind in found.items()}
    covered = {*kinds, *map(top_level, kinds)}
    missing = {path: _kind(path, old_inputs, news).replacing for path in response.replaces if path not in covered}
    properties = {**kinds, **missing}
    quiet = response.changes == response.DIFF_SOME and not properties
    return Diff(properties, before, "the provider sees a change that it does not name" if quiet else "")


def _kind_of(path: str, number: int) -> DiffKind:
    if (kind := _FROM_KINDS.get(number)) is None:
        summary = f"the plugin sees a difference in {path} of a kind that the protocol does not have: {number}"
        raise BedplateError(Problem("BP244", summary, fix="use another version of the plugin"))
    return kind


def _kind(path: str, old: Properties, new: Properties) -> DiffKind:
    match path in old, path in new:
        case False, True:
            return DiffKind.ADD
        case True, False:
            return DiffKind.DELETE
        case _:
            return DiffKind.UPDATE


def check_response(checked: Checked) -> Any:
    """Checked inputs as an answer."""
    if checked.failures:
        return provider_pb2.CheckResponse(failures=[_failure(each) for each in checked.failures])
    return provider_pb2.CheckResponse(inputs=to_struct(checked.inputs))


def checked_of(response: Any) -> Checked:
    """Checked inputs of an answer."""
    return Checked(from_struct(response.inputs), failures_of(response))


def failures_of(response: Any) -> tuple[CheckFailure, ...]:
    """Why inputs or arguments were refused."""
    return tuple(CheckFailure(failure.property, failure.reason) for failure in response.failures)


def _failure(failure: CheckFailure) -> Any:
    return provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)


def text_of(error: BedplateError) -> str:
    """A problem as one message for an engine that knows nothing of problems: what is wrong and what to do."""
    lines = []
    for problem in error.problems:
        lines.append(f"{problem.summary} [{problem.code}]")
        lines += [problem.detail] if problem.detail else []
        lines += [f"fix: {problem.fix}"] if problem.fix else []
    return "\n".join(lines)


def problems_in(text: str) -> tuple[Problem, ...]:
    """What a plugin said, as problems: one of ours comes back as it was (`text_of`), anything else is BP244."""
    starts = list(_OURS.finditer(text))
    if not starts or starts[0].start() != 0:
        return (Problem("BP244", one_line(text), detail=rest(text)),)
    ends = [*(match.start() for match in starts[1:]), len(text)]
    return tuple(_ours(match, text[match.end() : end]) for match, end in zip(starts, ends, strict=True))


def _ours(match: re.Match[str], after: str) -> Problem:
    detail, _, fix = after.strip("\n").rpartition("fix: ")
    return Problem(match["code"], match["summary"], detail=detail.strip("\n"), fix=fix)


def incomplete_details(error: Incomplete) -> bytes:
    """The status that says: the resource exists, and did not come up."""
    reasons = [problem.summary for problem in error.problems]
    failed = provider_pb2.ErrorResourceInitFailed(
        id=error.created.id,
        properties=to_struct(error.created.outputs),
        inputs=to_struct(error.inputs),
        reasons=reasons,
    )
    detail = AnyMessage()
    detail.Pack(failed)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=text_of(error), details=[detail])
    encoded: bytes = status.SerializeToString()
    return encoded


def incomplete_of(error: Any) -> Incomplete | None:
    """A failed call that left a resource behind, or None where it left nothing."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS:
            for detail in status_pb2.Status.FromString(value).details:
                failed = provider_pb2.ErrorResourceInitFailed()
                if detail.Unpack(failed):
                    return _incomplete(failed, error.details())
    return None


def _incomplete(failed: Any, message: str) -> Incomplete:
    reasons = tuple(failed.reasons) or (message,)
    problems = (Problem("BP244", one_line(reason), detail=rest(reason)) for reason in reasons)
    inputs = from_struct(failed.inputs)
    return Incomplete(Created(failed.id, from_struct(failed.properties)), *problems, inputs=inputs)


def one_line(text: str) -> str:
    """The first line of a message."""
    return (text.strip().splitlines() or ["no reason given"])[0]


def rest(text: str) -> str:
    """What follows the first line."""
    return "\n".join(text.strip().splitlines()[1:])
