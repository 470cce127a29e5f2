"""What one argument's value must do: hold a condition, fail it, be asked for, be given, or fit its schema. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bedplate.access.conditions import holds
from bedplate.access.fits import admits
from bedplate.access.model import Argument, Condition, Kind, Present, Test, Texts
from bedplate.access.values import read

Path = tuple[str, ...]
Mode = Literal["holds", "fails", "asks", "quiet", "given", "absent", "fits", "required"]
Shape = Literal["text", "integer", "decimal", "huge", "boolean", "time", "ip", "list", "mixed", "object", "absent"]
"""What a JSON value is: `huge` a whole number that no decimal can be, `mixed` a text that may be a time or address."""
READABLE: dict[Shape, frozenset[Kind]] = {
    "text": frozenset({"string"}),
    "integer": frozenset({"integer", "decimal"}),
    "decimal": frozenset({"decimal"}),
    "huge": frozenset({"integer"}),
    "boolean": frozenset({"boolean"}),
    "time": frozenset({"time"}),
    "ip": frozenset({"ip"}),
    "list": frozenset({"strings"}),
    "mixed": frozenset(),
    "object": frozenset(),
    "absent": frozenset(),
}
_PLACE = ("value",)


@dataclass(frozen=True)
class Lit:
    """One demand on the value at a path.

    `holds` and `fails` are those of a condition; `quiet`: it can be read and the test fails, so that nobody is asked;
    `asks`: not so. `fits`: it is absent, or the schema's `argument` admits it. `required`: given if its object is.
    """

    mode: Mode
    kind: Kind | None = None
    test: Test | None = None
    argument: Argument | None = None

    def under(self, shape: Shape) -> bool | None:
        """Whether every value of the shape does it, or none; None where it depends on the value."""
        there = shape != "absent"
        match self.mode:
            case "given":
                return there
            case "absent":
                return not there
            case "required":
                return True  # what is left out is judged beside its object
            case "fits":
                return self._fits(shape)
        if isinstance(self.test, Present) and not self.test.present:
            return self._missing(shape)
        if self.kind not in READABLE[shape]:
            return self.mode in {"fails", "asks"}
        if isinstance(self.test, Present):
            return self.mode in {"holds", "asks"}
        return None

    def satisfied(self, value: Any) -> bool:
        """Whether a JSON value does it; None is absent. Not for tests of claims."""
        match self.mode:
            case "given" | "absent":
                return (value is not None) == (self.mode == "given")
            case "required":
                return True
            case "fits":
                return value is None or self.argument is None or admits(self.argument, value)
        assert self.kind is not None and self.test is not None  # noqa: PT018
        held = holds(Condition(_PLACE, self.kind, self.test), {_PLACE[0]: value}, {})
        quiet = read(self.kind, value) is not None and not held
        return {"holds": held, "fails": not held, "quiet": quiet, "asks": not quiet}[self.mode]

    @property
    def positive(self) -> bool:
        """Whether the test itself is to pass, where the value can be read."""
        return self.mode in {"holds", "asks"}

    def _missing(self, shape: Shape) -> bool:
        """`Present(False)`: only an absent value holds it."""
        match self.mode:
            case "holds":
                return shape == "absent"
            case "fails":
                return shape != "absent"
            case _:
                return (self.kind in READABLE[shape]) == (self.mode == "quiet")

    def _fits(self, shape: Shape) -> bool | None:
        assert self.argument is not None
        if shape == "absent" or self.argument.kind is None:
            return True
        if self.argument.kind not in READABLE[shape]:
            return False
        return None if self.argument.values else True


def holding(condition: Condition) -> Lit:
    """The condition holds."""
    return Lit("holds", condition.kind, condition.test)


def failing(condition: Condition) -> Lit:
    """The condition fails."""
    return Lit("fails", condition.kind, condition.test)


def quiet(condition: Condition) -> Lit:
    """The condition of an `ask` asks nobody."""
    return Lit("quiet", condition.kind, condition.test)


def asking(condition: Condition) -> Lit:
    """The condition of an `ask` asks."""
    return Lit("asks", condition.kind, condition.test)


def like(*globs: str) -> Lit:
    """A text that one of the globs matches."""
    return Lit("holds", "string", Texts(globs))


def unlike(*globs: str) -> Lit:
    """A text that none of the globs matches."""
    return Lit("quiet", "string", Texts(globs))


GIVEN, ABSENT, REQUIRED = Lit("given"), Lit("absent"), Lit("required")
