"""What must hold before anything is planned or brought up: the manifest, its model, its datasets and gates.

`validate`, `plan`, `up` and `eval` share these checks, so that none accepts what another refuses.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedplate.blueprint.model import Blueprint, SecretRef
from bedplate.problems import BedplateError, Problem, Severity
from bedplate.release.target import Target, open_target


@dataclass(frozen=True)
class Validated:
    """Every stage of a valid manifest, and what is no error but worth saying."""

    blueprints: tuple[Blueprint, ...]
    warnings: tuple[Problem, ...]


def validate(manifest: Path) -> Validated:
    """Check every stage. Raises BedplateError with all problems of all stages, each once."""
    from bedplate.blueprint.resolve import resolve_all
    from bedplate.manifest.load import load

    blueprints = resolve_all(load(manifest))
    return Validated(blueprints, _raise_errors(p for b in blueprints for p in problems_of(b)))


def open_checked(manifest: Path, stage: str | None) -> Target:
    """`open_target`, and everything that `validate` would say of that stage."""
    target = open_target(manifest, stage)
    _raise_errors(problems_of(target.blueprint))
    return target


def open_deployable(manifest: Path, stage: str | None, environment: Mapping[str, str] | None = None) -> Target:
    """`open_checked`, and every secret is set: nothing is planned or started that could not run."""
    target = open_checked(manifest, stage)
    _raise_errors(_not_set(ref) for ref in missing_secrets(target.blueprint, environment))
    return target


def missing_secrets(blueprint: Blueprint, environment: Mapping[str, str] | None = None) -> tuple[SecretRef, ...]:
    """The secrets that neither the environment nor the project's `.env` holds."""
    from bedplate.blueprint.model import secrets_of
    from bedplate.providers.bedplate.credentials import dotenv

    given = os.environ if environment is None else environment
    written = dotenv(Path(blueprint.project) / ".env")
    return tuple(
        ref for ref in secrets_of(blueprint).values() if not (given.get(ref.variable) or written.get(ref.variable))
    )


def _not_set(ref: SecretRef) -> Problem:
    fix = f"export {ref.variable}=… or put {ref.variable}=… in .env"
    return Problem("BP751", f"secret {ref.name} is not set", fix=fix)


def problems_of(blueprint: Blueprint) -> tuple[Problem, ...]:
    """What is wrong with a blueprint beyond its manifest: the model cannot be used, a dataset or gate is unsound."""
    from bedplate.release.evaluate import check_suites
    from bedplate.runtime.models.providers import check as check_model

    return (*check_model(blueprint.model), *check_suites(blueprint))


def _raise_errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    unique: Sequence[Problem] = tuple(dict.fromkeys(problems))
    if any(p.severity is Severity.ERROR for p in unique):
        raise BedplateError(*unique)
    return tuple(unique)
