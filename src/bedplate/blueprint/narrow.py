"""The proof that an overlay only narrows: whatever a stage may do, the base may do as well.

Goes in: the base's and the stage's manifest, grants and documents. Comes out: problems that name both lines. What is
not proved counts as wider. Of what lacks a part that was at fault nothing is said: that is reported already. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bedplate.access import Grant, Never, Operation, ScopeSet
from bedplate.access.automata import TooManyStates, witness
from bedplate.access.prover import Prover, TimeUp, Unclear, patience
from bedplate.access.words import shown, written
from bedplate.blueprint.bounds import IN_BASE, loosened
from bedplate.blueprint.model import DataSource
from bedplate.blueprint.references import names_written
from bedplate.manifest.data import Data, FilesData
from bedplate.manifest.load import StageManifest
from bedplate.manifest.overlay import ANY
from bedplate.manifest.tools import HttpTool, McpTool, PythonTool, SearchTool, SqlTool, Tool
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem, Where


@dataclass(frozen=True)
class Access:
    """What one manifest may do: its grants, prohibitions and documents."""

    grants: tuple[Grant, ...]
    never: tuple[Never, ...]
    data: Mapping[str, DataSource]
    operations: tuple[Operation, ...] = ()


def widenings(base: StageManifest, stage: StageManifest, old: Access, new: Access) -> list[Problem]:
    """Everything in which the stage goes beyond the base."""
    tools = _comparable(base, stage, "tools")
    granted = tools if base.source.lacks("memory", "longTerm") else tools | {"memory"}
    granted = granted | {name for name in ("state", "sandbox") if not base.source.lacks(name)}
    data = _comparable(base, stage, "data")
    return [
        *_added(base, stage),
        *_changed(base, stage, tools),
        *_changed_data(base, stage, data),
        *loosened(base, stage),
        *_grants(stage, old, replace(new, grants=tuple(grant for grant in new.grants if grant.tool in granted))),
        *_never(stage, old.never, new.never),
        *_documents(stage, old.data, {name: source for name, source in new.data.items() if name in data}),
    ]


def _comparable(base: StageManifest, stage: StageManifest, section: str) -> set[str]:
    """The names of what stands in both and lacks nothing in either."""
    return set.intersection(
        *(
            {item.name for i, item in enumerate(getattr(of.manifest, section)) if of.source.whole_at(section, i)}
            for of in (base, stage)
        )
    )


def _added(base: StageManifest, stage: StageManifest) -> Iterator[Problem]:
    for section in ("tools", "data"):
        known = names_written(base, section)
        for index, item in enumerate(getattr(stage.manifest, section)):
            if known is not None and item.name not in known:
                where = stage.source.where((section, index))
                summary = f"stage `{stage.name}` adds `{item.name}` to {section}; an overlay may only narrow"
                yield Problem("BP114", summary, where, fix=f"declare it outside `stages`; {IN_BASE}")


def _changed(base: StageManifest, stage: StageManifest, names: Collection[str]) -> Iterator[Problem]:
    """A tool stays what it is: the same grants over something else would be other access."""
    before = {tool.name: (index, tool) for index, tool in enumerate(base.manifest.tools)}
    for index, tool in enumerate(stage.manifest.tools):
        if tool.name not in names:
            continue
        old_index, old = before[tool.name]
        for field in _redirected(old, tool):
            where = stage.source.where(("tools", index, field))
            line = base.source.where(("tools", old_index, field)).line
            summary = f"stage `{stage.name}` changes `{field}` of tool `{tool.name}`; an overlay may only narrow"
            yield Problem("BP113", summary, where, detail=f"The base has it on line {line}.", fix=IN_BASE)


def _redirected(old: Tool, new: Tool) -> list[str]:
    """The fields, as written, by which a tool would reach something else. Which secret it uses may differ."""
    match old, new:
        case (SearchTool(), SearchTool()):
            fields = {"use": old.use != new.use}
        case (PythonTool(), PythonTool()):
            fields = {"entrypoint": old.entrypoint != new.entrypoint}
        case (McpTool(), McpTool()):
            more = not set(new.env) <= set(old.env)
            fields = {"command": old.command != new.command, "url": old.url != new.url, "env": more}
        case (HttpTool(), HttpTool()):
            fields = {"openapi": old.openapi != new.openapi, "baseUrl": old.base_url != new.base_url}
        case (SqlTool(), SqlTool()):
            fields = {"use": old.use != new.use}
        case _:
            fields = {"type": True}
    fields["labels"] = set(old.labels) != set(new.labels)
    return [field for field, differs in fields.items() if differs]


def _changed_data(base: StageManifest, stage: StageManifest, names: Collection[str]) -> Iterator[Problem]:
    """A data source stays what it is. Of files the documents are compared instead."""
    before = {source.name: source for source in base.manifest.data}
    for index, source in enumerate(stage.manifest.data):
        if source.name in names:
            for field in _moved(before[source.name], source):
                where = stage.source.where(("data", index, field))
                summary = f"stage `{stage.name}` changes `{field}` of data `{source.name}`; an overlay may only narrow"
                yield Problem("BP113", summary, where, fix=IN_BASE)


def _moved(old: Data, new: Data) -> list[str]:
    if type(old) is not type(new):
        return ["type"]
    fields = ("labels",) if isinstance(new, FilesData) else tuple(type(new).model_fields)
    return [name for name in fields if getattr(old, name) != getattr(new, name)]


def _grants(stage: StageManifest, old: Access, new: Access) -> Iterator[Problem]:
    """By the prover: all grants of the base together allow what one of the stage does, with what is pinned for both."""
    base, wanted = (ScopeSet(of.grants, new.never, new.operations) for of in (old, new))
    prover = Prover(base, wanted, patience())
    sharing = prover.sharing()
    for grant in new.grants:
        beyond = "its limit counts beside those of other scopes" if grant in sharing else _beyond(prover, grant)
        if beyond:
            same = [g for g in old.grants if (g.tool, g.verb) == (grant.tool, grant.verb)]
            summary = f"stage `{stage.name}` widens `{grant.tool}`: {grant.verb} on `{grant.pattern}`"
            lines = ", ".join(f"`{written(g)}` ({g.where})" for g in same) or "nothing"
            detail = f"The base grants {grant.verb} on {lines}; {beyond}."
            yield Problem("BP113", summary, _place(grant.where), detail=detail, fix=f"narrow the scope, or {IN_BASE}")


def _beyond(prover: Prover, grant: Grant) -> str:
    """What the base does not allow and the grant does, or why that is not known; "" where there is nothing."""
    try:
        if found := prover.gain(grant):
            return f"{shown(grant, found)} is beyond it"
        return f"{shown(grant, found)} is under a wider limit" if (found := prover.unlimited(grant)) else ""
    except TimeUp:
        return "the comparison takes too long"
    except Unclear as doubt:
        return str(doubt)


def _never(stage: StageManifest, old: Iterable[Never], new: tuple[Never, ...]) -> Iterator[Problem]:
    if stage.source.lacks("never", ANY):
        return
    for never in old:
        if not _forbidden(never, new):
            summary = f"stage `{stage.name}` no longer forbids `{never.pattern}`"
            where = _written(stage, "never")
            fix = "repeat it in the overlay's `never`: a list without names replaces the base's"
            yield Problem("BP113", summary, where, detail=f"The base forbids it at {never.where}.", fix=fix)


def _forbidden(never: Never, by: Iterable[Never]) -> bool:
    """Whether the others together forbid all of it. Where that is not known, it counts as no."""
    try:
        return witness([never.pattern], [other.pattern for other in by]) is None
    except TooManyStates:
        return False


def _documents(stage: StageManifest, old: Mapping[str, DataSource], new: Mapping[str, DataSource]) -> Iterator[Problem]:
    """Exact: the documents are listed. The root stays, since scopes' paths are relative to it."""
    for name, source in new.items():
        before = old.get(name)
        if before is None:
            continue
        fresh = sorted({f.path for f in source.files} - {f.path for f in before.files})
        if fresh or source.root != before.root:
            what = f"adds {len(fresh)} documents, such as `{fresh[0]}`" if fresh else "moves the folder"
            summary = f"stage `{stage.name}` widens the data source `{name}`: it {what}"
            fix = f"narrow it by `include` or `exclude`, or {IN_BASE}"
            detail = f"The base has it at {before.where}."
            yield Problem("BP113", summary, _written(stage, "data", name), detail=detail, fix=fix)


def _written(stage: StageManifest, section: str, name: str = "") -> Where:
    """Where the overlay speaks of a section, or of a named thing in it."""
    path: Path = ("stages", stage.name, section)
    items = stage.source.tree.data["stages"][stage.name].get(section) or ()
    index = next(
        (i for i, item in enumerate(items) if name and isinstance(item, Mapping) and item.get("name") == name), None
    )
    return stage.source.tree.where(path, key=True) if index is None else stage.source.tree.where((*path, index))


def _place(where: str) -> Where:
    file, _, line = where.rpartition(":")
    return Where(file, int(line))
