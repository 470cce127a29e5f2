"""A JSON or YAML document with local references, and its schemas with the references written out.

References are followed inside the document only. A schema that contains itself is cut where it would repeat, and one
that is too large is cut at a number of nodes: what is cut accepts anything, and the API itself still checks it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

MAX_BYTES = 16 * 1024 * 1024
MAX_NODES = 4000  # of one schema, written out
_MAX_HOPS = 32  # from reference to reference
_ANNOTATIONS = frozenset(
    ("example", "examples", "xml", "externalDocs", "discriminator", "deprecated", "$schema", "$id")
)
# Keys whose values are names of properties, not schema keywords.
_MAPS = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
_LITERALS = frozenset(("enum", "const", "default", "required"))


class Broken(Exception):
    """The document cannot be used; the message says why."""


@dataclass(frozen=True)
class Document:
    """A parsed OpenAPI document. `old` is true for 3.0, whose schemas differ from JSON Schema in a few words."""

    root: Mapping[str, Any]
    old: bool

    @classmethod
    def read(cls, file: Path) -> Document:
        """Read JSON or YAML. Raises Broken."""
        try:
            if file.stat().st_size > MAX_BYTES:
                raise Broken(f"it is larger than {MAX_BYTES // 1024 // 1024} MiB")
            root = _parse(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Broken(f"it cannot be read: {error}") from error
        version = str(root.get("openapi", "")) if isinstance(root, dict) else ""
        if not version.startswith(("3.0", "3.1")):
            raise Broken(
                f"it says version {version!r}; 3.0 and 3.1 are supported" if version else "it is no OpenAPI 3 document"
            )
        return cls(root, version.startswith("3.0"))

    def paths(self) -> Mapping[str, Any]:
        """Path items by template. Raises Broken where there is none."""
        paths = self.root.get("paths")
        if not isinstance(paths, dict) or not paths:
            raise Broken("it has no paths")
        return {path: item for path, item in paths.items() if str(path).startswith("/")}

    def resolve(self, node: Any) -> Mapping[str, Any]:
        """`node`, or what it refers to. Raises Broken for a reference that leads nowhere, out, or in a circle."""
        for _ in range(_MAX_HOPS):
            if not isinstance(node, dict):
                raise Broken(f"an object is expected where it has {node!r:.60}")
            if "$ref" not in node:
                return node
            node = self._target(str(node["$ref"]))
        raise Broken("a reference leads in a circle")

    def schema(self, node: Any) -> Mapping[str, Any]:
        """A schema as JSON Schema 2020-12 without references."""
        written = _Writer(self).write(node, ())
        return written if isinstance(written, dict) else {}

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise Broken(f"the reference {reference!r:.120} leads out of the document")
        node: Any = self.root
        for part in reference[2:].split("/"):
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, dict) and key in node:
                node = node[key]
            else:
                raise Broken(f"the reference {reference!r:.120} leads nowhere")
        return node


class _Writer:
    """Writes one schema out, counting nodes."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def write(self, node: Any, seen: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [self.write(item, seen) for item in node]
        if not isinstance(node, dict):
            return node
        self._nodes += 1
        if self._nodes > MAX_NODES:
            return {}
        if "$ref" in node:
            reference = str(node["$ref"])
            if reference in seen:
                return {"description": f"again {reference.rpartition('/')[2]}"}
            extra = {key: value for key, value in node.items() if key != "$ref"}
            return self.write({**self._document.resolve(node), **extra}, (*seen, reference))
        written = {key: self._value(key, value, seen) for key, value in node.items() if key not in _ANNOTATIONS}
        return _modern(written) if self._document.old else written

    def _value(self, key: str, value: Any, seen: tuple[str, ...]) -> Any:
        if key in _LITERALS:
            return value
        if key in _MAPS and isinstance(value, dict):
            return {name: self.write(schema, seen) for name, schema in value.items()}
        return self.write(value, seen)


def _modern(schema: dict[str, Any]) -> dict[str, Any]:
    """Words of OpenAPI 3.0 in those of JSON Schema 2020-12: nullable, exclusive bounds."""
    if schema.pop("nullable", False) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        flag = schema.get(exclusive)
        if isinstance(flag, bool):
            del schema[exclusive]
            if flag and bound in schema:
                schema[exclusive] = schema.pop(bound)
    return schema


def _parse(text: str) -> Any:
    if text.lstrip()[:1] == "{":
        try:
            return json.loads(text)
        except ValueError as error:
            raise Broken(f"it is not valid JSON: {error}") from error
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise Broken(f"it is not valid YAML: {error}") from error
