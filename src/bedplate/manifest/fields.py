"""The kinds of values in the manifest: names, durations, sizes, patterns, secrets. Each checks its form and says it
with a stable code; what a value refers to is checked later, in `bedplate.blueprint`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from bedplate.manifest import units
from bedplate.manifest.schema import MODEL_ID

SLUG = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
NAME = r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$"
ENTRYPOINT = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
URL = r"^https?://[^\s@*/]+(/[^\s]*)?$"


class Section(BaseModel):
    """Base of every section: camelCase keys, nothing unknown, no conversion of types, never changed."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


def refuse(code: str, summary: str, fix: str, detail: str = "") -> PydanticCustomError:
    """The error that a validator raises: it becomes a Problem with this code."""
    context = {"summary": summary, "fix": fix, "detail": detail}
    return PydanticCustomError(code, "{summary}", context)


def shaped(pattern: str, longest: int, what: str, example: str) -> BeforeValidator:
    """A validator for text of one form; other types are left to pydantic."""
    form = re.compile(pattern)

    def check(value: Any) -> Any:
        if not isinstance(value, str) or (len(value) <= longest and form.match(value) and not value.endswith("\n")):
            return value
        shown = value if len(value) <= 60 else f"{value[:57]}..."
        raise refuse("BP013", f"`{shown}` is not {what}", f"write it like `{example}`, at most {longest} characters")

    return BeforeValidator(check)


def _measure(convert: Callable[[str], float], what: str) -> BeforeValidator:
    def check(value: Any) -> float:
        if not isinstance(value, str):
            raise refuse(
                "BP010", f"{what} is text with its unit, not {kind_of(value)}", "write the unit: 90s, 30d, 512Mi"
            )
        try:
            return convert(value)
        except ValueError as error:
            raise refuse("BP013", f"`{value[:60]}` is not {what}", str(error)) from error

    return BeforeValidator(check)


def kind_of(value: object) -> str:
    """What a value is, in the words of someone who writes YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return type(value).__name__


def _whole_seconds(text: str) -> int:
    value = units.seconds(text)
    if value < 1 or value != int(value):
        raise ValueError("the shortest is 1s, in whole seconds")
    return int(value)


def _timeout(text: str) -> float:
    value = units.seconds(text)
    if not 0.1 <= value <= 86400:
        raise ValueError("a timeout is from 100ms to 24h")
    return value


def _memory(text: str) -> int:
    value = units.size(text)
    if not 64 * 1024**2 <= value <= 1024 * 1024**3:
        raise ValueError("a process needs at least 64Mi and gets at most 1024Gi")
    return value


_DURATION = WithJsonSchema({"type": "string", "pattern": units.DURATION, "examples": ["90s", "12h", "30d"]})
Retention = Annotated[int, _measure(_whole_seconds, "a duration"), _DURATION]
Timeout = Annotated[float, _measure(_timeout, "a duration"), _DURATION]
MemorySize = Annotated[
    int,
    _measure(_memory, "a size"),
    WithJsonSchema({"type": "string", "pattern": units.SIZE, "examples": ["512Mi", "1Gi"]}),
]
Slug = Annotated[
    str,
    shaped(SLUG, 63, "a name of lower-case letters, digits and single hyphens", "support-agent"),
    Field(json_schema_extra={"pattern": SLUG, "maxLength": 63}),
]
StageName = Annotated[
    str, shaped(SLUG, 40, "a stage name of lower-case letters, digits and single hyphens", "prototype")
]
Name = Annotated[
    str,
    shaped(NAME, 48, "a name of lower-case letters, digits and single hyphens or underscores", "order-status"),
    Field(json_schema_extra={"pattern": NAME, "maxLength": 48}),
]
ModelId = Annotated[
    str,
    shaped(MODEL_ID, 200, "a model as `provider:model`", "anthropic:claude-sonnet-4-5"),
    Field(json_schema_extra={"pattern": MODEL_ID, "maxLength": 200}),
]
Entrypoint = Annotated[
    str,
    shaped(ENTRYPOINT, 200, "a function as `module:function`", "tools.orders:order_status"),
    Field(json_schema_extra={"pattern": ENTRYPOINT, "maxLength": 200}),
]
Variable = Annotated[str, shaped(VARIABLE, 100, "the name of an environment variable", "GITHUB_TOKEN")]
Url = Annotated[
    str,
    shaped(URL, 2000, "an http or https URL without user information or wildcards", "https://api.example.com/v1"),
    Field(json_schema_extra={"pattern": URL, "maxLength": 2000}),
]


def _check_text(value: Any) -> Any:
    """Refuse what no name, path or URL holds, and private-use characters, which the decider keeps for itself."""
    if isinstance(value, str):
        odd = next((ch for ch in value if _odd(ch)), None)
        if odd is not None:
            raise refuse(
                "BP019", f"the text holds the character U+{ord(odd):04X}", "remove it; it cannot be seen on a screen"
            )
        if not value.strip():
            raise refuse("BP013", "the text is empty", "write a value or remove the key")
    return value


def _odd(ch: str) -> bool:
    point = ord(ch)
    return point < 0x20 or point == 0x7F or 0xD800 <= point <= 0xF8FF or point >= 0xF0000 or 0x202A <= point <= 0x202E


Line = Annotated[str, BeforeValidator(_check_text), Field(max_length=2000)]
"""One line of text that is not empty and holds no control or private-use characters."""


def _check_file_glob(value: Any) -> Any:
    if isinstance(value, str) and "**" in value:
        single = re.sub(r"\*\*/?\*?", "*", value)
        raise refuse("BP019", f"`{value[:60]}` holds `**`", f"`*` already crosses folders: write `{single}`")
    if isinstance(value, str) and (value.startswith(("/", "./")) or ".." in value.split("/")):
        raise refuse(
            "BP019", f"`{value[:60]}` can match nothing", "write it relative to the data's path, without ./ or .."
        )
    return value


FileGlob = Annotated[Line, BeforeValidator(_check_file_glob)]
"""A glob over relative paths. Its only wildcard is `*`, which crosses `/`."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_ONE = {"type": "string", "minLength": 1}
_ONE_OR_MORE = WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]})
FileGlobs = Annotated[list[FileGlob], Field(min_length=1), BeforeValidator(_as_list), _ONE_OR_MORE]
"""One glob over paths, or a list of them."""
Lines = Annotated[list[Line], Field(min_length=1), BeforeValidator(_as_list), _ONE_OR_MORE]
"""One line of text, or a list of them."""


class SecretName(Section):
    """A secret by name. Its value never stands in the manifest."""

    secret: Name = Field(
        description="Name of the secret. On the local target it is read from the environment or `.env`, in upper case "
        "with `-` as `_`: `stripe-key` is STRIPE_KEY."
    )


def known_type(types: Collection[str]) -> Callable[[Any, Any], Any]:
    """A wrap validator that turns pydantic's message on an unknown `type` into ours; everything else passes."""

    def check(value: Any, handler: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"] not in types:
            raise PydanticCustomError("bedplate_type", "unknown type", {"given": value["type"], "known": list(types)})
        return handler(value)

    return check


def _no_literal(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    # The value is not repeated: what stands here by mistake is usually the secret itself.
    raise refuse(
        "BP015",
        "a secret is given by name, never by value",
        "write {secret: some-name}, put SOME_NAME=... into `.env`, and revoke the value if it was committed",
    )


Secret = Annotated[SecretName, BeforeValidator(_no_literal)]


@dataclass(frozen=True)
class Threshold:
    """A gate's bound. `duration` tells that it was written with a unit of time; then `value` is seconds."""

    value: float
    duration: bool = False


def _threshold(value: Any) -> Threshold:
    if isinstance(value, str):
        try:
            return Threshold(units.seconds(value), duration=True)
        except ValueError as error:
            raise refuse(
                "BP013", f"`{value[:60]}` is no threshold", "write a number, or a duration such as 8s"
            ) from error
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Threshold(float(value))
    raise refuse("BP010", f"a threshold is a number or a duration, not {kind_of(value)}", "write e.g. 0.9 or 8s")


Bound = Annotated[
    Threshold,
    BeforeValidator(_threshold),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": units.DURATION}]}),
]
