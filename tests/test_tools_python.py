"""Tools of type python: real processes, without and with a sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bedplate.blueprint.model import PythonTool
from bedplate.problems import BedplateError
from bedplate.runtime.sandbox import best_backend
from bedplate.runtime.tools.child import sandboxed
from bedplate.runtime.tools.python import PythonToolset
from tools_support import alive, context, plain

MODULE = '''
import asyncio, os, sys, time, socket, subprocess
from dataclasses import dataclass
from typing_extensions import TypedDict
from pydantic import BaseModel

print("noise on import")

def add(left: int, right: int = 2) -> int:
    """Add two numbers.

    Args:
        left: The first one.

    Returns:
        The sum.
    """
    print("noise in a call")
    os.write(1, b"noise below python\\n")
    subprocess.run(["echo", "noise of a child"])
    return left + right

@dataclass
class Point:
    x: float
    y: float = 0.0

class Options(TypedDict):
    deep: bool

class Order(BaseModel):
    item: str
    count: int = 1

def shapes(point: Point, options: Options, order: Order, schema: str = "s") -> dict:
    return {"x": point.x, "deep": options["deep"], "item": order.item, "schema": schema}

async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return f"slept {seconds}"

def stuck(seconds: float = 60) -> str:
    time.sleep(seconds)
    return "woke"

def fails(kind: str) -> None:
    raise LookupError(f"no {kind} here")

def dies() -> None:
    os._exit(3)

def pid() -> int:
    return os.getpid()

def big() -> str:
    return "x" * 2_000_000

def many(*args: int) -> int:
    return sum(args)

def reach(path: str, port: int) -> dict:
    answer = {}
    try:
        answer["file"] = open(path).read()
    except OSError as error:
        answer["file"] = type(error).__name__
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        answer["network"] = "open"
    except OSError as error:
        answer["network"] = type(error).__name__
    answer["data"] = open(os.path.join(os.environ["BEDPLATE_DATA_DOCS"], "a.txt")).read()
    answer["secrets"] = [key for key in os.environ if "SECRET" in key]
    return answer
'''
Make = Callable[[str], "object"]


def toolset(project: Path, function: str, **changes: object) -> PythonToolset:
    (project / "tools").mkdir(exist_ok=True)
    (project / "tools" / "own.py").write_text(MODULE)
    settings = {"readable": [project / "tools" / "own.py"], "data": {}, "launcher": plain, **changes}
    tool = PythonTool("own", f"tools.own:{function}", where="agent.yaml:7")
    return PythonToolset(tool, project=project, **settings)  # type: ignore[arg-type]


@asynccontextmanager
async def started(project: Path, function: str, **changes: object) -> AsyncIterator[PythonToolset]:
    tools = toolset(project, function, **changes)
    try:
        await tools.start()
        yield tools
    finally:
        await tools.close()


async def test_the_signature_becomes_the_schema(tmp_path: Path) -> None:
    """Type hints, defaults and docstring of a function are what a model is offered."""
    async with started(tmp_path, "add") as tools:
        (operation,) = await tools.operations()
    assert (operation.name, operation.description, operation.verb) == ("add", "Add two numbers.", "call")
    assert operation.effect
    schema = operation.input_schema
    assert schema["required"] == ["left"]
    assert schema["properties"]["left"] == {"type": "integer", "title": "left", "description": "The first one."}
    assert schema["properties"]["right"]["default"] == 2
    assert schema["additionalProperties"] is False


async def test_printing_does_not_disturb_the_answers(tmp_path: Path) -> None:
    """What the function, its children and even a write to descriptor 1 print never reaches the protocol."""
    async with started(tmp_path, "add") as tools:
        result = await tools.call("add", {"left": 40}, context())
    assert (result.error, result.text, result.data) == (False, "42", 42)


async def test_structured_arguments_arrive_as_their_types(tmp_path: Path) -> None:
    """A dataclass, a TypedDict and a pydantic model are built from JSON, and a parameter may be called `schema`."""
    arguments = {"point": {"x": 1.5}, "options": {"deep": True}, "order": {"item": "tea"}}
    async with started(tmp_path, "shapes") as tools:
        result = await tools.call("shapes", arguments, context())
    assert result.data == {"x": 1.5, "deep": True, "item": "tea", "schema": "s"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({}, "left"), ({"left": "many"}, "left"), ({"left": 1, "other": 2}, "other")],
)
async def test_wrong_arguments_are_named(tmp_path: Path, arguments: dict[str, object], said: str) -> None:
    """Missing, mistyped and unknown arguments come back as an error that names them."""
    async with started(tmp_path, "add") as tools:
        result = await tools.call("add", arguments, context())
    assert result.error
    assert "ValidationError" in result.text
    assert said in result.text


async def test_async_functions_run_at_the_same_time(tmp_path: Path) -> None:
    """Five calls of half a second take well under the two and a half that they would take in a row."""
    async with started(tmp_path, "slow") as tools, asyncio.timeout(2):
        results = await asyncio.gather(*(tools.call("slow", {"seconds": 0.5}, context()) for _ in range(5)))
    assert [result.text for result in results] == ["slept 0.5"] * 5


async def test_an_exception_is_a_result_without_its_traceback(tmp_path: Path) -> None:
    """The model sees type and message of an exception, the log has the rest."""
    async with started(tmp_path, "fails") as tools:
        result = await tools.call("fails", {"kind": "bread"}, context())
    assert result.error
    assert result.text == "LookupError: no bread here"


async def test_a_call_that_hangs_is_killed_and_the_next_one_works(tmp_path: Path) -> None:
    """At its deadline the process is gone, and the next call gets a new one."""
    async with started(tmp_path, "stuck") as tools:
        result = await tools.call("stuck", {}, context(seconds=0.5))
        assert result.error
        assert "did not answer" in result.text
        again = await tools.call("stuck", {"seconds": 0}, context())
    assert again.text == "woke"


async def test_a_process_that_dies_in_a_call_is_an_error_and_started_again(tmp_path: Path) -> None:
    """A crash ends the call with an error at once; the tool goes on in a new process."""
    async with started(tmp_path, "dies") as tools, asyncio.timeout(10):
        first = await tools.call("dies", {}, context())
        second = await tools.call("dies", {}, context())
    assert first.error
    assert "ended in the call" in first.text
    assert "ended in the call" in second.text


async def test_closing_leaves_no_process(tmp_path: Path) -> None:
    """After close, also a second one, the process does not exist."""
    async with started(tmp_path, "pid") as tools:
        pid = (await tools.call("pid", {}, context())).data
        assert alive(pid)
        await tools.close()
    assert not alive(pid)


async def test_a_huge_result_is_an_error(tmp_path: Path) -> None:
    """Two megabytes are refused, and the process lives on."""
    async with started(tmp_path, "big") as tools:
        result = await tools.call("big", {}, context())
    assert result.error
    assert "larger" in result.text


@pytest.mark.parametrize(
    ("function", "said"),
    [("absent", "no function absent"), ("many", "*args"), ("sys", "no function sys")],
)
async def test_what_cannot_be_offered_is_refused_at_the_start(tmp_path: Path, function: str, said: str) -> None:
    """A missing name, a module in place of a function and `*args` are BP450 with the manifest's line."""
    with pytest.raises(BedplateError) as caught:
        async with started(tmp_path, function):
            pass
    (problem,) = caught.value.problems
    assert problem.code == "BP450"
    assert str(problem.where) == "agent.yaml:7"
    assert said in problem.detail


async def test_a_module_that_fails_to_import_says_why(tmp_path: Path) -> None:
    """The exception of an import stands in the problem's detail."""
    tools = toolset(tmp_path, "add")
    (tmp_path / "tools" / "own.py").write_text("import nothing_of_this_name")
    with pytest.raises(BedplateError) as caught:
        await tools.start()
    assert "nothing_of_this_name" in caught.value.problems[0].detail
    await tools.close()


@pytest.mark.skipif(best_backend().backend == "none", reason="no sandbox backend works on this machine")
async def test_in_the_sandbox_only_code_and_data_are_there(tmp_path: Path) -> None:
    """Inside the sandbox a secret file and a loopback server are out of reach, and the data root is readable."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("document")
    (tmp_path / "secret.txt").write_text("secret")
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    readable = [tmp_path / "tools" / "own.py", docs]
    launcher = sandboxed(best_backend().backend, 512 * 1024 * 1024, 64)
    async with (
        server,
        started(tmp_path, "reach", readable=readable, data={"docs": str(docs)}, launcher=launcher) as tools,
    ):
        result = await tools.call("reach", {"path": str(tmp_path / "secret.txt"), "port": port}, context())
    assert not result.error, result.text
    assert result.data["data"] == "document"
    assert result.data["file"] in ("FileNotFoundError", "PermissionError")
    assert result.data["network"] != "open"
    assert result.data["secrets"] == []
