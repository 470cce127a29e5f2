"""What the workflows are made of: the agent, its stages in the order of promotion, and where it stands in git."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bedplate.blueprint.model import Blueprint, secrets_of
from bedplate.problems import BedplateError, Problem
from bedplate.release.check import validate
from bedplate.review.git import Repository

_MAIN = "main"
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/"
"""What a path may be made of: it stands in YAML and in shell scripts."""
NOTE = "Whether a key changes is not known to this plan."
"""Below the plan of a stage that has keys: they are in its environment, which the plan's job does not have."""


@dataclass(frozen=True)
class Step:
    """One stage. `source` is the stage it is promoted from, "" for a first one; `secrets` are variables."""

    name: str
    source: str
    secrets: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """`root` is the repository's folder; `folder` the manifest's within it ("" for the root), `file` its name.

    `suites` are the eval suites that run on pull requests, with the first stage's behaviour.
    """

    agent: str
    root: Path
    folder: str
    file: str
    branch: str
    version: str
    stages: tuple[Step, ...]
    suites: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """Tells agents of one repository apart: "" for one at its root, else the agent's name and a dash."""
        return f"{self.agent}-" if self.folder else ""

    @property
    def path(self) -> str:
        """The manifest's path in the repository."""
        return str(PurePosixPath(self.folder) / self.file)

    @property
    def option(self) -> str:
        """What commands need to find the manifest, after its folder was entered."""
        return "" if self.file == "agent.yaml" else f" --file {self.file}"


def read_facts(manifest: Path, branch: str | None, version: str) -> Facts:
    """The facts of a manifest. Raises every problem of the manifest, BP791 outside git, BP798 for an odd name."""
    blueprints = validate(manifest).blueprints
    home = manifest.resolve().parent
    repository = Repository(home)
    folder = repository.prefix.rstrip("/")
    first = blueprints[0]
    facts = Facts(
        agent=first.name,
        root=home.parents[folder.count("/")] if folder else home,
        folder=folder,
        file=manifest.name,
        branch=branch or repository.default_branch() or _MAIN,
        version=version,
        stages=tuple(_ordered(blueprints)),
        suites=tuple(suite.name for suite in first.evals if "pullRequest" in suite.run_on),
    )
    _require_plain(facts)
    return facts


def plan_command(facts: Facts, stage: Step) -> str:
    """The command without `bedplate` that shows what a stage's release would do."""
    promoted = f"promote{facts.option} {stage.name} --dry-run"
    return promoted if stage.source else f"plan{facts.option} --stage {stage.name}"


def release_command(facts: Facts, stage: Step) -> str:
    """The command without `bedplate` that releases a stage."""
    return f"promote{facts.option} {stage.name}" if stage.source else f"up{facts.option} --stage {stage.name}"


def _ordered(blueprints: Iterable[Blueprint]) -> Iterator[Step]:
    """Each stage after the one that it is promoted from, otherwise as they are written."""
    waiting = list(blueprints)
    done: set[str | None] = {None}
    while waiting:
        ready = next(one for one in waiting if one.promoted_from in done)
        waiting.remove(ready)
        done.add(ready.stage)
        secrets = tuple(sorted(ref.variable for ref in secrets_of(ready).values()))
        yield Step(ready.stage, ready.promoted_from or "", secrets)


def _require_plain(facts: Facts) -> None:
    for what, name in (("path", facts.path), ("branch", facts.branch)):
        if not name or name.startswith(("-", "/")) or set(name) - set(_PLAIN):
            fix = "use letters, digits, dots, dashes and slashes"
            raise BedplateError(Problem("BP798", f"the {what} {name!r} cannot stand in a workflow", fix=fix))
