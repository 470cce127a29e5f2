"""Tools as the gateway runs them: search, python, mcp and http behind one protocol (`api.Toolset`).

Goes in: a tool of the blueprint, secrets by name. Comes out: operations and results. A toolset never decides access:
it says what a call would do (`question`), the gateway decides, and only then calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bedplate.runtime.tools.build import build_toolsets as build_toolsets

__all__ = ["build_toolsets"]


def __getattr__(name: str) -> Any:
    """`build_toolsets` when it is asked for: a python tool's process imports this package and needs nothing of it."""
    if name == "build_toolsets":
        from bedplate.runtime.tools.build import build_toolsets

        return build_toolsets
    raise AttributeError(name)
