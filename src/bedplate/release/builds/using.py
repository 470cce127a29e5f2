"""Which builds something still needs: what runs, what was released lately, what was made last. Goes in: a project."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from bedplate.blueprint.paths import StagePaths
from bedplate.release.builds.model import PREFIX
from bedplate.release.builds.store import BuildStore, Collected
from bedplate.release.folders import deployed_stages

Released = Callable[[StagePaths], Iterable[str]]
"""From a stage to the digests of the builds that were released to it, the last one first."""
KEPT_RELEASES = 10
_TREE = re.compile(r"_builds/trees/([0-9a-f]{64})")


def released_builds(paths: StagePaths) -> list[str]:
    """What the stage's record of releases says. Raises BP770 where it is damaged."""
    from bedplate.release.records import ReleaseLog

    return [release.build for release in reversed(ReleaseLog(paths.folder / "releases.jsonl").releases())]


def deployed_build(paths: StagePaths, stage: str) -> str:
    """The build that a stage was brought up with last; "" where it never was."""
    from bedplate.release.status import stage_outputs

    return str(stage_outputs(paths, stage).get("buildDigest", ""))


def uses(home: Path, released: Released = released_builds) -> dict[str, tuple[str, ...]]:
    """By digest, who needs a build: stages by name, the last releases as `STAGE (released)`."""
    found: dict[str, list[str]] = {}
    for stage in deployed_stages(home):
        paths = StagePaths.of(home, stage)
        running = {deployed_build(paths, stage), *_named_in(paths)} - {""}
        for digest in sorted(running):
            found.setdefault(digest, []).append(stage)
        for digest in dict.fromkeys([*released(paths)][:KEPT_RELEASES]):
            if digest not in running:
                found.setdefault(digest, []).append(f"{stage} (released)")
    return {digest: tuple(who) for digest, who in found.items()}


def _named_in(paths: StagePaths) -> set[str]:
    """Builds that the stage's state or a running process names: an `up` that failed may have left another one."""
    files = [*paths.folder.glob("*.json"), *paths.folder.glob("*.jsonl"), *paths.run.glob("*.json")]
    return {PREFIX + digest for file in files for digest in _TREE.findall(file.read_text("utf-8", "replace"))}


def collect(home: Path, released: Released = released_builds) -> Collected | None:
    """Remove what nothing needs. None where another command holds the store. Raises BP760, BP770."""
    store = BuildStore(home)
    return store.collect(lambda: {*uses(home, released), *store.digests()[:1]})
