"""The gates before a promotion: the suites marked `promote`, with the target stage's behaviour, from the build.

Goes in: the target. Comes out: reports. The questions go to a temporary stage that nobody else brings up or asks, so
that what answers is this build and no other; it leaves nothing behind but the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.blueprint.paths import StagePaths
from bedplate.release.deployment import prepare
from bedplate.release.destroy import DeployedStage, destroy
from bedplate.release.evaluate import evaluate
from bedplate.release.running import RunningStage, running_stage
from bedplate.release.target import Target

if TYPE_CHECKING:
    from bedplate.evals.report import SuiteReport
    from bedplate.evals.runner import Progress


def run_gates(
    target: Target,
    results: Path,
    allow_unsandboxed: bool,
    progress: Callable[[Progress], None] | None,
) -> tuple[SuiteReport, ...]:
    """Run the suites that a promotion needs, and keep their reports in `results`. Raises BedplateError."""
    names = [suite.name for suite in target.blueprint.evals if "promote" in suite.run_on]
    if not names:
        return ()
    with temporary_stage(target, allow_unsandboxed) as stage:
        return tuple(evaluate(stage, names, progress=progress, results=results))


@contextmanager
def temporary_stage(target: Target, allow_unsandboxed: bool) -> Iterator[RunningStage]:
    """The target's behaviour in a stage of its own, on a free port, with an empty memory; destroyed at the end."""
    folder = target.paths.folder.with_name(f"_gates-{target.blueprint.stage}")
    blueprint = replace(target.blueprint, expose=replace(target.blueprint.expose, port=None))
    temporary = replace(target, blueprint=blueprint, paths=StagePaths(folder))
    left = DeployedStage(blueprint.stage, target.home, temporary.paths)
    if folder.exists():  # of a promotion that was killed
        destroy(left)
    try:
        prepare(temporary, allow_unsandboxed).apply()
        yield running_stage(temporary)
    finally:
        destroy(left)
