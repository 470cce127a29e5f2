"""Tools of type search over a real index, and building toolsets from a blueprint."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bedplate.access import Grant, ScopeSet
from bedplate.blueprint.model import (
    Blueprint,
    DataSource,
    Digests,
    Expose,
    FileRef,
    HttpTool,
    Limits,
    McpTool,
    Memory,
    ModelSpec,
    PythonTool,
    Sandbox,
    SearchTool,
    SecretRef,
    Tracing,
)
from bedplate.blueprint.paths import StagePaths
from bedplate.problems import BedplateError
from bedplate.runtime.tools import build_toolsets
from bedplate.runtime.tools.api import Question, Source, Toolset
from bedplate.runtime.tools.search import SearchToolset
from bedplate.search import CONFIDENT, build_index
from tools_support import context

DOCUMENTS = {
    "guide/tea.md": "# Tea\n\n## Brewing\n\nSteep green tea for two minutes.\n\n## Storing\n\nKeep it dry.",
    "private/pay.md": "# Pay\n\n## Brewing\n\nWho brews tea is paid more.",
}


@dataclass(frozen=True)
class File:
    path: str


@pytest.fixture
def index(tmp_path: Path) -> Path:
    for name, text in DOCUMENTS.items():
        file = tmp_path / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    build_index(tmp_path / "docs", [File(name) for name in DOCUMENTS], tmp_path / "index" / "docs.db")
    return tmp_path / "index" / "docs.db"


async def started(index: Path) -> SearchToolset:
    tools = SearchToolset(SearchTool("docs", "docs"), index)
    await tools.start()
    return tools


async def test_the_operations_are_search_and_open(index: Path) -> None:
    """Both only read; `search` is marked as the operation that takes a query."""
    tools = await started(index)
    search, read = await tools.operations()
    assert (search.name, search.verb, search.effect, search.query) == ("search", "read", False, True)
    assert (read.name, read.verb, read.effect, read.query) == ("open", "read", False, False)
    await tools.close()
    await tools.close()


async def test_a_result_has_text_data_and_sources(index: Path) -> None:
    """Passages are numbered with path, anchor and heading; the data says how confident a quote would be."""
    tools = await started(index)
    result = await tools.call("search", {"query": "how long to steep green tea?", "limit": 1}, context())
    await tools.close()
    assert result.text == "[1] guide/tea.md#brewing — Brewing\nSteep green tea for two minutes."
    assert result.sources == (Source("guide/tea.md", "Brewing", "brewing"),)
    (data,) = result.data["passages"]
    assert data["text"] == "Steep green tea for two minutes."
    assert data["confidence"] >= CONFIDENT
    assert (data["path"], data["anchor"], data["heading"]) == ("guide/tea.md", "brewing", "Brewing")


async def test_each_hit_is_decided(index: Path) -> None:
    """A document that the decider denies is not found, and every decision is on `read` and its path."""
    asked: list[Question] = []

    def allowed(question: Question) -> bool:
        asked.append(question)
        return question.object.startswith("guide/")

    tools = await started(index)
    result = await tools.call("search", {"query": "brewing tea"}, context(allowed))
    await tools.close()
    assert {item["path"] for item in result.data["passages"]} == {"guide/tea.md"}
    assert "paid" not in result.text
    assert set(asked) == {Question("read", "guide/tea.md"), Question("read", "private/pay.md")}


async def test_nothing_found_is_said_and_no_error(index: Path) -> None:
    """Without hits the result is empty, not failed."""
    tools = await started(index)
    result = await tools.call("search", {"query": "zeppelin"}, context())
    await tools.close()
    assert (result.error, result.data, result.sources) == (False, {"passages": []}, ())
    assert "Nothing was found" in result.text


async def test_questions_name_what_is_read(index: Path) -> None:
    """A search may meet any document, `open` one; nothing else is an operation."""
    tools = await started(index)
    assert tools.question("search", {"query": "x"}) == Question("read", "*", any_object=True)
    assert tools.question("open", {"path": "guide/tea.md"}) == Question("read", "guide/tea.md")
    with pytest.raises(BedplateError) as caught:
        tools.question("delete", {})
    assert caught.value.problems[0].code == "BP454"
    await tools.close()


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "guide/../private/pay.md", "guide//tea.md", "./x", "a\\b", "a\0"]
)
async def test_a_path_has_one_spelling(index: Path, path: str) -> None:
    """Another spelling of a path than the index's is refused before access is asked."""
    tools = await started(index)
    with pytest.raises(BedplateError) as caught:
        tools.question("open", {"path": path})
    assert caught.value.problems[0].code == "BP453"
    await tools.close()


async def test_opening_reads_a_document_or_a_section(index: Path) -> None:
    """`open` returns the text with its headings; what is not there is an error result."""
    tools = await started(index)
    whole = await tools.call("open", {"path": "guide/tea.md"}, context())
    part = await tools.call("open", {"path": "guide/tea.md", "anchor": "storing"}, context())
    absent = await tools.call("open", {"path": "guide/none.md"}, context())
    await tools.close()
    assert "## Brewing" in whole.text
    assert "Keep it dry." in whole.text
    assert part.text == "## Storing\n\nKeep it dry."
    assert absent.error


async def test_many_searches_at_once(index: Path) -> None:
    """Forty calls at the same time each get their own answer."""
    tools = await started(index)
    queries = ["steep green tea", "keep it dry"] * 20
    results = await asyncio.gather(*(tools.call("search", {"query": q, "limit": 1}, context()) for q in queries))
    await tools.close()
    assert [result.sources[0].anchor for result in results] == ["brewing", "storing"] * 20


def blueprint(project: Path) -> Blueprint:
    return Blueprint(
        name="agent",
        stage="prototype",
        target="local",
        intent="script",
        project=str(project),
        model=ModelSpec("bedplate:extractive"),
        instructions="",
        data=(DataSource("docs", str(project / "docs"), (), "sha256:0"),),
        tools=(
            SearchTool("docs", "docs"),
            PythonTool("own", "own:twice", data=("docs",)),
            McpTool("server", command=("python", "server.py"), env={"TOKEN": SecretRef("server-token")}),
            HttpTool("api", "api.yaml", credentials=SecretRef("api-key")),
        ),
        scopes=ScopeSet((Grant("g", "api", "get", "https://api.example/*"),)),
        memory=Memory(),
        evals=(),
        tracing=Tracing(),
        limits=Limits(),
        expose=Expose(),
        sandbox=Sandbox(),
        digests=Digests("sha256:0", "sha256:0"),
        code=(FileRef("own.py", "0", 0),),
    )


async def test_a_blueprint_becomes_a_toolset_for_each_tool(tmp_path: Path, index: Path) -> None:
    """All four types are built in order, read just the secrets that they name, and start and close."""
    (tmp_path / "own.py").write_text("def twice(n: int) -> int:\n    return 2 * n\n")
    (tmp_path / "server.py").write_text("import sys; sys.exit(1)")
    (tmp_path / "api.yaml").write_text(
        "openapi: 3.1.0\nservers: [{url: 'https://api.example'}]\npaths: {/a: {get: {operationId: a}}}"
    )
    stage = StagePaths.of(tmp_path, "prototype")
    stage.index("docs").parent.mkdir(parents=True)
    index.rename(stage.index("docs"))
    read: list[str] = []

    def secret(name: str) -> str:
        read.append(name)
        return "value"

    tools: dict[str, Toolset] = build_toolsets(blueprint(tmp_path), stage=stage, read_secret=secret, sandbox="none")
    offered: dict[str, Any] = {}
    for name, toolset in tools.items():
        await toolset.start()
        offered[name] = [operation.name for operation in await toolset.operations()]
    result = await tools["own"].call("twice", {"n": 4}, context())
    for toolset in tools.values():
        await toolset.close()
    assert offered == {"docs": ["search", "open"], "own": ["twice"], "server": [], "api": ["a"]}
    assert sorted(read) == ["api-key", "server-token"]
    assert result.data == 8


def test_importing_the_package_is_light() -> None:
    """What the command line and a tool's process import brings no client library along."""
    code = (
        "import sys, bedplate.runtime.tools, bedplate.runtime.tools.api, bedplate.runtime.tools.build, bedplate.search;"
        "print(sorted({'mcp', 'httpx2', 'pydantic', 'jsonschema', 'yaml', 'starlette'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
