"""New projects from templates. Goes in: a folder and choices. Comes out: the files written. It never overwrites."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from bedplate.manifest.words import did_you_mean
from bedplate.problems import BedplateError, Problem, Where

TEMPLATES = {
    "support": "answers questions from a folder of documents, with an FAQ as its eval",
    "blank": "the smallest agent that answers, to build on",
}
"""The templates with what each is for."""
INTENTS = ("script", "product")


def scaffold(folder: Path, template: str, intent: str, name: str) -> list[Path]:
    """Write a new project and return its files, the manifest first.

    `intent` is `script` or `product`; `name` the agent's. Raises BedplateError where a file is in the way (BP120; then
    nothing is written), or a choice does not exist (BP121, BP013).
    """
    _check(template, intent, name)
    content = {path: _fill(text, intent, name) for path, text in _sources(template, intent)}
    taken = sorted(path for path in content if (folder / path).exists())
    if taken:
        fix = "choose another folder, or move what is there away"
        raise BedplateError(
            *(Problem("BP120", f"{folder / path} exists already", Where(path), fix=fix) for path in taken)
        )
    for path, text in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return [folder / path for path in sorted(content, key=lambda path: (path != "agent.yaml", path))]


def name_from(folder: Path) -> str:
    """A name for the agent made of the folder's: `My Agent` becomes `my-agent`; `agent` where nothing is left."""
    plain = unicodedata.normalize("NFKD", folder.name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    named = slug.lstrip("-0123456789") or f"agent-{slug}"
    return named[:63].rstrip("-")


def _check(template: str, intent: str, name: str) -> None:
    from bedplate.manifest.fields import SLUG

    if template not in TEMPLATES:
        raise BedplateError(
            Problem("BP121", f"there is no template `{template}`", fix=did_you_mean(template, TEMPLATES))
        )
    if intent not in INTENTS:
        raise BedplateError(Problem("BP013", f"intent is `{intent}`; it must be script or product", fix="choose one"))
    if not re.fullmatch(SLUG, name) or len(name) > 63:
        fix = "use lower-case letters, digits and single hyphens, at most 63 characters, such as support-agent"
        raise BedplateError(Problem("BP013", f"`{name[:70]}` is no name for an agent", fix=fix))


def _sources(template: str, intent: str) -> Iterator[tuple[str, str]]:
    """The template's files: what is in `all`, and in the folder of the intent."""
    root = files("bedplate.manifest").joinpath("templates", template)
    for part in ("all", intent):
        if root.joinpath(part).is_dir():
            yield from _below(root.joinpath(part), "")


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_text("utf-8")


def _fill(text: str, intent: str, name: str) -> str:
    from bedplate.manifest.schema import SCHEMA_URL

    return text.replace("@NAME@", name).replace("@INTENT@", intent).replace("@SCHEMA@", SCHEMA_URL)
