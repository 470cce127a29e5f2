"""A function of the project as an operation: its arguments from the type hints, read without running anything.

Goes in: the text of a module and a function's name. Comes out: `Described`, whose schema says of each argument what the
hints say: int, float, Decimal, str, bool, datetime, addresses, Literal, lists of text, each also with None. Other hints
say nothing, so that a scope cannot test these arguments. Pure.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from bedplate.blueprint.described import Described

Schema = dict[str, Any]
_MAX_DEPTH = 20  # of a hint, names of other hints written out
_PLAIN: Mapping[str, Mapping[str, Any]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "None": {"type": "null"},
    "decimal.Decimal": {"type": "number"},
    "datetime.datetime": {"type": "string", "format": "date-time"},
    "ipaddress.IPv4Address": {"type": "string", "format": "ipv4"},
    "ipaddress.IPv6Address": {"type": "string", "format": "ipv6"},
}
_LISTS = frozenset({"list", "List", "Sequence", "Iterable", "Collection", "set", "Set", "frozenset", "FrozenSet"})
_MODULES = frozenset({"typing", "typing_extensions", "collections.abc"})


def function_of(text: str, name: str) -> Described | None:
    """The function of this name that a module defines last; None where it has none. Raises SyntaxError, ValueError."""
    module = ast.parse(text)
    named = [n for n in module.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name]
    if not named:
        return None
    hints, node = _Hints(module), named[-1]
    properties = {argument.arg: hints.schema(argument.annotation) for argument, _ in _arguments(node.args)}
    required = [argument.arg for argument, must in _arguments(node.args) if must]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return Described(name, ast.get_docstring(node) or "", schema)


def _arguments(given: ast.arguments) -> Iterator[tuple[ast.arg, bool]]:
    """Each argument, and whether it must be given. Those without a name of their own are refused when it is loaded."""
    plain = [*given.posonlyargs, *given.args]
    bare = len(plain) - len(given.defaults)
    yield from ((argument, index < bare) for index, argument in enumerate(plain))
    yield from ((a, default is None) for a, default in zip(given.kwonlyargs, given.kw_defaults, strict=True))


class _Hints:
    """Reads the hints of one module, by the names under which it imported or defined them."""

    def __init__(self, module: ast.Module) -> None:
        self._full: dict[str, str] = {}
        self._own: dict[str, ast.expr] = {}
        for node in module.body:
            self._learn(node)

    def _learn(self, node: ast.stmt) -> None:
        match node:
            case ast.Import(names=names):
                self._full |= {alias.asname: alias.name for alias in names if alias.asname}
            case ast.ImportFrom(module=str(source), names=names, level=0):
                self._full |= {alias.asname or alias.name: f"{source}.{alias.name}" for alias in names}
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._own[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._own[name] = value
            case _:
                pass

    def schema(self, hint: ast.expr | None, depth: int = 0) -> Schema:
        """A hint as JSON Schema; empty where it may be anything."""
        if depth > _MAX_DEPTH:
            return {}
        match hint:
            case ast.Constant(value=None):
                return {"type": "null"}
            case ast.Constant(value=str(text)):
                return self.schema(_parsed(text), depth + 1)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return {"anyOf": [self.schema(left, depth + 1), self.schema(right, depth + 1)]}
            case ast.Subscript(value=of, slice=inside):
                return self._generic(self._name(of), inside, depth + 1)
            case ast.Name(id=name) if name in self._own:
                return self.schema(self._own[name], depth + 1)
            case ast.Name() | ast.Attribute():
                return dict(_PLAIN.get(self._name(hint), {}))
            case _:
                return {}

    def _generic(self, name: str, inside: ast.expr, depth: int) -> Schema:
        given = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        module, _, word = name.rpartition(".")
        if module and module not in _MODULES:
            return {}
        match word, given:
            case "Annotated", [hint, *_]:
                return self.schema(hint, depth)
            case "Optional", [hint]:
                return {"anyOf": [self.schema(hint, depth), {"type": "null"}]}
            case "Union", hints:
                return {"anyOf": [self.schema(hint, depth) for hint in hints]}
            case "Literal", values:
                known = [v.value for v in values if isinstance(v, ast.Constant) and _in_json(v.value)]
                return {"enum": known} if len(known) == len(values) else {}
            case (("tuple" | "Tuple"), [hint, ast.Constant(value=value)]) if value is ...:
                return {"type": "array", "items": self.schema(hint, depth)}
            case word, [hint] if word in _LISTS:
                return {"type": "array", "items": self.schema(hint, depth)}
            case _:
                return {}

    def _name(self, node: ast.expr) -> str:
        """The full name of what a module calls by this one."""
        match node:
            case ast.Name(id=name):
                return self._full.get(name, name)
            case ast.Attribute(value=value, attr=attr):
                return f"{self._name(value)}.{attr}"
            case _:
                return ""


def _in_json(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int)


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None
