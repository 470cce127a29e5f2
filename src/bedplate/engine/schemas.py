"""The schema of a package, made from its classes: Pulumi's package schema (pulumi/pulumi, pkg/codegen/schema).

Goes in: resource classes with their properties, the provider's own. Comes out: the schema as JSON values. It looks at
classes only; no resource is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bedplate.engine.provider import Property, Resource

_PLAIN = frozenset({"string", "integer", "number", "boolean"})


def type_spec(kind: str) -> dict[str, Any]:
    """A property's kind as the schema has it: `string[]` is a list of strings. Raises ValueError for another word."""
    if kind.endswith("[]"):
        return {"type": "array", "items": type_spec(kind.removesuffix("[]"))}
    if kind.endswith("{}"):
        return {"type": "object", "additionalProperties": type_spec(kind.removesuffix("{}"))}
    if kind == "any":
        return {"$ref": "pulumi.json#/Any"}
    if kind not in _PLAIN:
        raise ValueError(f"no kind of property: {kind}")
    return {"type": kind}


def package_schema(
    name: str, version: str, description: str, config: Mapping[str, Property], types: Iterable[type[Resource]]
) -> dict[str, Any]:
    """The schema of a package. `config` is what its provider takes."""
    return {
        "name": name,
        "version": version,
        "description": description,
        "config": {"variables": _specs(config), "required": _required(config)},
        "provider": {"inputProperties": _specs(config), "requiredInputs": _required(config)},
        "resources": {each.type: _resource(each) for each in sorted(types, key=lambda each: each.type)},
    }


def _resource(resource: type[Resource]) -> dict[str, Any]:
    kept = {name: each for name, each in resource.inputs.items() if each.kept}
    outputs = {**kept, **resource.outputs}
    return {
        "description": " ".join((resource.__doc__ or "").split("\n\n")[0].split()),
        "properties": _specs(outputs, resource.secret_outputs),
        "required": _required(outputs),
        "inputProperties": _specs(resource.inputs, replacing=resource.replace_keys),
        "requiredInputs": _required(resource.inputs),
    }


def _specs(
    properties: Mapping[str, Property], secret: Iterable[str] = (), replacing: Iterable[str] = ()
) -> dict[str, Any]:
    return {
        name: {
            **type_spec(each.kind),
            "description": each.description,
            **({"secret": True} if name in set(secret) else {}),
            **({"willReplaceOnChanges": True} if name in set(replacing) else {}),
        }
        for name, each in sorted(properties.items())
    }


def _required(properties: Mapping[str, Property]) -> list[str]:
    return sorted(name for name, each in properties.items() if each.required)
