"""`bedplate:local:Store` and `bedplate:local:SearchIndex`: the stage's memory and the indexes of its documents."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bedplate.providers.bedplate.inputs import moved, required
from bedplate.providers.bedplate.owning import OWNED, OWNER, keep, release, take

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.provider import Created, Diff, Properties, Property, ReadResult, Resource

if TYPE_CHECKING:
    from bedplate.store import Store

_SIDE_FILES = ("", "-wal", "-shm", "-journal")
_COMPARED = ("name", "digest")
_NAMED = 5  # unread documents that the outputs name


class StoreResource(Resource):
    """The SQLite file of sessions, memory, turns and audit. Inputs: `agent`, `retention` (seconds by kind).

    The kinds are `sessions` and `longTerm`. Another number of seconds holds for what is stored too; a kind that is no
    longer named is deleted.
    """

    type: ClassVar[str] = "bedplate:local:Store"
    inputs: ClassVar[Mapping[str, Property]] = {
        "agent": Property("string", "The agent whose memory this is."),
        "retention": Property("integer{}", "Seconds by kind (`sessions`, `longTerm`)."),
    }
    outputs: ClassVar[Mapping[str, Property]] = {"path": Property("string", "The SQLite file."), **OWNED}
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"path", OWNER})
    stable_outputs: ClassVar[frozenset[str]] = frozenset({OWNER})

    def __init__(self, paths: StagePaths) -> None:
        self._paths = paths

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        """Inputs, whether the file is there, and what a shorter retention or a removed section deletes."""
        found = super().diff(id, old_inputs, old_outputs, news)
        if not self._paths.memory.exists():
            return replace(found, note="the file is gone")
        note = self._loss(old_inputs, news) if found.changes else ""
        return replace(found, note=note or moved(old_outputs, self._paths.memory))

    def _loss(self, old_inputs: Properties, news: Properties) -> str:
        """What an update would delete, in words; "" where nothing is lost."""
        old, new = _retention(old_inputs), _retention(news)
        with self._opened() as store:
            older, there = store.older_than(new.get("sessions"), new.get("longTerm")), store.counts()
        sessions = there.sessions if "sessions" in old and "sessions" not in new else older.sessions
        facts = there.facts if "longTerm" in old and "longTerm" not in new else older.facts
        counted = [_counted(sessions, "conversation"), _counted(facts, "remembered fact")]
        return f"deletes {' and '.join(filter(None, counted))}" if any(counted) else ""

    def create(self, news: Properties) -> Created:
        """Make the file, or bring an older one to this version's form; what it holds stays."""
        with self._opened():
            return Created("memory", self._outputs(news, take(self._paths, "store", "memory")))

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """As deployed, where the file is still there."""
        return ReadResult(id, inputs, outputs) if self._paths.memory.exists() else None

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:  # noqa: ARG002
        """As `create`; an agent that was renamed keeps what it remembers, and the retention holds for all of it."""
        from bedplate.store.renaming import rename_agent

        old, new = old_inputs.get("agent"), news.get("agent")
        before, after = _retention(old_inputs), _retention(news)
        gone = before.keys() - after.keys()
        with self._opened() as store:
            if old and new and old != new:
                rename_agent(store, str(old), str(new))
            store.set_retention(after.get("sessions"), after.get("longTerm"))
            store.drop(sessions="sessions" in gone, facts="longTerm" in gone)
        return self._outputs(news, keep(self._paths, "store", "memory", old_outputs))

    def delete(self, id: str, outputs: Properties) -> None:
        """Remove the file with everything that was remembered, unless another resource owns it by now."""
        if not release(self._paths, "store", id, outputs):
            return
        for side in _SIDE_FILES:
            self._paths.memory.with_name(self._paths.memory.name + side).unlink(missing_ok=True)

    def _outputs(self, inputs: Properties, owner: str) -> dict[str, Any]:
        return {**inputs, "path": str(self._paths.memory), OWNER: owner}

    def _opened(self) -> AbstractContextManager[Store]:
        from bedplate.store import Store

        return closing(Store.open(self._paths.memory))


def _retention(inputs: Properties) -> Mapping[str, int]:
    found: Mapping[str, int] = inputs.get("retention") or {}
    return found


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""


def remembered(paths: StagePaths) -> Mapping[str, int]:
    """What deleting the stage's memory would lose: sessions, messages, facts, turns. Empty where there is none."""
    if not paths.memory.exists():
        return {}
    from bedplate.store import Store

    store = Store.open(paths.memory)
    try:
        return asdict(store.counts())
    finally:
        store.close()


@dataclass(frozen=True)
class _Document:
    path: str


class SearchIndexResource(Resource):
    """The index of one data source. Inputs: `name`, `root`, `digest`, `files` (their number), `paths` below the root.

    Only `name`, `root` and `digest` are compared: the digest covers every path and content. Outputs: `documents` and
    `passages` that it holds, `unread` (`count`, and the `first` as `path: reason`) that it could not read.
    """

    type: ClassVar[str] = "bedplate:local:SearchIndex"
    inputs: ClassVar[Mapping[str, Property]] = {
        "name": Property("string", "The data source's name: that of the index file."),
        "root": Property("string", "The folder of the documents."),
        "digest": Property("string", "A digest of every document's path and content."),
        "files": Property("integer", "The number of documents."),
        "paths": Property("string[]", "The documents, relative to `root`.", kept=False),
    }
    outputs: ClassVar[Mapping[str, Property]] = {
        "path": Property("string", "The index file."),
        "documents": Property("integer", "How many documents it holds."),
        "passages": Property("integer", "How many passages it holds."),
        "unread": Property("any", "What could not be read: `count`, and the `first` as `path: reason`."),
        **OWNED,
    }
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"path", "documents", "passages", "unread", OWNER})
    stable_outputs: ClassVar[frozenset[str]] = frozenset({OWNER})
    replace_keys: ClassVar[frozenset[str]] = frozenset({"name"})

    def __init__(self, paths: StagePaths) -> None:
        self._paths = paths

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        """By name and digest, and whether the file is there. Where the documents stand differs with every build."""
        compared = [{k: v for k, v in inputs.items() if k in _COMPARED} for inputs in (old_inputs, news)]
        found = super().diff(id, compared[0], old_outputs, compared[1])
        index = self._paths.index(id)
        return replace(found, note=moved(old_outputs, index) if index.exists() else "the index is gone")

    def create(self, news: Properties) -> Created:
        """Read the documents and write the index."""
        name = required(self.type, news, "name", str)
        return Created(name, {**self._built(news), OWNER: take(self._paths, "index", name)})

    def _built(self, news: Properties) -> dict[str, Any]:
        from bedplate.search import build_index

        name, root = required(self.type, news, "name", str), required(self.type, news, "root", str)
        documents = [_Document(path) for path in required(self.type, news, "paths", list)]
        stats = build_index(Path(root), documents, self._paths.index(name))
        first = [f"{each.path}: {each.reason}" for each in stats.unread[:_NAMED]]
        made = {"path": str(self._paths.index(name)), "documents": stats.documents, "passages": stats.passages}
        return {**_without_paths(news), **made, "unread": {"count": len(stats.unread), "first": first}}

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """The index as it was built, where its file is still there."""
        return ReadResult(id, inputs, outputs) if self._paths.index(id).exists() else None

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:  # noqa: ARG002
        """Build it anew in its place; readers keep the old one until they open it again."""
        return {**self._built(news), OWNER: keep(self._paths, "index", id, old_outputs)}

    def delete(self, id: str, outputs: Properties) -> None:
        """Remove the file, unless another resource owns it by now."""
        if not release(self._paths, "index", id, outputs):
            return
        index = self._paths.index(id)
        for side in _SIDE_FILES:
            index.with_name(index.name + side).unlink(missing_ok=True)

    def preview_outputs(self, news: Properties, old_outputs: Properties | None) -> Properties:
        """As the default, without the list of paths."""
        return _without_paths(super().preview_outputs(news, old_outputs))


def _without_paths(values: Properties) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "paths"}
