"""Pydantic's errors turned into problems: with place, stable code, "did you mean" and a way to mend.

Goes in: a ValidationError, the document and its places. Comes out: problems, in the order of the file. Values are
shown only where they are short and cannot be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bedplate.manifest.words import DATA_TYPES, TOOL_TYPES, VERBS, one_verb, suggest
from bedplate.manifest.yamltree import Path, endless
from bedplate.problems import Problem, Where

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from bedplate.manifest.overlay import Source

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def dotted(path: Path) -> str:
    """`("tools", 0, "use")` as `tools[0].use`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


_MISSING = ("missing", "union_tag_not_found")


def translate(
    error: ValidationError, source: Source, blocked: Collection[Path], vague: Collection[str | int] = ()
) -> list[Problem]:
    """Every problem of a validation, but those of what is written at or below a `blocked` path of the file, and what is
    missing in a `vague` section.
    """
    problems: list[Problem] = []
    misspelt: set[Path] = set()
    details = sorted(error.errors(include_url=False, include_input=True), key=lambda d: d["type"] != "extra_forbidden")
    for detail in details:
        path = written_path(detail, source.data)
        needless = detail["type"] in _MISSING and (path in misspelt or path[0] in vague)
        if needless or source.below(path, blocked):
            continue
        problem = _problem(detail, path, source)
        if detail["type"] == "extra_forbidden":
            misspelt |= {(*path[:-1], likely) for likely in _instead(path, source)}
        problems.append(problem)
    return problems


def uncovered(error: ValidationError, source: Source, blocked: Collection[Path]) -> list[Problem]:
    """What a validation of a mended document says of how the keys of a mapping go together.

    Pydantic asks that only where each key is right by itself. Nothing is said where a key that counts was left out.
    """
    found: list[Problem] = []
    for detail in error.errors(include_url=False, include_input=True):
        path = written_path(detail, source.data)
        if detail["type"].startswith("BP") and not source.below(path, blocked) and not _incomplete(path, source):
            at = "" if detail["ctx"]["detail"] else _at(source.written(path))
            problem = _problem(detail, path, source)
            found.append(replace(problem, detail=at or problem.detail))
    return found


_SCOPED = (("scopes",), ("egress",), ("allow",))
"""The keys of lists of scopes."""
_ALONE = {"id", "description", "scopes", "where", "only", "ask", "limit"}
"""Keys on which no check of a mapping's keys depends."""


def _incomplete(path: Path, source: Source) -> bool:
    lost = {gone[-1] for gone in source.lost if gone[:-1] == path} - _ALONE
    return not lost.isdisjoint((*_known(path, source), *(VERBS if path[-2:-1] in _SCOPED else ())))


def written_path(detail: ErrorDetails, data: Any) -> Path:
    """The error's place in the document: pydantic's location without the names of union members."""
    path: list[str | int] = []
    last = len(detail["loc"]) - 1
    for position, part in enumerate(detail["loc"]):
        match data:
            case Mapping() if part in data:
                data = data[part]
            case list() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _ if position == last and detail["type"] == "missing":
                pass
            case _:
                continue
        path.append(part)
    return tuple(path)


def _problem(detail: ErrorDetails, path: Path, source: Source) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    where = source.where(path)
    name = dotted(path) or "the document"
    if kind.startswith("BP"):
        return Problem(kind, context["summary"], where, detail=context["detail"] or _at(path), fix=context["fix"])
    if kind in _EXPECTED:
        return _wrong_type(_EXPECTED[kind], detail["input"], name, where)
    match kind:
        case "missing" | "too_short" if path[-1:] == ("scopes",):
            return _no_scopes(path, source)
        case "missing" if _is_verb(path):
            return Problem("BP017", "a scope has no verb", where, fix=one_verb(_verbs(path, source)))
        case "extra_forbidden" if _is_verb(path):
            return _wrong_verb(path, source)
        case "missing":
            return _missing(path, source)
        case "extra_forbidden":
            return _unknown(path, source)
        case "bedplate_type":
            return _choice(context, detail["input"], f"{name}.type", source.where((*path, "type")))
        case "literal_error":
            return _choice(context, detail["input"], name, where)
        case "union_tag_not_found" if isinstance(detail["input"], Mapping):
            types = ", ".join(DATA_TYPES if path[:1] == ("data",) else TOOL_TYPES)
            return Problem("BP011", f"{name} has no `type`", where, fix=f"write one of {types}")
        case "union_tag_not_found" | "union_tag_invalid":
            wanted = {"ask": "true or a mapping", "keys": "a list or a mapping"}.get(str(path[-1]), "text or a mapping")
            return _wrong_type(wanted, detail["input"], name, where)
        case "too_short" | "string_too_short" | "too_long" | "string_too_long":
            return _wrong_length(kind, context, name, where)
        case _:
            said = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
            said = said[:1].lower() + said[1:]
            return Problem(
                "BP013", f"{name}: the value should be {said}", where, fix="see the field's description in the schema"
            )


def _wrong_length(kind: str, context: Mapping[str, Any], name: str, where: Where) -> Problem:
    of = "characters" if kind.startswith("string") else "entries"
    if kind.endswith("long"):
        most = context["max_length"]
        return Problem("BP013", f"{name} has more than {most:,} {of}", where, fix=f"write at most {most:,}")
    fix = "write at least one, or remove the key" if of == "entries" else "write a value, or remove the key"
    return Problem("BP013", f"{name} is empty", where, fix=fix)


def _at(path: Path) -> str:
    return f"At {dotted(path)}." if path else ""


def _wrong_type(expected: str, value: object, name: str, where: Where) -> Problem:
    from bedplate.manifest.fields import kind_of

    fix = f"write {expected}"
    if expected == "text" and isinstance(value, int | float | bool):
        fix = f'put it in quotes: "{str(value).lower() if isinstance(value, bool) else value}"'
    elif value is None:
        fix = "write a value after the colon, or remove the key"
    elif expected == "a list" and not isinstance(value, Mapping):
        fix = "write a list: one `- ` a line, or [a, b]"
    elif isinstance(value, str) and expected in ("a number", "a whole number"):
        fix = "write a finite number" if endless(value) else "write the number without quotes and unit"
    return Problem("BP010", f"{name} must be {expected}, not {kind_of(value)}", where, fix=fix)


def _missing(path: Path, source: Source) -> Problem:
    parent = dotted(path[:-1])
    field = _field(path, source)
    fix = f"add `{path[-1]}:`" + (f" ({field['description'].rstrip('.')})" if field.get("description") else "")
    summary = f"`{path[-1]}` is missing" + (f" in {parent}" if parent else "")
    return Problem("BP011", summary, source.where(path[:-1]), fix=fix)


def _no_scopes(path: Path, source: Source) -> Problem:
    name = source.data["tools"][path[1]].get("name") if len(path) == 3 else None
    named = f"tool `{name}`" if isinstance(name, str) else dotted(path[:-1])
    fix = 'write down what it may do, e.g. scopes: [{call: "*"}]; without a scope it may do nothing'
    return Problem("BP107", f"{named} has no scopes", source.where(path[:-1]), fix=fix)


def _is_verb(path: Path) -> bool:
    return path[-1] in VERBS and path[-3:-2] in _SCOPED


def _verbs(path: Path, source: Source) -> list[str]:
    return [key for key in _known(path[:-1], source) if key in VERBS]


def _wrong_verb(path: Path, source: Source) -> Problem:
    fix = f"use {' or '.join(f'`{verb}`' for verb in _verbs(path, source))} here"
    summary = f"`{path[-1]}` is not a verb of this type of tool"
    return Problem("BP018", summary, source.where(path, key=True), fix=fix)


def _unknown(path: Path, source: Source) -> Problem:
    known = _known(path[:-1], source)
    meant = suggest(str(path[-1]), known)
    parent = dotted(path[:-1]) or "a manifest"
    fix = f"did you mean `{meant}`?" if meant else f"the keys here are {', '.join(known)}" if known else "remove it"
    return Problem("BP012", f"`{path[-1]}` is not a key of {parent}", source.where(path, key=True), fix=fix)


def _instead(path: Path, source: Source) -> list[str]:
    """The keys of which nobody should say that they are missing, since an unknown key stands in their place."""
    likely = meant(path, source)
    return _verbs(path, source) if _is_verb(path) else [likely] if likely else []


def meant(path: Path, source: Source) -> str | None:
    """The key that an unknown key most likely stands for."""
    return suggest(str(path[-1]), _known(path[:-1], source))


def _choice(context: Mapping[str, Any], value: object, name: str, where: Where) -> Problem:
    given = context.get("given", value)
    known = context.get("known") or re.findall(r"'([^']*)'", str(context.get("expected", "")))
    options = " or ".join((", ".join(known[:-1]), known[-1])) if len(known) > 1 else known[0]
    from bedplate.manifest.fields import kind_of

    shown = f"`{given}`" if isinstance(given, str) and len(given) <= 40 else kind_of(given)
    meant = suggest(given, known) if isinstance(given, str) else None
    fix = f"did you mean `{meant}`?" if meant else f"write {options}"
    return Problem("BP013", f"{name} is {shown}; it must be {options}", where, fix=fix)


# The fields that are known at a path are looked up in the JSON Schema, which is only made when there is an error.


def _known(path: Path, source: Source) -> list[str]:
    return list(_schema_at(path, source).get("properties", {}))


def _field(path: Path, source: Source) -> Mapping[str, Any]:
    field: Mapping[str, Any] = _schema_at(path[:-1], source).get("properties", {}).get(path[-1], {})
    return field


def _schema_at(path: Path, source: Source) -> Mapping[str, Any]:
    from bedplate.manifest.schema import ceiling_model_schema, model_schema

    data = source.data
    root = ceiling_model_schema() if source.ceiling else model_schema()
    node: Mapping[str, Any] = root
    for part in path:
        data = _child(data, part)
        node = _settle(root, _below(node, part), data)
    return node


def _child(data: Any, part: str | int) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None


def _below(node: Mapping[str, Any], part: str | int) -> Mapping[str, Any]:
    if isinstance(part, int):
        return node.get("items") or {}
    extra = node.get("additionalProperties")
    return node.get("properties", {}).get(part) or (extra if isinstance(extra, Mapping) else {}) or {}


_SHAPES = {"$ref", "properties", "items", "additionalProperties"}


def _settle(root: Mapping[str, Any], node: Mapping[str, Any], data: Any) -> Mapping[str, Any]:
    """Follow references, and of alternatives the one that the data chose, else the first that is an object."""
    while True:
        if "$ref" in node:
            node = root["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "discriminator" in node:
            mapping = node["discriminator"]["mapping"]
            kind = data.get("type") if isinstance(data, Mapping) else None
            if kind not in mapping:
                return {}
            node = {"$ref": mapping[kind]}
        elif alternatives := node.get("anyOf") or node.get("oneOf"):
            node = next((a for a in alternatives if _SHAPES & set(a)), {})
        else:
            return node
