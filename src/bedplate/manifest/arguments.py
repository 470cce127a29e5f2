"""Tests of arguments (`where`, `ask`, `rows`, `set`) and budgets (`limit`): how they are written.

What kind an argument is, and so whether a test fits it, is known from pinned schemas: `blueprint.conditions` checks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from bedplate.manifest import units
from bedplate.manifest.fields import Line, Lines, Section, kind_of, refuse, shaped
from bedplate.manifest.yamltree import endless

PATH = r"^[^.\s*]+(\.[^.\s*]+)*$"
COLUMN = r"^[A-Za-z_][A-Za-z0-9_$]*$"
_RATE = r"^([0-9]{1,12}(?:\.[0-9]{1,4})?)/([^/]+)$"
_EXCLUDING = ("not", "notin", "notequals", "except", "unless")
ArgumentPath = Annotated[str, shaped(PATH, 200, "the path of an argument", "customer.id")]
Column = Annotated[str, shaped(COLUMN, 63, "the name of a column", "tenant")]
Claim = Annotated[str, shaped(r"^[A-Za-z_][A-Za-z0-9_.:-]*$", 100, "the name of a session's claim", "tenant")]


def _value(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise refuse("BP010", f"a test compares with one value, not {kind_of(value)}", "write a text or a number")
    return value


def _number(value: Any) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool):
        shown = f"`{value[:40]}`" if isinstance(value, str) else kind_of(value)
        beyond = isinstance(value, str) and endless(value)
        fix = "write a finite number" if beyond else "write the number without quotes and unit"
        raise refuse("BP010", f"{shown} is no number", fix)
    return value


Value = Annotated[Any, BeforeValidator(_value), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Number = Annotated[Any, BeforeValidator(_number), WithJsonSchema({"type": "number"})]


def _long_form(value: Any) -> Any:
    """`USD` is short for `{equals: USD}`. Raises for a list, and for tests that exclude."""
    if isinstance(value, list):
        raise refuse("BP803", "a list is no test", "write {in: [...]}, or {subset: [...]} for a list of texts")
    if not isinstance(value, Mapping):
        return value if value is None else {"equals": value}
    for key in value:
        if isinstance(key, str) and re.sub(r"[^a-z]", "", key.lower()) in _EXCLUDING:
            fix = "name what is allowed, e.g. {in: [...]} or {glob: ...}"
            raise refuse("BP803", f"`{key}` is refused: a test says what is allowed, not what is not", fix)
    return value


class ArgumentTest(Section):
    """What an argument must be. Several tests of one argument must all hold; an absent argument fails every test."""

    equals: Value | None = Field(default=None, description="Just this value. The short form is the value itself.")
    in_: list[Value] | None = Field(default=None, alias="in", min_length=1, description="One of these values.")
    glob: Lines | None = Field(default=None, description="Text that matches one of these globs; `*` matches any text.")
    min: Number | None = Field(default=None, description="At least this number.")
    max: Number | None = Field(default=None, description="At most this number.")
    over: Number | None = Field(default=None, description="More than this number.")
    under: Number | None = Field(default=None, description="Less than this number.")
    after: Line | None = Field(default=None, description="Later than this time, as 2026-01-31T00:00:00Z.")
    before: Line | None = Field(default=None, description="Earlier than this time.")
    from_: Line | None = Field(default=None, alias="from", description="This time or later.")
    until: Line | None = Field(default=None, description="This time or earlier.")
    cidr: Lines | None = Field(default=None, description="An address in one of these networks, as 10.0.0.0/8.")
    subset: Lines | None = Field(
        default=None, description="A list of texts, each of which matches one of these globs; also the empty list."
    )
    present: bool | None = Field(default=None, description="`true`: it is given. `false`: it is not.")
    session: Claim | None = Field(default=None, description="Equal to the session's claim of this name.")

    @model_validator(mode="after")
    def _tests(self) -> ArgumentTest:
        if not self.given:
            raise refuse("BP803", "a test is empty", "write what the value must be, e.g. {max: 100} or {in: [a, b]}")
        return self

    @property
    def given(self) -> tuple[tuple[str, Any], ...]:
        """The tests that are written, by their words, in the order of the schema."""
        fields = type(self).model_fields.items()
        pairs = ((field.alias or name, getattr(self, name)) for name, field in fields)
        return tuple((word, value) for word, value in pairs if value is not None)


_Test = Annotated[ArgumentTest, BeforeValidator(_long_form)]
Tests = dict[ArgumentPath, _Test]
ColumnTests = dict[Column, _Test]


def _always_or_tests(value: Any) -> str | None:
    return "always" if isinstance(value, bool) else "when" if isinstance(value, dict) else None


def _not_false(value: Any) -> Any:
    if value is False:
        raise refuse("BP803", "`ask: false` says nothing", "remove it: a scope without `ask` allows")
    if value == {}:
        raise refuse("BP803", "`ask` names no argument", "write `ask: true`, or e.g. ask: {amount: {over: 50}}")
    return value


Ask = Annotated[
    Annotated[bool, Tag("always")] | Annotated[Tests, Tag("when")],
    Discriminator(_always_or_tests),
    BeforeValidator(_not_false),
]


@dataclass(frozen=True)
class Rate:
    """An amount within a window of `window` seconds. `amount` has at most four places."""

    amount: Decimal
    window: int


def _rate(value: Any) -> Rate:
    found = re.match(_RATE, value) if isinstance(value, str) else None
    try:
        window = units.seconds(found[2]) if found else 0
    except ValueError:
        window = 0
    if not found or window < 1 or window != int(window) or not Decimal(found[1]):
        shown = f"`{str(value)[:40]}` is no amount in a time"
        raise refuse("BP812", shown, "write amount/window, such as 20/1h or 500.50/24h; the window is at least 1s")
    return Rate(Decimal(found[1]), int(window))


_RATE_SCHEMA = WithJsonSchema({"type": "string", "pattern": _RATE, "examples": ["20/1h", "500/24h"]})
AmountPerTime = Annotated[Rate, BeforeValidator(_rate), _RATE_SCHEMA]


class Limit(Section):
    """How much a scope allows in a time, in sliding windows."""

    calls: AmountPerTime | None = Field(default=None, description="Calls in a time, such as 20/1h.")
    sum: dict[ArgumentPath, AmountPerTime] = Field(
        default={},
        min_length=1,
        description="Sum of a number among the arguments in a time, such as {amount: 500/24h}.",
    )
    per: Literal["stage", "user", "session"] = Field(
        default="stage", description="Whose it is: one budget for the whole stage, for each user, or for each session."
    )

    @model_validator(mode="after")
    def _limits(self) -> Limit:
        if self.calls is None and not self.sum:
            raise refuse("BP812", "a limit has neither `calls` nor `sum`", "write e.g. limit: {calls: 20/1h}")
        if self.calls and self.calls.amount != int(self.calls.amount):
            raise refuse("BP812", f"{self.calls.amount} calls are no whole number", "write e.g. calls: 20/1h")
        return self


class Conditions(Section):
    """What a scope says of a call besides its verb and object."""

    where: Tests = Field(
        default={},
        min_length=1,
        description="What arguments must be, by path: dots are nesting. Others are free, without `only`.",
    )
    only: bool = Field(
        default=False, description="No arguments may be given but those that `where` names, without dots."
    )
    ask: Ask | None = Field(
        default=None, description="When a person must agree: `true`, or where one of these tests of arguments holds."
    )
    limit: Limit | None = Field(default=None, description="How much it allows in a time.")
