"""Requirements files in which every package is pinned by version and by the hashes of its files. Pure.

The format is pip's (https://pip.pypa.io/en/stable/reference/requirements-file-format/), of which only pinned lines with
`--hash=sha256:` are accepted: anything else could bring in what nobody has looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9._, -]*\])?\s*==\s*(?P<version>[A-Za-z0-9.!+_-]+)"
    r"\s*(;[^#]*?)?(?P<hashes>(\s+--hash=sha256:[0-9a-f]{64})+)"
)


@dataclass(frozen=True)
class Requirement:
    """One package: its version, the SHA-256 of each file that it may be, and the line where it begins."""

    name: str
    version: str
    hashes: frozenset[str]
    line: int


@dataclass(frozen=True)
class NotPinned(ValueError):
    """A line that is no pinned requirement with hashes."""

    line: int
    text: str


def requirements_of(text: str) -> tuple[Requirement, ...]:
    """The packages of a requirements file. Raises NotPinned for the first line that is none."""
    return tuple(_requirement(number, line) for number, line in _lines(text))


def _requirement(number: int, line: str) -> Requirement:
    found = _PINNED.fullmatch(line)
    if not found:
        raise NotPinned(number, line)
    hashes = frozenset(word.removeprefix("--hash=sha256:") for word in found["hashes"].split())
    return Requirement(found["name"], found["version"], hashes, number)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, with `\\` at their ends joined and comments taken away."""
    begun, number = "", 0
    for at, line in enumerate(text.splitlines(), 1):
        number = number if begun else at
        said = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        begun += said.removesuffix("\\") + " "
        if not said.endswith("\\"):
            if begun.strip():
                yield number, begun.strip()
            begun = ""
    if begun.strip():
        yield number, begun.strip()
