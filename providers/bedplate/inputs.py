"""Reading inputs, and writing private files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from bedplate.engine.provider import Properties
from bedplate.problems import BedplateError, Problem

T = TypeVar("T")


def required(type_token: str, inputs: Properties, name: str, kind: type[T]) -> T:
    """The input `name`. Raises BedplateError (BP320) where it is missing or of another type."""
    value: Any = inputs.get(name)
    if isinstance(value, kind):
        return value
    what = "is missing" if value is None else f"is {type(value).__name__}, wanted is {kind.__name__}"
    raise BedplateError(Problem("BP320", f"input {name} of {type_token} {what}"))


def write_private(path: Path, text: str) -> None:
    """Write `path` whole, readable by its owner only, in a folder that only its owner can enter."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text, "utf-8")
    draft.replace(path)


def moved(outputs: Properties, path: Path) -> str:
    """The note of a resource whose file was made at another place; "" where it was made at `path`."""
    return "" if outputs.get("path", str(path)) == str(path) else "the project was moved"
