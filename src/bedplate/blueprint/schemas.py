"""JSON Schema to the kinds of arguments that scopes can test.

Goes in: the schema of an operation's arguments (2020-12, or an older one in the words that they share). Comes out: one
`Argument` for each property, those of nested objects by their path. What has more than one kind, or none that access
knows, has the kind None: nothing can be tested there. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any
from urllib.parse import unquote

from bedplate.access.model import Argument, Kind

MAX_ARGUMENTS = 1000
"""Of one operation. What is nested beyond that is left out: a condition on it is refused as unknown."""
MAX_DEPTH = 8
_MAX_HOPS = 16  # from reference to reference
_MAX_WORK = 20_000  # schemas that are looked at: references can make a small document a huge one
_UNIONS = ("anyOf", "oneOf")
_TEXTS: Mapping[str, Kind] = {"date-time": "time", "ipv4": "ip", "ipv6": "ip", "ipvanyaddress": "ip"}
_SCALARS: Mapping[str, Kind] = {"integer": "integer", "number": "decimal", "boolean": "boolean"}
_SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    **{kind: {"type": word} for word, kind in _SCALARS.items()},
    **{kind: {"type": "string", "format": word} for word, kind in _TEXTS.items()},
    "string": {"type": "string"},
    "strings": {"type": "array", "items": {"type": "string"}},
}
_ABOUT = frozenset({"$defs", "definitions", "$schema", "$id", "$comment", "title", "description", "default"})
_ABOUT |= {"examples", "example", "deprecated", "readOnly", "writeOnly", "$anchor"}

Schema = Mapping[str, Any]


def arguments_of(schema: Schema) -> tuple[tuple[Argument, ...], bool]:
    """The arguments, and whether no others may be given."""
    reader = _Reader(schema)
    root, _ = reader.plain(schema)
    found = tuple(reader.below(root, ()))
    return found[:MAX_ARGUMENTS], _closed(root)


def _closed(root: Schema) -> bool:
    sealed = root.get("additionalProperties") is False or root.get("unevaluatedProperties") is False
    return sealed and not root.get("patternProperties")


class _Reader:
    """Reads one schema; references are followed inside it only."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = MAX_ARGUMENTS
        self._work = _MAX_WORK

    def below(self, node: Schema, path: tuple[str, ...]) -> Iterator[Argument]:
        """The properties of an object and of the objects in it. One is required where what holds it is given."""
        properties = node.get("properties")
        if not isinstance(properties, Mapping) or len(path) >= MAX_DEPTH:
            return
        wanted = node.get("required")
        needed = wanted if isinstance(wanted, Sequence) else ()
        for name, raw in properties.items():
            self._left -= 1
            if self._left < 0:
                return
            inner, null = self.plain(raw)
            must = name in needed and not null
            own = (*path, str(name))
            kind = self._kind(inner)
            of = self.plain(inner.get("items"))[0] if kind == "strings" else inner
            yield Argument(own, kind, must, _values(of) if kind else ())
            yield from self.below(inner, own)

    def plain(self, raw: Any) -> tuple[Schema, bool]:
        """A schema without references, conjunctions and the alternative `null`, and whether it had that.

        Empty where that cannot be said in one schema: then it has no kind.
        """
        node = self._joined(raw, _MAX_HOPS)
        null = isinstance(node.get("enum"), list) and None in node["enum"]
        for word in _UNIONS:
            if word in node:
                rest = {key: value for key, value in node.items() if key != word}
                chosen, without = self._alternative(node[word])
                node, null = _both(rest, chosen), null or without
        kinds = node.get("type")
        if isinstance(kinds, list):
            others = [kind for kind in kinds if kind != "null"]
            null = null or len(others) < len(kinds)
            others = ["number"] if set(others) == {"integer", "number"} else others
            node = {**node, "type": others[0] if len(others) == 1 else others}
        return node, null

    def _alternative(self, options: Any) -> tuple[Schema, bool]:
        """The one alternative besides `null`; of several, what they have in common."""
        read = [self.plain(option) for option in options] if isinstance(options, list) else []
        others = [node for node, _ in read if node.get("type") != "null"]
        null = len(others) < len(read) or any(null for _, null in read)
        return (others[0] if len(others) == 1 else self._common(others)), null

    def _common(self, others: Sequence[Schema]) -> Schema:
        """A schema of the one kind that several have; empty where they have several."""
        kinds = {self._kind(node) for node in others}
        if kinds == {"integer", "decimal"} or _is_decimal(others):
            kinds = {"decimal"}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None:
            return {}
        enums = [_literals(node) for node in others]
        return {**_SCHEMAS[kind], "enum": list(chain(*enums))} if kind == "string" and all(enums) else _SCHEMAS[kind]

    def _joined(self, raw: Any, hops: int) -> Schema:
        """A schema with what it refers to and all of `allOf` in one."""
        self._work -= 1
        if not isinstance(raw, Mapping) or hops == 0 or self._work < 0:
            return {}
        node: Schema = {key: value for key, value in raw.items() if key not in ("$ref", "allOf")}
        parts = [self._joined(self._target(raw["$ref"]), hops - 1)] if "$ref" in raw else []
        every = raw.get("allOf")
        parts += [self._joined(part, hops - 1) for part in every] if isinstance(every, list) else []
        for part in parts:
            node = _both(node, part)
        return node

    def _target(self, reference: Any) -> Any:
        """What a reference leads to; None where that is nothing in this schema."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        node: Any = self._root
        for part in reference[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def _kind(self, node: Schema) -> Kind | None:
        """The kind of every value that the schema takes."""
        match node.get("type"):
            case "string":
                return _TEXTS.get(str(node.get("format")), "string")
            case "array" if "prefixItems" not in node:
                items, null = self.plain(node.get("items"))
                return "strings" if self._kind(items) == "string" and not null else None
            case None:
                return _kind_of(_literals(node))
            case str() as word:
                return _SCALARS.get(word)
            case _:
                return None


def _is_decimal(others: Sequence[Schema]) -> bool:
    """A number or any text: pydantic's Decimal, of which only the number is one here."""
    texts = [node for node in others if node.get("type") == "string" and not {"format", "enum", "const"} & node.keys()]
    return len(others) == 2 and len(texts) == 1 and any(node.get("type") == "number" for node in others)


def _both(left: Schema, right: Schema) -> Schema:
    """What fulfils both; where that takes more than joining their words, nothing is said of the kind."""
    joined = dict(left)
    for key, value in right.items():
        if key not in joined or key in _ABOUT or joined[key] == value:
            joined.setdefault(key, value)
        elif key == "properties" and isinstance(value, Mapping) and isinstance(joined[key], Mapping):
            own = joined[key]
            joined[key] = {**own, **{k: {"allOf": [own[k], v]} if k in own else v for k, v in value.items()}}
        elif key == "required" and isinstance(value, list) and isinstance(joined[key], list):
            joined[key] = [*joined[key], *value]
        elif key in ("type", "enum", "const", "format", *_UNIONS):
            return {}
    return joined


def _literals(node: Schema) -> list[Any]:
    """The values of an enum but null; a constant is one."""
    if "const" in node:
        return [node["const"]]
    enum = node.get("enum")
    return [value for value in enum if value is not None] if isinstance(enum, list) else []


def _kind_of(values: Sequence[Any]) -> Kind | None:
    """The kind of an enum that names no type."""
    kinds = {_kind_of_one(value) for value in values}
    return "decimal" if kinds == {"integer", "decimal"} else kinds.pop() if len(kinds) == 1 else None


def _kind_of_one(value: Any) -> Kind | None:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "decimal"
        case str():
            return "string"
        case _:
            return None


def _values(node: Schema) -> tuple[str, ...]:
    """The values of an enum: texts as they are, others as JSON; () where one is no value of a kind."""
    found = _literals(node)
    if not all(_kind_of_one(value) for value in found):
        return ()
    return tuple(value if isinstance(value, str) else json.dumps(value) for value in found)
