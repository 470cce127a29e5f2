"""`bedplate lock` with real servers: over stdio in the sandbox and over HTTP, there, gone, changed and lying."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from bedplate.blueprint.lock import Lock, read
from bedplate.problems import BedplateError
from bedplate.release.locking import Relocked
from bedplate.release.locking import relock as _relock
from cli_support import bedplate
from lock_support import HTTP, PYTHON, SERVER, STDIO, project
from test_tools_mcp import LIAR
from tools_support import served

SCHEMA = json.loads((Path(__file__).parents[1] / "docs/schema/lock.v1.json").read_text())


def relock(manifest: Path, **options: Any) -> Relocked:
    return _relock(manifest, **{"environment": {}, "allow_unsandboxed": True, **options})


def told(found: Relocked) -> list[str]:
    return [f"{change.symbol} {change.what} {change.name} {change.detail}".strip() for change in found.changes]


def on_disk(manifest: Path) -> Lock:
    return read((manifest.parent / "bedplate.lock").read_text())


@contextmanager
def web(token: str, port: int = 0) -> Iterator[str]:
    """An MCP server over HTTP behind a bearer token, in a thread with a loop of its own."""
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("web")

    @server.tool()
    def double(number: int) -> int:
        return 2 * number

    app = server.streamable_http_app(json_response=True)

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and Request(scope).headers.get("authorization") != f"Bearer {token}":
            await PlainTextResponse("no", 401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    ready, addresses, ends = threading.Event(), [], []

    async def run() -> None:
        async with served(guarded, port) as url:
            addresses.append(f"{url}/mcp")
            ends.append((asyncio.get_running_loop(), end := asyncio.Event()))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    try:
        yield addresses[0]
    finally:
        loop, end = ends[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(20)


def at(url: str) -> dict[str, Any]:
    return {
        "name": "web",
        "type": "mcp",
        "url": url,
        "credentials": {"secret": "web-token"},
        "scopes": [{"call": "*"}],
    }


def test_everything_is_pinned(tmp_path: Path) -> None:
    """A server, a document, a function, models and datasets stand in the lock, whole where nobody else has them."""
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals/faq.yaml").write_text("cases: [{name: a, input: b, expected: {contains: [c]}}]\n")
    evals = [{"name": "faq", "dataset": "evals/faq.yaml"}]
    manifest = project(tmp_path, STDIO, PYTHON, HTTP, evals=evals, stages={"one": {"target": "local"}})
    found = relock(manifest)
    lock = on_disk(manifest)
    assert found.exit == 0
    assert found.wrote
    assert lock == found.lock
    assert list(lock.tools["shop"].pins) == ["find_order", "refund"]
    order = lock.tools["shop"].operations[0]
    assert order.description.startswith("Find an order.\n")
    assert order.annotations == {"readOnlyHint": True}
    assert order.schema["required"] == ["id"]
    assert order.output is not None
    assert list(lock.tools["api"].pins) == ["getOrder", "refund"]
    assert list(lock.tools["quote"].pins) == ["price"]
    assert lock.models == {"one": ("bedplate:extractive",)}
    assert list(lock.datasets) == ["evals/faq.yaml"]
    document = json.loads((tmp_path / "bedplate.lock").read_text())
    assert not list(Draft202012Validator(SCHEMA).iter_errors(document))


def test_the_same_is_written_once(tmp_path: Path) -> None:
    """A second run finds nothing to do and does not touch the file, whose permissions are those of any file."""
    manifest = project(tmp_path, STDIO)
    relock(manifest)
    file = tmp_path / "bedplate.lock"
    before = file.stat()
    again = relock(manifest)
    assert (again.stale, again.wrote, again.changes, again.exit) == (False, False, (), 0)
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    os.umask(mask := os.umask(0))
    assert before.st_mode & 0o777 == 0o666 & ~mask
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_changed_server_is_told_part_by_part(tmp_path: Path) -> None:
    """`check` says what differs and writes nothing; without it the new pins are written and the same is said."""
    manifest = project(tmp_path, STDIO, PYTHON)
    old = relock(manifest).lock
    new = SERVER.replace("Refund an order.", "Refund an order, quietly.").replace("id: str,", "id: int,")
    new = new.replace("def refund", "def cancel(order: str) -> str:\n    return order\n\n@server.tool()\ndef refund")
    (tmp_path / "server.py").write_text(new)
    (tmp_path / "tools/quote.py").write_text('def price(amount: float) -> int:\n    """The price."""\n    return 1\n')
    expected = [
        "~ operation quote.price",
        "+ operation shop.cancel",
        "~ operation shop.find_order inputSchema",
        "~ operation shop.refund description",
    ]
    checked = relock(manifest, check=True)
    assert told(checked) == expected
    assert (checked.exit, checked.stale, checked.wrote) == (2, True, False)
    assert on_disk(manifest) == old
    done = relock(manifest)
    assert told(done) == expected
    assert (done.exit, done.wrote) == (0, True)
    assert relock(manifest, check=True).exit == 0


def test_tools_and_models_that_come_and_go(tmp_path: Path) -> None:
    """What the manifest no longer has leaves the lock; a new command, model or stage is told."""
    manifest = project(tmp_path, STDIO, PYTHON, stages={"one": {"target": "local"}, "two": {"target": "local"}})
    relock(manifest)
    (tmp_path / "other.py").write_text(SERVER)
    other = {**STDIO, "command": ["python", "other.py"]}
    stages = {"one": {"target": "local", "model": "openai:gpt-5"}, "three": {"target": "local"}}
    found = relock(project(tmp_path, other, stages=stages))
    assert told(found) == [
        "- operation quote.price",
        "~ tool shop command",
        "~ models one bedplate:extractive → openai:gpt-5",
        "+ models three bedplate:extractive",
        "- models two",
    ]
    assert list(on_disk(manifest).tools) == ["shop"]


def test_a_server_that_is_gone_keeps_its_pins(tmp_path: Path) -> None:
    """Exit 1 says which; its old pins stay, those of the others are written, and it is asked again the next time."""
    with web("right") as url:
        manifest = project(tmp_path, at(url), STDIO)
        first = relock(manifest, environment={"WEB_TOKEN": "right"})
    assert first.exit == 0, first.problems
    assert list(first.lock.tools["web"].pins) == ["double"]
    (tmp_path / "server.py").write_text(SERVER.replace("Refund an order.", "Refund."))
    gone = relock(manifest, environment={"WEB_TOKEN": "right"})
    assert (gone.exit, gone.wrote) == (1, True)
    assert told(gone) == ["~ operation shop.refund description"]
    assert [problem.code for problem in gone.problems] == ["BP822"]
    assert "tool web" in gone.problems[0].summary
    assert on_disk(manifest).tools["web"] == first.lock.tools["web"]
    with web("right", int(url.split(":")[2].split("/")[0])):
        assert relock(manifest, environment={"WEB_TOKEN": "right"}).exit == 0


SECRETS = {"none": ({}, "secret web-token is not set"), "a wrong one": ({"WEB_TOKEN": "wr0ng"}, "cannot be pinned")}


@pytest.mark.parametrize("case", SECRETS.values(), ids=SECRETS)
def test_a_missing_or_wrong_secret_is_told(tmp_path: Path, case: tuple[dict[str, str], str]) -> None:
    """A server that wants another secret is not pinned, and no message holds a secret's value."""
    environment, said = case
    with web("right") as url:
        found = relock(project(tmp_path, at(url)), environment=environment)
    assert found.exit == 1
    assert said in found.problems[0].summary
    assert "wr0ng" not in str(found.problems)
    assert found.lock.tools == {}


def test_secrets_come_from_the_environment_and_the_file(tmp_path: Path) -> None:
    """A command gets its declared secrets, from `.env` as well, and none of them is written to the lock."""
    tool = {**STDIO, "env": {"TOKEN": {"secret": "shop-token"}}}
    manifest = project(tmp_path, tool)
    telling = '@server.tool(description=os.environ["TOKEN"])\n'
    (tmp_path / "server.py").write_text(SERVER.replace("@server.tool()\n", telling))
    (tmp_path / ".env").write_text("SHOP_TOKEN=from-the-file-1234\n")
    found = relock(manifest)
    assert found.exit == 0, found.problems
    assert "from-the-file" not in (tmp_path / "bedplate.lock").read_text()
    assert found.lock == relock(manifest, environment={"SHOP_TOKEN": "another-one-5678"}).lock


DEAD = {
    "it ends at once": "import sys; sys.exit('bad configuration')",
    "it lists nothing": "",
    "it breaks the protocol": "",
}
LISTS: dict[str, Any] = {
    "it lists nothing": [],
    "it breaks the protocol": [{"name": "a", "inputSchema": {"type": "array"}}],
}


@pytest.mark.parametrize("case", DEAD, ids=list(DEAD))
def test_a_server_that_is_no_good_is_not_pinned(tmp_path: Path, case: str) -> None:
    """Nothing of it is written, and the reason is told."""
    manifest = project(tmp_path, {**STDIO, "command": ["python", "server.py", "tools.json"]})
    (tmp_path / "server.py").write_text(DEAD[case] or LIAR)
    (tmp_path / "tools.json").write_text(json.dumps(LISTS.get(case, [])))
    found = relock(manifest)
    assert (found.exit, found.lock.tools) == (1, {})
    reason = {"it ends at once": "bad configuration", "it lists nothing": "lists no tool"}.get(case, "protocol")
    assert reason in found.problems[0].summary


def test_what_a_server_lies_about_is_left_out(tmp_path: Path) -> None:
    """Operations that could not be offered are not pinned either: a warning says so, and the rest is pinned."""
    lies = [{"name": name, "inputSchema": {"type": "object"}} for name in ("good", "white space", "twice", "twice")]
    manifest = project(tmp_path, {**STDIO, "command": ["python", "server.py", "tools.json"]})
    (tmp_path / "server.py").write_text(LIAR)
    (tmp_path / "tools.json").write_text(json.dumps(lies))
    found = relock(manifest)
    assert (found.exit, list(found.lock.tools["shop"].pins)) == (0, ["good"])
    assert [(problem.code, str(problem.severity)) for problem in found.problems] == [("BP823", "warning")]
    assert "'twice'" in found.problems[0].detail


@pytest.mark.parametrize("text", ["{}", '<<<<<<< ours\n{"schema": "bedplate.dev/lock/v1"}'])
def test_a_broken_lock_is_written_anew_or_left(tmp_path: Path, text: str) -> None:
    """Where every server answers nothing is lost; where one does not, its old pins might be: the file stays."""
    with web("right") as url:
        manifest = project(tmp_path, at(url), STDIO)
        (tmp_path / "bedplate.lock").write_text(text)
        assert relock(manifest, environment={"WEB_TOKEN": "right"}).exit == 0
        (tmp_path / "bedplate.lock").write_text(text)
        with pytest.raises(BedplateError) as caught:
            relock(manifest, check=True, environment={"WEB_TOKEN": "right"})
    assert [problem.code for problem in caught.value.problems] == ["BP820"]
    with pytest.raises(BedplateError) as caught:
        relock(manifest, environment={"WEB_TOKEN": "right"})
    assert [problem.code for problem in caught.value.problems] == ["BP820", "BP822"]
    assert (tmp_path / "bedplate.lock").read_text() == text


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """What cannot be written whole is not there: the old lock stands, and no draft is left."""
    manifest = project(tmp_path, PYTHON)
    old = relock(manifest).lock
    (tmp_path / "tools/quote.py").write_text("def price(amount: str) -> str:\n    return amount\n")
    (tmp_path / f".bedplate.lock.{os.getpid()}").mkdir()
    with pytest.raises(OSError, match="directory"):
        relock(manifest)
    assert on_disk(manifest) == old


def test_a_manifest_that_is_wrong_in_its_form_is_not_locked(tmp_path: Path) -> None:
    """Problems of form are told as `validate` does, an unknown stage too; nothing is written."""
    manifest = project(tmp_path, STDIO, stages={"one": {"target": "local"}})
    with pytest.raises(BedplateError, match="BP115"):
        relock(manifest, stage="two")
    manifest.write_text(manifest.read_text() + "nonsense: 1\n")
    with pytest.raises(BedplateError):
        relock(manifest)
    assert not (tmp_path / "bedplate.lock").exists()


def test_the_command(tmp_path: Path) -> None:
    """Screen, JSON and exit codes: written 0, current 0, out of date 2, cannot be asked 1; servers' chatter is kept."""
    manifest = project(tmp_path, STDIO, PYTHON, stages={"one": {"target": "local"}})
    first = bedplate(tmp_path, "lock")
    assert first.code == 0, first.err
    assert first.out.splitlines()[0] == "bedplate.lock written"
    assert "+  shop.refund" in first.out
    assert first.err == ""
    assert bedplate(tmp_path, "lock", "--check").out == "bedplate.lock is up to date\n"
    (tmp_path / "server.py").write_text(SERVER.replace("Refund an order.", "Refund."))
    stale = bedplate(tmp_path, "lock", "--check")
    assert (stale.code, stale.out.splitlines()[0]) == (2, "bedplate.lock is out of date")
    assert "shop.refund" in stale.out
    assert "description" in stale.out
    report = bedplate(tmp_path, "lock", "--check", "--json")
    assert report.code == 2
    assert report.json["changes"] == [
        {"what": "operation", "name": "shop.refund", "change": "changed", "detail": "description"}
    ]
    (tmp_path / "server.py").write_text("import sys; sys.exit('out of order')")
    gone = bedplate(tmp_path, "lock")
    assert gone.code == 1
    assert "BP822 tool shop cannot be pinned" in gone.err
    assert "out of order" in gone.err
    assert gone.out == "bedplate.lock is up to date, as far as could be asked\n"
    assert list(on_disk(manifest).tools["shop"].pins) == ["find_order", "refund"]
