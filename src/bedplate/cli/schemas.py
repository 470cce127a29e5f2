"""The JSON Schemas of what commands print with `--json`, made from the types in `documents`, and of bedplate.lock."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from bedplate.blueprint.lockfile import LockFile
from bedplate.cli.documents import DOCUMENTS
from bedplate.cli.output import camel_keys

URL = "https://bedplate.dev/schemas/"


def schemas() -> dict[str, str]:
    """The JSON Schemas (2020-12) as docs/schema publishes them, by the name of their file (`plan.v1.json`)."""
    return dict(_published(document) for document in DOCUMENTS) | {"lock.v1.json": _of_lock()}


def _of_lock() -> str:
    """The schema of `bedplate.lock`, in which fields without a value are left out."""
    return _text("lock.v1.json", _untitled(LockFile.model_json_schema()))


def _published(document: type) -> tuple[str, str]:
    made = TypeAdapter(document).json_schema(mode="serialization")
    name = made["properties"]["schema"]["const"].removeprefix("bedplate.dev/").replace("/", ".") + ".json"
    return name, _text(name, _exact(made))


def _text(name: str, schema: Any) -> str:
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": URL + name}
    return json.dumps({**head, **schema}, indent=2, ensure_ascii=False) + "\n"


def _untitled(node: Any) -> Any:
    match node:
        case dict():
            return {key: _untitled(value) for key, value in node.items() if key != "title"}
        case list():
            return [_untitled(item) for item in node]
        case _:
            return node


def _exact(node: Any) -> Any:
    """A schema with the field names that are printed, in which every field is there and no other."""
    match node:
        case {"properties": dict(fields)}:
            rest = {key: _exact(value) for key, value in node.items() if key not in ("properties", "required", "title")}
            named = camel_keys(dict.fromkeys(fields))
            properties = {new: _exact(field) for new, field in zip(named, fields.values(), strict=True)}
            return {**rest, "properties": properties, "required": list(properties), "additionalProperties": False}
        case dict():
            return {key: _exact(value) for key, value in node.items() if key not in ("title", "default")}
        case list():
            return [_exact(item) for item in node]
        case _:
            return node
