"""Arguments against an operation's JSON Schema. Goes in: schema, arguments. Comes out: nothing, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedplate.problems import BedplateError
from bedplate.runtime.gateway import faults

INTERPRETED = frozenset({"__extn", "__entity"})
"""Keys that policy engines read as values of their own kinds: refused at any depth."""
MAX_DEPTH = 32


class Schemas:
    """Validators by operation; one is made anew when its schema changes."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[str, Any]] = {}

    def check(self, name: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        """Raises BedplateError BP441 where the arguments do not fit, or the schema itself cannot be used."""
        _plain(name, arguments, 0)
        validator = self._validator(name, schema)
        from jsonschema import ValidationError
        from jsonschema.exceptions import best_match

        try:
            found: ValidationError | None = best_match(validator.iter_errors(arguments))
        except Exception as error:
            # a schema of someone else's may hold anything: what cannot be checked is not called
            raise faults.bad_arguments(name, f"its schema cannot be used ({type(error).__name__})") from error
        if found is not None:
            place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in found.absolute_path).lstrip(".")
            raise faults.bad_arguments(name, f"{place + ': ' if place else ''}{_short(found.message)}")

    def _validator(self, name: str, schema: Mapping[str, Any]) -> Any:
        text = json.dumps(schema, sort_keys=True, default=str)
        known = self._made.get(name)
        if known is None or known[0] != text:
            known = (text, _make(name, schema))
            self._made[name] = known
        return known[1]


def _make(name: str, schema: Mapping[str, Any]) -> Any:
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise refused(name, error.message) from error
    # an empty registry: a reference to an address is an error, never a request
    return Draft202012Validator(schema, registry=Registry())


def refused(name: str, why: str) -> BedplateError:
    """A schema that is none."""
    return faults.bad_arguments(name, f"its schema is none ({_short(why)})")


def _plain(name: str, value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise faults.bad_arguments(name, f"they are nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        if INTERPRETED & value.keys():
            raise faults.bad_arguments(name, "the keys __extn and __entity are reserved")
        for each in value.values():
            _plain(name, each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _plain(name, each, depth + 1)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
