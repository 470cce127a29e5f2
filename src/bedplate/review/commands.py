"""What to type next, exactly. Goes in: a review. Comes out: at most a dozen lines for a shell. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from bedplate.manifest.project import MANIFEST_NAME
from bedplate.problems import ExitCode
from bedplate.review.model import Review

_APPROVALS = 5
_STAGES = 3


def next_commands(review: Review) -> list[str]:
    """The lines, in the order to type them; comments say why."""
    path = PurePosixPath(review.file)
    folder = [f"cd {shlex.quote(str(path.parent))}"] if path.parent != PurePosixPath(".") else []
    file = "" if path.name == MANIFEST_NAME else f" --file {shlex.quote(path.name)}"
    return [*folder, *_commands(review, file)]


def _commands(review: Review, file: str) -> Iterator[str]:
    if review.exit is ExitCode.ERROR:
        yield f"bedplate validate{file}"
        return
    yield from _approvals(review, file)
    yield from _evals(review, file)
    if review.exit is ExitCode.OK:
        yield from _after(review, file)


def _approvals(review: Review, file: str) -> Iterator[str]:
    needed, base = review.needed, shlex.quote(review.base.asked)
    for row, ruling in needed[:_APPROVALS]:
        digest, stage = ruling.digest.removeprefix("sha256:")[:12], shlex.quote(ruling.stage)
        yield f'bedplate approve {digest}{file} --stage {stage} --base {base} --reason "…" --expires 30d   # {row.id}'
    if len(needed) > _APPROVALS:
        yield f"# … and {len(needed) - _APPROVALS} more: `bedplate approvals --stage …` lists them"
    if needed:
        yield 'git add approvals && git commit -m "…" && git push'


def _evals(review: Review, file: str) -> Iterator[str]:
    """Suites of a behaviour that is new and that nobody ran, and suites whose gates fail."""
    open_ones = [s for s in review.changed if any(e.pull_request and e.outcome != "PASS" for e in s.suites)]
    for stage in [s for s in open_ones if not s.promoted_from][:1]:
        name = shlex.quote(stage.name)
        yield f"bedplate up{file} --stage {name}"
        yield f"bedplate eval{file} --stage {name} --out evals.json"
        yield f"bedplate review{file} --base {shlex.quote(review.base.asked)} --evals evals.json"


def _after(review: Review, file: str) -> Iterator[str]:
    stages = [stage for stage in review.changed if stage.kind != "removed"]
    if stages:
        yield "# once it is merged"
    for stage in stages[:_STAGES]:
        name = shlex.quote(stage.name)
        yield f"bedplate promote{file} {name}" if stage.promoted_from else f"bedplate up{file} --stage {name}"
    for stage in [s for s in review.changed if s.kind == "removed"][:_STAGES]:
        yield f"bedplate destroy{file} --stage {shlex.quote(stage.name)}"
    if not review.changed:
        yield "# nothing to do"
