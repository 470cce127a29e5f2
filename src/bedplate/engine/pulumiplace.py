"""Where the Pulumi CLI finds a stack: its folder, its backend and the passphrase of its secrets.

Goes in: a stack and an environment. Comes out: a `Place`, and its files `Pulumi.yaml` and `Pulumi.<stack>.yaml`
(pulumi/pulumi, sdk/go/common/workspace/project.go). It starts nothing.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bedplate.engine.api import StackRef
from bedplate.engine.secrets import KEY_FILE
from bedplate.problems import BedplateError, Problem

FOLDER: Final = "pulumi"
"""The folder in the stack's that holds project, configuration and, without another backend, the state."""
_SERVICE: Final = ("http://", "https://")


@dataclass(frozen=True)
class Place:
    """`folder` holds project and configuration; `variables` tell the CLI the backend and the passphrase.

    `own` is the backend's folder where that is the stack's own.
    """

    folder: Path
    variables: Mapping[str, str]
    own: Path | None = None

    @property
    def empty(self) -> bool:
        """Whether there can be no stack, because nothing was ever kept in its own folder."""
        return self.own is not None and not self.own.exists()

    def erase(self) -> None:
        """Remove the folder."""
        if self.folder.exists():
            shutil.rmtree(self.folder)


def place_of(stack: StackRef, backend: str, environment: Mapping[str, str], *, make: bool = False) -> Place:
    """The place of a stack, made where asked for. Without `backend` it is where it was, or a folder of the stack.

    Raises BedplateError BP262 where the stack's state is kept in another backend.
    """
    folder = stack.folder / FOLDER
    url = _noted(stack, folder / "backend", backend)
    own = None if url else folder / "state"
    if make:
        for each in (folder, *([own] if own else [])):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "backend").write_text(url, "utf-8")
    url = url or f"file://{own}"
    return Place(folder, {"PULUMI_BACKEND_URL": url, **_passphrase(stack, url, environment, make=make)}, own)


def _noted(stack: StackRef, note: Path, backend: str) -> str:
    """The backend that was noted when the stack was made, else the one given; empty for the stack's own folder."""
    if not note.exists():
        return backend
    noted = note.read_text("utf-8")
    if backend and backend != noted:
        kept = noted or "the stage's own folder"
        raise BedplateError(
            Problem(
                "BP262",
                f"the state of {stack.name} is kept in {kept}, not in {backend}",
                fix="name that backend; to move the state: `pulumi stack export` and `import`",
            )
        )
    return noted


def throwaway(folder: Path) -> Place:
    """A place for the preview of a stack that does not exist."""
    own = folder / "state"
    own.mkdir()
    return Place(folder, {"PULUMI_BACKEND_URL": f"file://{own}", "PULUMI_CONFIG_PASSPHRASE": "preview"}, own)


def _passphrase(stack: StackRef, url: str, environment: Mapping[str, str], *, make: bool) -> dict[str, str]:
    """What opens the stack's secrets: what the environment says, else the file that the embedded engine uses too."""
    if {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & environment.keys() or url.startswith(_SERVICE):
        return {}
    return {"PULUMI_CONFIG_PASSPHRASE": passphrase_in(stack.folder, make=make)}


def passphrase_in(folder: Path, *, make: bool) -> str:
    """The passphrase in a stack's folder, made where asked for; empty where there is none."""
    file = folder / KEY_FILE
    if make and not file.exists():
        file.touch(mode=0o600)
        file.write_text(base64.b64encode(os.urandom(24)).decode() + "\n", "utf-8")
    return file.read_text("utf-8").split("\n", 1)[0] if file.exists() else ""


def write_settings(folder: Path, stack: StackRef, config: Mapping[str, str] | None) -> None:
    """Write the project, and the configuration where it is given. What Pulumi keeps beside it (the salt) stays."""
    project = {"name": stack.project, "runtime": "python"}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), "utf-8")
    if config is None:
        return
    file = folder / f"Pulumi.{stack.name}.yaml"
    kept: dict[str, Any] = (yaml.safe_load(file.read_text("utf-8")) or {}) if file.exists() else {}
    kept["config"] = {key if ":" in key else f"{stack.project}:{key}": value for key, value in config.items()}
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(kept), "utf-8")
