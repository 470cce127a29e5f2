"""A secret of an MCP server, through the whole product: it stands in its own file and nowhere else."""

from __future__ import annotations

from pathlib import Path

from cli_support import ok
from stage_support import MANIFEST, Model, stage

SECRET = "sesam-open-4711-7f3a9c"
SERVER = """\
import json, os, sys
print("key", os.environ["TOK"], file=sys.stderr, flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    match request["method"]:
        case "initialize":
            reply["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                               "serverInfo": {"name": "tells", "version": "1"}}
        case "tools/list":
            about = "with " + os.environ["TOK"]
            names = ("environ", "error")
            reply["result"] = {"tools": [{"name": n, "description": about, "inputSchema": {"type": "object"}}
                                         for n in names]}
        case "tools/call" if request["params"]["name"] == "environ":
            reply["result"] = {"content": [{"type": "text", "text": str(os.environ)}],
                               "structuredContent": dict(os.environ)}
        case _:
            reply["error"] = {"code": -32000, "message": "refused: " + os.environ["TOK"]}
    print(json.dumps(reply), flush=True)
"""
TOOLS = """\
memory: {sessions: {retention: 30d}}
tracing: {content: full}
tools:
  - {name: tells, type: mcp, command: [python, tells.py], env: {TOK: {secret: tok}}, scopes: [{call: "*"}]}
"""


def test_a_servers_secret_stays_where_it_was_put(tmp_path: Path) -> None:
    """No answer, session, trace, log or state has it, though the server sends it in everything that it says."""
    (tmp_path / ".env").write_text(f"TOK={SECRET}\n")
    model = Model()
    line = f'model: {{id: "scripted:m", baseUrl: "{model.url}/v1"}}\n'
    try:
        with stage(tmp_path, MANIFEST + line + TOOLS, **{"tells.py": SERVER}) as found:
            answers = [found.answer(f"call tells___{name}") for name in ("environ", "error")]
            seen = [ok(tmp_path, *words).out for words in (["traces", "list", "--json"], ["logs", "gateway"])]
            kept = [file for file in tmp_path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
            own = [tmp_path / ".env", found.home / "secrets/tok"]
    finally:
        model.close()
    assert "[secret]" in answers[0]
    assert "[secret]" in answers[1]
    assert SECRET not in "".join([*answers, *seen])
    assert sorted(kept) == sorted(own)
