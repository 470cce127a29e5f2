"""What must hold before anything is planned or brought up: the manifest, its model, its datasets and gates.

`validate`, `plan`, `up` and `eval` share these checks, so that none accepts what another refuses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bedplate.access.prove import Spent
from bedplate.blueprint.model import Blueprint, SecretRef
from bedplate.blueprint.resolve import BuildInputs, Draft, draft, drafts
from bedplate.manifest.load import LoadedManifest, examine, in_order
from bedplate.manifest.overlay import ANY
from bedplate.problems import BedplateError, Problem, Severity
from bedplate.release.enforcing import PATIENCE, needless, problems_of, today, within
from bedplate.release.target import Target, target


@dataclass(frozen=True)
class Validated:
    """Every stage of a valid manifest, and what is no error but worth saying."""

    blueprints: tuple[Blueprint, ...]
    warnings: tuple[Problem, ...]
    loaded: LoadedManifest
    inputs: BuildInputs


def validate(manifest: Path, *, enforced: bool = True) -> Validated:
    """Check every stage. Raises BedplateError with all problems of all stages, each once.

    Without `enforced` it is not checked what holds the scopes: for what others compare with, which was judged then.
    """
    loaded = examine(manifest)
    made = drafts(loaded)
    spent = within(PATIENCE)
    warnings = _raise_errors(p for one in made for p in _problems_of_draft(one, spent if enforced else None))
    blueprints = tuple(one.sketch for one in made)
    vain = tuple(needless(blueprints, today())) if enforced else ()
    return Validated(blueprints, in_order((*warnings, *vain)), loaded, made[0].inputs)


def open_checked(manifest: Path, stage: str | None, *, enforced: bool = True) -> Target:
    """`open_target`, and everything that `validate` would say of that stage, all at once; `enforced` as there."""
    return _open(manifest, stage, lambda made: _problems_of_draft(made, within(PATIENCE) if enforced else None))


def open_buildable(manifest: Path) -> Target:
    """The first stage, and everything that `validate` would say of any: a build is for all of them."""
    loaded = examine(manifest)
    made = drafts(loaded)
    spent = within(PATIENCE)
    _raise_errors(p for one in made for p in _problems_of_draft(one, spent))
    return target(manifest, loaded, made[0].sketch, made[0].inputs)


def open_deployable(manifest: Path, stage: str | None, environment: Mapping[str, str] | None = None) -> Target:
    """`open_checked`, and every secret is set: nothing is planned or started that could not run."""

    def problems(made: Draft) -> Iterator[Problem]:
        yield from _problems_of_draft(made, within(PATIENCE))
        yield from (_not_set(ref) for ref in missing_secrets(made.sketch, Path(made.sketch.project), environment))

    return _open(manifest, stage, problems)


def _open(manifest: Path, stage: str | None, problems: Callable[[Draft], Iterable[Problem]]) -> Target:
    loaded = examine(manifest)
    made = draft(loaded, stage)
    _raise_errors(problems(made))
    return target(manifest, loaded, made.sketch, made.inputs)


def require_secrets(target: Target, environment: Mapping[str, str] | None = None) -> None:
    """Raises BP751 for each secret of the stage that is not set."""
    missing = missing_secrets(target.blueprint, target.home, environment)
    _raise_errors(_not_set(ref) for ref in missing)


def missing_secrets(
    blueprint: Blueprint, home: Path, environment: Mapping[str, str] | None = None
) -> tuple[SecretRef, ...]:
    """The secrets that neither the environment nor the `.env` in `home`, the project's folder, holds."""
    from bedplate.blueprint.model import secrets_of
    from bedplate.providers.bedplate.credentials import dotenv

    given = os.environ if environment is None else environment
    written = dotenv(home / ".env")
    return tuple(
        ref for ref in secrets_of(blueprint).values() if not (given.get(ref.variable) or written.get(ref.variable))
    )


def _not_set(ref: SecretRef) -> Problem:
    fix = f"export {ref.variable}=… or put {ref.variable}=… in .env"
    return Problem("BP751", f"secret {ref.name} is not set", fix=fix)


def _problems_of_draft(made: Draft, spent: Spent | None) -> Iterator[Problem]:
    """All that is wrong with a stage. What is left out of the sketch is reported; what follows from it is not.

    What holds its scopes is asked where nothing is left out, and `spent` says until when.
    """
    from bedplate.release.evaluate import check_suites
    from bedplate.runtime.models.providers import check as check_model

    yield from made.problems
    lacks = made.source.lacks
    if not any(lacks("model", field) for field in ("id", "baseUrl", "credentials")):
        yield from check_model(made.sketch.model)
    doubtful = {"BP518"} if lacks("tools", ANY) or lacks("memory", "longTerm") else set()
    yield from (problem for problem in check_suites(made.sketch) if problem.code not in doubtful)
    if spent is not None and not made.problems:
        yield from problems_of(made.sketch, today(), spent)


def _raise_errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    found = in_order(problems)
    if any(p.severity is Severity.ERROR for p in found):
        raise BedplateError(*found)
    return found
