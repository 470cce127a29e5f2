"""The JSON Schema of the manifest, made from the models, for editors and `bedplate schema`."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

SCHEMA_URL = "https://bedplate.dev/schemas/agent.v1.json"


@cache
def model_schema() -> dict[str, Any]:
    """The schema as pydantic makes it, with overlays of stages open. Do not change it."""
    from bedplate.manifest.models import Manifest

    return Manifest.model_json_schema(by_alias=True, mode="validation")


def json_schema() -> dict[str, Any]:
    """The published schema (JSON Schema 2020-12): overlays of stages have the shape of the sections, all optional."""
    schema = copy.deepcopy(model_schema())
    partial = _Partial(schema["$defs"])
    stage = schema["$defs"]["Stage"]["properties"]
    for name, field in schema["properties"].items():
        if name in stage:
            stage[name] = {**partial.of(field), "description": stage[name]["description"]}
    schema["$defs"].update(partial.made)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_URL,
        **schema,
        "title": "Bedplate agent",
    }


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
        if name.endswith("Scope") or name in {"SecretName", "FileName", "Never", "Gate", "DataUse"}:
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
    if any(item == {"type": "null"} for item in inner.get("anyOf", ())):
        return node
    return {"anyOf": [inner, {"type": "null"}], **description}
