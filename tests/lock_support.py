"""What tests of pins share: arguments as words, projects whose tools are real servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from bedplate.access.model import Argument
from manifest_support import small

SERVER = '''
import os, sys
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("own")

@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find_order(id: str, limit: int | None = None) -> str:
    """Find an order.

    By its number.
    """
    return id

@server.tool()
def refund(order: str, amount: float) -> str:
    """Refund an order."""
    return order

if __name__ == "__main__":
    print("noise on standard error", file=sys.stderr)
    if not os.environ.get("TOKEN", "set").strip("wrong"):
        sys.exit("the token is refused")
    server.run("stdio")
'''
API = """
openapi: 3.1.0
info: {title: Shop, version: "1"}
servers: [{url: "https://api.example.com/v1"}]
paths:
  /orders/{id}:
    get:
      operationId: getOrder
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
        - {name: fields, in: query, schema: {type: array, items: {type: string}}}
  /refunds:
    post:
      operationId: refund
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [amount]
              properties: {amount: {type: number}, at: {type: string, format: date-time}}
"""
FUNCTION = 'def price(amount: int) -> int:\n    """The price."""\n    return amount\n'
STDIO = {"name": "shop", "type": "mcp", "command": ["python", "server.py"], "scopes": [{"call": "*"}]}
PYTHON = {"name": "quote", "type": "python", "entrypoint": "tools.quote:price", "scopes": [{"call": "price"}]}
HTTP = {
    "name": "api",
    "type": "http",
    "openapi": {"file": "api.yaml"},
    "scopes": [{"get": "https://api.example.com/v1/*"}],
}


def words(arguments: Iterable[Argument]) -> list[str]:
    """Arguments as cases write them: `a.b string! [x, y]`."""
    return [
        f"{'.'.join(a.path)} {a.kind or 'none'}{'!' if a.required else ''}"
        + (f" [{', '.join(a.values)}]" if a.values else "")
        for a in arguments
    ]


def project(folder: Path, *tools: Mapping[str, Any], **sections: Any) -> Path:
    """A project with these tools and the files that they need; its manifest."""
    for path, text in {"server.py": SERVER, "api.yaml": API, "tools/quote.py": FUNCTION}.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    file = folder / "agent.yaml"
    file.write_text(yaml.safe_dump(small(tools=list(tools), **sections), sort_keys=False))
    return file
