"""Regular expressions under a time limit, and JSON Schemas that fetch nothing.

Patterns and schemas come from the dataset, texts from the agent: neither may hang the run or open a connection.
"""

from __future__ import annotations

import re
from typing import Any

TIME_LIMIT = 0.5
"""Seconds that one pattern may take on one answer."""


class PatternsMissing(Exception):
    """The package `regex` (extra `evals`), whose matching can be stopped, is not installed."""


class PatternTooSlow(Exception):
    """A pattern took longer than TIME_LIMIT on one answer."""


def _regex() -> Any:
    try:
        import regex
    except ImportError as error:
        raise PatternsMissing from error
    return regex


def check_pattern(pattern: str) -> str:
    """What is wrong with a pattern, empty where nothing is. Raises PatternsMissing."""
    engine = _regex()
    try:
        engine.compile(pattern)
    except (engine.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""


def found(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether the pattern is found in `text`. Raises PatternsMissing, PatternTooSlow."""
    engine = _regex()
    flags = engine.IGNORECASE if ignore_case else 0
    try:
        return engine.search(pattern, text, flags, timeout=TIME_LIMIT) is not None
    except TimeoutError as error:
        raise PatternTooSlow from error


def check_schema(schema: Any) -> str:
    """What is wrong with a JSON Schema, empty where nothing is. References must stay inside it."""
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for
    from referencing.exceptions import Unresolvable

    if not isinstance(schema, dict):
        return "it must be a mapping"
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        return error.message
    resolver = _registry(schema).resolver("")
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return f"`$ref: {reference}` leads nowhere; only references inside the schema work"
    return ""


def schema_fault(schema: Any, value: Any) -> str:
    """Why `value` does not fit the schema, empty where it does."""
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for

    try:
        error = best_match(validator_for(schema)(schema, registry=_registry(schema)).iter_errors(value))
    except RecursionError:
        return "its values stand too deep inside each other for the schema"
    return "" if error is None else re.sub(r"\s+", " ", f"{error.json_path}: {error.message}")


def _registry(schema: Any) -> Any:
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    return Registry().with_resource("", DRAFT202012.create_resource(schema))


def _references(node: Any) -> list[str]:
    match node:
        case dict():
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [reference for value in node.values() for reference in _references(value)]
        case list():
            return [reference for item in node for reference in _references(item)]
        case _:
            return []
