"""From the tools of a blueprint to toolsets, each with the secrets that it names and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.blueprint.model import Blueprint, HttpTool, McpTool, PythonTool, SearchTool, SecretRef, SqlTool, Tool
from bedplate.blueprint.paths import StagePaths
from bedplate.blueprint.reading import readable_documents
from bedplate.runtime.tools.api import Toolset
from bedplate.runtime.tools.child import Launcher, sandboxed

if TYPE_CHECKING:
    import httpx2

    from bedplate.runtime.tools.mcp import McpToolset

ReadSecret = Callable[[str], str]
"""From a secret's name to its value. Raises BedplateError where it is missing."""


def build_toolsets(
    blueprint: Blueprint,
    *,
    stage: StagePaths,
    read_secret: ReadSecret,
    sandbox: str,
    http: httpx2.AsyncClient | None = None,
) -> dict[str, Toolset]:
    """A toolset for each tool, by name, not started. `sandbox` is the backend of tool processes (`runtime.sandbox`).

    `http` is a client for tools of type http in place of one of their own.
    """
    launcher = sandboxed(sandbox, blueprint.sandbox.memory, blueprint.sandbox.pids)
    return {tool.name: _toolset(tool, blueprint, stage, read_secret, launcher, http) for tool in blueprint.tools}


def _toolset(
    tool: Tool,
    blueprint: Blueprint,
    stage: StagePaths,
    read_secret: ReadSecret,
    launcher: Launcher,
    http: httpx2.AsyncClient | None,
) -> Toolset:
    project = Path(blueprint.project)
    packages, code = _code(blueprint)
    match tool:
        case SearchTool():
            from bedplate.runtime.tools.search import SearchToolset

            return SearchToolset(tool, stage.index(tool.use))
        case PythonTool():
            from bedplate.runtime.tools.python import PythonToolset

            roots = {source.name: source.root for source in blueprint.data if source.name in tool.data}
            readable = [*code, *readable_documents(blueprint, tool)]
            return PythonToolset(
                tool, project=project, packages=packages, readable=readable, data=roots, launcher=launcher
            )
        case McpTool():
            return mcp_toolset(tool, blueprint, read_secret, launcher)
        case SqlTool():
            raise NotImplementedError(f"{tool.name}: a stage with tools of type sql is not brought up (BP802)")
        case HttpTool():
            from bedplate.runtime.tools.http import HttpToolset

            return HttpToolset(
                tool,
                document=project / tool.document,
                grants=blueprint.scopes.grants,
                credential=_secret(tool.credentials, read_secret),
                http=http,
            )


def mcp_toolset(
    tool: McpTool, blueprint: Blueprint, read_secret: ReadSecret, launcher: Launcher, *, quiet: bool = False
) -> McpToolset:
    """One MCP server of a blueprint, not started; `quiet` as `McpToolset` has it. Raises what `read_secret` raises."""
    from bedplate.runtime.tools.mcp import McpToolset

    packages, code = _code(blueprint)
    return McpToolset(
        tool,
        project=Path(blueprint.project),
        packages=packages,
        readable=[*code, *readable_documents(blueprint, tool)],
        launcher=launcher,
        env={name: read_secret(ref.name) for name, ref in tool.env.items()},
        credential=_secret(tool.credentials, read_secret),
        quiet=quiet,
    )


def _code(blueprint: Blueprint) -> tuple[Path | None, list[Path]]:
    """The folder of packages, and all code that processes of tools may read."""
    packages = Path(blueprint.site) if blueprint.site else None
    own = [Path(blueprint.project, file.path) for file in blueprint.code]
    return packages, [*own, *([packages] if packages else [])]


def _secret(ref: SecretRef | None, read_secret: ReadSecret) -> str | None:
    return read_secret(ref.name) if ref else None
