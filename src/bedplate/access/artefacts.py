"""What the compilers make, in one form: text for one target, each line with the line of `agent.yaml` behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Target = Literal["cedar", "iam", "postgres", "egress", "sandbox", "container"]


@dataclass(frozen=True)
class Line:
    """One line of an artefact, without its line end. `grant` is the id of the grant that it serves.

    `where` is that grant's place in the manifest (`agent.yaml:12:9`). Both are empty where a line serves all grants.
    """

    text: str
    grant: str = ""
    where: str = ""


@dataclass(frozen=True)
class Artefact:
    """What one target is given under `name`, such as a file's name. `media` is its media type."""

    target: Target
    name: str
    lines: tuple[Line, ...]
    media: str = "text/plain"

    @property
    def text(self) -> str:
        """The artefact as its target reads it; each line ends with a newline."""
        return "".join(f"{line.text}\n" for line in self.lines)


@dataclass(frozen=True)
class Remainder:
    """What a target cannot express, so that another layer must enforce it.

    `clause` names the part of the grant: a dotted argument path (`rows.tenant`), or `ask`, `only`, `limit`, `never`,
    `object`. `reason` is one sentence without a full stop.
    """

    grant: str
    clause: str
    reason: str
    where: str = ""


@dataclass(frozen=True)
class Compiled:
    """What one compiler made of one scope set: the artefacts, and everything of the scopes that is not in them."""

    artefacts: tuple[Artefact, ...]
    remainder: tuple[Remainder, ...] = ()
