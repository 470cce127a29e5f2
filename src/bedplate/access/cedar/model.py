"""What the Cedar compiler makes: policies, each with its grant, and for each action the shape of its context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bedplate.access.artefacts import Artefact, Compiled, Line, Remainder
from bedplate.access.model import Kind, Never, Operation

Group = Literal["permit", "ask", "never"]
ProfileName = Literal["gateway", "agentcore"]


class NotOurs(Exception):
    """Cedar text that this compiler does not write. The message begins with the policy's place."""


@dataclass(frozen=True)
class Slot:
    """An argument as policies see it: the attribute at `path` of the context's record `root`, of a type for `kind`.

    `root` is `input`; `input2` and so on where two grants read one argument as different kinds; `text` for whole
    numbers that are compared with a claim, which is text.
    """

    root: str
    path: tuple[str, ...]
    kind: Kind

    @property
    def base(self) -> str:
        """The record as an expression."""
        return f"context.{self.root}"


@dataclass(frozen=True)
class Shape:
    """What the context of one action holds besides operation, object and kind; nothing that no policy reads.

    `absent`: paths of which policies ask whether they are given; `within`: tests of lists by wildcards, which Cedar
    cannot do, so the caller does them; `only`: whether the names of all arguments are needed.
    """

    slots: tuple[Slot, ...] = ()
    claims: tuple[str, ...] = ()
    absent: tuple[tuple[str, ...], ...] = ()
    within: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    only: bool = False


@dataclass(frozen=True)
class Policy:
    """One Cedar policy. `action` is "" for every action; `object` the only object that it can match, None for several.

    `text` ends without a line end. `grant` and `where` are the scope behind it; both "" or the line alone for `never`.
    """

    group: Group
    text: str
    grant: str
    where: str
    action: str = ""
    object: str | None = None


@dataclass(frozen=True)
class Policies:
    """Everything compiled from one scope set. `never` and `operations` are those of the scope set.

    `permits` and `asks` each hold what `never` forbids too, so that each set can be evaluated alone.
    """

    profile: ProfileName
    policies: tuple[Policy, ...]
    schema: str
    shapes: Mapping[str, Shape]
    never: tuple[Never, ...] = ()
    operations: tuple[Operation, ...] = ()
    remainder: tuple[Remainder, ...] = ()

    def of(self, *groups: Group) -> Iterator[Policy]:
        """The policies of some groups, in their order."""
        return (policy for policy in self.policies if policy.group in groups)

    def text(self, *groups: Group) -> str:
        """Their Cedar text."""
        return "".join(f"{policy.text}\n" for policy in self.of(*groups))

    @property
    def compiled(self) -> Compiled:
        """As files: `permit.cedar`, `ask.cedar` (gateway only), `schema.cedarschema.json`."""
        sets: dict[str, tuple[Group, ...]] = {"permit.cedar": ("permit", "never")}
        if self.profile == "gateway":
            sets["ask.cedar"] = ("ask", "never")
        files = [Artefact("cedar", name, self._lines(*groups)) for name, groups in sets.items()]
        schema = tuple(Line(text) for text in self.schema.splitlines())
        files.append(Artefact("cedar", "schema.cedarschema.json", schema, "application/json"))
        return Compiled(tuple(files), self.remainder)

    def _lines(self, *groups: Group) -> tuple[Line, ...]:
        return tuple(Line(text, p.grant, p.where) for p in self.of(*groups) for text in p.text.splitlines())
