"""What a file of a build is to the agent, in the manifest's words: code of a tool, dataset of an eval, packages. Pure.

Goes in: a manifest as plain data, whole or merged for one stage. Comes out: for each path of a file a `Role`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from posixpath import normpath
from typing import Any, Literal

Kind = Literal["dataset", "packages", "api", "code", "instructions", "document", "other"]


@dataclass(frozen=True)
class Role:
    """`what` the file is; `place` is the dotted path of the manifest that names it, `of` the names of who uses it."""

    kind: Kind
    what: str
    place: str
    of: tuple[str, ...] = ()


def role(path: str, document: Mapping[str, Any]) -> Role | None:
    """The role of a file; None where the manifest neither names it nor has a tool that could run it."""
    tools, running = _named(document, "tools"), _running(document)
    found = [r for r in (_dataset(path, document), _packages(path, document), _api(path, tools)) if r]
    found += [r for r in (_code(path, running), _instructions(path, document)) if r]
    if not found and path.endswith(".py") and running:  # any tool may import it: nothing says which
        one = len(running) == 1
        found += [Role("code", f"code of tool {running[0][0]}" if one else "code", _place(running) if one else "tools")]
    return next(iter(found), None) or _document(path, document)


def _dataset(path: str, document: Mapping[str, Any]) -> Role | None:
    names = [name for name, suite in _named(document, "evals") if _is(path, suite.get("dataset"))]
    place = f"evals.{names[0]}.dataset" if names else ""
    return Role("dataset", f"dataset of {_list('eval', names)}", place, tuple(names)) if names else None


def _packages(path: str, document: Mapping[str, Any]) -> Role | None:
    runtime = document.get("runtime")
    named = isinstance(runtime, Mapping) and _is(path, runtime.get("requirements"))
    return Role("packages", "packages (runtime.requirements)", "runtime.requirements") if named else None


def _api(path: str, tools: Iterable[tuple[str, Mapping[str, Any]]]) -> Role | None:
    names = [name for name, tool in tools if _is(path, _file(tool.get("openapi")))]
    place = f"tools.{names[0]}.openapi.file" if names else ""
    return Role("api", f"API document of {_list('tool', names)}", place, tuple(names)) if names else None


def _code(path: str, running: list[tuple[str, Mapping[str, Any]]]) -> Role | None:
    """The code that a tool begins with: the module of its entrypoint, or a file or module that its command names."""
    begun = [(name, tool) for name, tool in running if path in set(_beginnings(tool))]
    if not begun:
        return None
    word = "command" if all("command" in tool for _, tool in begun) else "code"
    names = [name for name, _ in begun]
    return Role("code", f"{word} of {_list('tool', names)}", _place(begun), tuple(names))


def _beginnings(tool: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(tool.get("entrypoint"), str):
        yield from _module_files(tool["entrypoint"].partition(":")[0])
    words = [str(word) for word in tool.get("command") or ()]
    for before, word in zip(["", *words], words, strict=False):
        yield from _module_files(word) if before == "-m" else [normpath(word)]


def _module_files(name: str) -> Iterator[str]:
    stem = name.replace(".", "/")
    yield from (f"{stem}.py", f"{stem}/__init__.py", f"{stem}/__main__.py")


def _place(running: list[tuple[str, Mapping[str, Any]]]) -> str:
    name, tool = running[0]
    return f"tools.{name}.{'command' if 'command' in tool else 'entrypoint'}"


def _running(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, tool) for name, tool in _named(document, "tools") if tool.get("entrypoint") or tool.get("command")]


def _instructions(path: str, document: Mapping[str, Any]) -> Role | None:
    named = _is(path, _file(document.get("instructions")))
    return Role("instructions", "instructions", "instructions.file") if named else None


def _document(path: str, document: Mapping[str, Any]) -> Role | None:
    for name, source in _named(document, "data"):
        root = normpath(str(source.get("path", "")))
        if root == "." or path == root or path.startswith(f"{root}/"):
            return Role("document", f"document of data {name}", f"data.{name}", (name,))
    return None


def _file(value: Any) -> Any:
    return value.get("file") if isinstance(value, Mapping) else None


def _is(path: str, written: Any) -> bool:
    return isinstance(written, str) and normpath(written) == path


def _named(document: Mapping[str, Any], section: str) -> list[tuple[str, Mapping[str, Any]]]:
    items = document.get(section)
    return [(str(i["name"]), i) for i in items or () if isinstance(i, Mapping) and "name" in i]


def _list(thing: str, names: list[str]) -> str:
    return f"{thing}{'s' if len(names) > 1 else ''} {', '.join(names)}"
