"""Projects for tests of manifests and blueprints, and a walk over a document with the schema's fields."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.resolve import resolve
from bedplate.manifest import load
from bedplate.manifest.schema import model_schema

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "agent.yaml.example"
CASES = Path(__file__).parent / "cases" / "manifest"

REFUNDS = """\
from datetime import datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Literal


def refund(
    customer: str,
    amount: Decimal,
    currency: Literal["USD", "EUR"],
    note: str,
    paid: datetime,
    reason: str | None = None,
    tags: list[str] | None = None,
    address: IPv4Address | None = None,
) -> str:
    return "done"


def other(customer: str) -> str:
    return customer
"""
ORDERS = """\
openapi: 3.1.0
info: {title: Orders, version: '1'}
servers: [{url: 'https://orders.example.com/v1'}]
paths:
  /orders/{order}:
    get: {operationId: order}
    head: {operationId: known}
  /orders/{order}/notes:
    post:
      operationId: note
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [text]
              properties: {text: {type: string}}
  /orders/{order}/notes/{note}: {delete: {operationId: forget}}
  /orders/{order}/address: {put: {operationId: move}}
  /orders/{order}/contact: {patch: {operationId: contact}}
  /orders: {options: {operationId: choices}}
"""
CEILING = """\
apiVersion: bedplate.dev/v1
kind: Ceiling
allow:
  - {tool: "*", call: "*"}
  - {tool: "*", read: "*"}
  - {tool: "*", get: "*"}
  - {tool: "*", post: "*"}
  - {tool: "*", put: "*"}
  - {tool: "*", patch: "*"}
  - {tool: "*", delete: "*"}
  - {tool: "*", head: "*"}
  - {tool: "*", options: "*"}
  - {tool: "*", list: "*"}
  - {tool: "*", write: "*"}
  - {tool: "*", query: "*"}
  - {tool: "*", insert: "*"}
  - {tool: "*", update: "*"}
never:
  - {call: "*.drop_*"}
"""

EXAMPLE_FILES = {
    "prompts/system.md": "You answer.",
    "docs/guide/start.md": "# Start",
    "docs/index.html": "<h1>Home</h1>",
    "docs/drafts/new.md": "# Draft",
    "tariffs/2026.md": "# Tariffs",
    "tools/quote.py": "def price(amount: int) -> int:\n    return amount\n",
    "mcp_servers/tickets.py": "",
    "tools/refunds.py": REFUNDS,
    "openapi/orders.yaml": ORDERS,
    "ceiling.yaml": CEILING,
    "evals/faq.yaml": "cases: []\n",
    "requirements.txt": f"harbour==1.0 --hash=sha256:{'0' * 64}\n",
}
Path_ = tuple[str | int, ...]


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def example_project(folder: Path) -> Path:
    """The example manifest with the files that it names; its path."""
    write_files(folder, EXAMPLE_FILES)
    shutil.copy(EXAMPLE, folder / "agent.yaml")
    return folder / "agent.yaml"


def blueprint_of(folder: Path, document: Any, stage: str | None = None) -> Blueprint:
    """The blueprint of a document (or text) as the project's manifest."""
    text = document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (folder / "agent.yaml").write_text(text)
    return resolve(load(folder / "agent.yaml"), stage)


def search_tool(name: str, use: str) -> dict[str, Any]:
    """A search tool that may read all of a data source."""
    return {"name": name, "type": "search", "use": use, "scopes": [{"read": "*"}]}


def small(**sections: Any) -> dict[str, Any]:
    """The smallest document, with more sections."""
    return {
        "apiVersion": "bedplate.dev/v1",
        "kind": "Agent",
        "metadata": {"name": "small"},
        "intent": "script",
        "model": "bedplate:extractive",
        "instructions": "Answer.",
        **sections,
    }


def searching(**data: Any) -> dict[str, Any]:
    """A document with one data source and a search tool over it."""
    source = {"name": "docs", "type": "files", "path": "docs", **data}
    return small(data=[source], tools=[search_tool("docs", "docs")])


def schema_fields() -> set[str]:
    """Every field as `Definition.key`, but those of overlays, which are the sections again."""
    schema = model_schema()
    definitions = {"Manifest": schema, **schema["$defs"]}
    fields = {f"{name}.{key}" for name, definition in definitions.items() for key in definition.get("properties", {})}
    return {field for field in fields if not field.startswith("Stage.")} | {"Stage.target", "Stage.from"}


def written_fields(document: Any) -> Iterator[tuple[str, Path_, Any]]:
    """Every field that a document writes, as `Definition.key`, with its path and value."""
    schema = model_schema()

    def walk(node: dict[str, Any], value: Any, path: Path_) -> Iterator[tuple[str, Path_, Any]]:
        for definition in _definitions(schema, node):
            match value:
                case dict() if set(value) <= set(definition.get("properties", {})):
                    for key, inner in value.items():
                        yield f"{definition['title']}.{key}", (*path, key), inner
                        yield from walk(definition["properties"][key], inner, (*path, key))
                case dict() if isinstance(definition.get("additionalProperties"), dict):
                    for key, inner in value.items():
                        yield from walk(definition["additionalProperties"], inner, (*path, key))
                case list() if "items" in definition:
                    for index, inner in enumerate(value):
                        yield from walk(definition["items"], inner, (*path, index))

    yield from walk(schema, document, ())


def _definitions(schema: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in node:
        yield from _definitions(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
    for keyword in ("anyOf", "oneOf"):
        for inner in node.get(keyword, ()):
            yield from _definitions(schema, inner)
    if not {"$ref", "anyOf", "oneOf"} & set(node):
        yield node
