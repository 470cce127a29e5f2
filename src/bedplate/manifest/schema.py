"""The JSON Schema of the manifest, made from the models, for editors and `bedplate schema`."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

from bedplate.manifest import units

MODEL_ID = r"^[a-z][a-z0-9-]*:[^\s]+$"
SCHEMA_URL = "https://bedplate.dev/schemas/agent.v1.json"
CEILING_URL = "https://bedplate.dev/schemas/ceiling.v1.json"


@cache
def model_schema() -> dict[str, Any]:
    """The schema as pydantic makes it, with overlays of stages open. Do not change it."""
    from bedplate.manifest.models import Manifest

    return Manifest.model_json_schema(by_alias=True, mode="validation")


@cache
def ceiling_model_schema() -> dict[str, Any]:
    """The schema of a ceiling as pydantic makes it. Do not change it."""
    from bedplate.manifest.ceiling import Ceiling

    return Ceiling.model_json_schema(by_alias=True, mode="validation")


def ceiling_schema() -> dict[str, Any]:
    """The published schema of ceilings (JSON Schema 2020-12)."""
    schema: dict[str, Any] = _tidy(copy.deepcopy(ceiling_model_schema()))
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": CEILING_URL}
    return {**head, **schema, "title": "Bedplate ceiling"}


def json_schema() -> dict[str, Any]:
    """The published schema (JSON Schema 2020-12): overlays of stages have the shape of the sections, all optional."""
    schema: dict[str, Any] = _tidy(copy.deepcopy(model_schema()))
    model = schema["properties"]["model"]
    named = {"type": "string", "pattern": MODEL_ID, "examples": ["bedplate:extractive"]}
    schema["properties"]["model"] = {"anyOf": [named, {"$ref": model["$ref"]}], "description": model["description"]}
    partial = _Partial(schema["$defs"])
    stage = schema["$defs"]["Stage"]["properties"]
    for name, field in schema["properties"].items():
        if name in stage:
            stage[name] = _nullable({**partial.of(field), "description": stage[name]["description"]})
    schema["$defs"].update(partial.made)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_URL}
    return {**head, **schema, "title": "Bedplate agent"}


def schema_text(schema: dict[str, Any] | None = None) -> str:
    """A published schema as its file holds it; the manifest's unless told."""
    return json.dumps(json_schema() if schema is None else schema, indent=2, ensure_ascii=False) + "\n"


_TEST = {"$ref": "#/$defs/ArgumentTest"}


def _tidy(node: Any) -> Any:
    """Without nulls (a key is left out, not empty), with defaults as they are written, and tests in both forms."""
    if node == _TEST:
        return {"anyOf": [{"type": ["string", "number", "boolean"]}, _TEST]}
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "anyOf" in node:
        node = {**node, "anyOf": [item for item in node["anyOf"] if item != {"type": "null"}]}
        if len(node["anyOf"]) == 1:
            node = {**node["anyOf"][0], **{key: value for key, value in node.items() if key != "anyOf"}}
    if "properties" in node:
        fields = {name: _without_title(field) for name, field in node["properties"].items()}
        node = {**node, "properties": fields}
    result = {key: _tidy(value) for key, value in node.items() if key != "default"}
    default = _default(node)
    return result if default is None else {**result, "default": default}


def _without_title(field: dict[str, Any]) -> dict[str, Any]:
    """The key says it already."""
    return {key: value for key, value in field.items() if key != "title"}


def _default(node: dict[str, Any]) -> Any:
    default = node.get("default")
    if isinstance(default, dict):
        return None
    match node.get("pattern"):
        case units.DURATION if default is not None:
            return units.duration_text(default)
        case units.SIZE if default is not None:
            return units.size_text(default)
        case _:
            return default


_WHOLE = {"SecretName", "FileName", "Never", "Gate", "DataUse", "ArgumentTest", "Limit"}
"""What an overlay replaces as a whole, besides scopes."""


class _Partial:
    """Makes, of each definition, one in which only names are required and every key may be null (which removes it)."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions
        self.made: dict[str, Any] = {}

    def of(self, node: dict[str, Any]) -> dict[str, Any]:
        node = {key: value for key, value in node.items() if key != "default"}
        if "$ref" in node:
            return {**node, "$ref": self.reference(node["$ref"])}
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                # Parts of tools of different types look alike: `anyOf` where the whole has `oneOf`.
                node.pop("discriminator", None)
                node["anyOf"] = [self.of(item) for item in node.pop(keyword)]
        if isinstance(node.get("items"), dict):
            node["items"] = self.of(node["items"])
        return node

    def reference(self, ref: str) -> str:
        name = ref.rsplit("/", 1)[1]
        if name.endswith("Scope") or name in {
            "SecretName",
            "FileName",
            "Never",
            "Gate",
            "DataUse",
            "ArgumentTest",
            "Limit",
        }:
            return ref  # replaced as a whole
        if f"{name}Overlay" not in self.made:
            self.made[f"{name}Overlay"] = {}
            self.made[f"{name}Overlay"] = self.loosened(self.definitions[name])
        return f"#/$defs/{name}Overlay"

    def loosened(self, definition: dict[str, Any]) -> dict[str, Any]:
        loose = copy.deepcopy(definition)
        fields = loose.get("properties", {})
        loose["properties"] = {key: _nullable(self.of(field)) for key, field in fields.items()}
        loose.pop("required", None)
        if "name" in fields:
            loose["required"] = ["name"]
            loose["properties"]["name"] = fields["name"]
        return loose


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    description = {"description": node["description"]} if "description" in node else {}
    inner = {key: value for key, value in node.items() if key != "description"}
    return {"anyOf": [inner, {"type": "null"}], **description}
