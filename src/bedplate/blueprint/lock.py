"""`bedplate.lock`: the pins of what stands behind tools, models and evals, as text and as values. Pure.

Goes in: the text of the file. Comes out: a `Lock`, and the one text that says the same. It is JSON: every value has one
spelling, so that equal locks are equal files and a diff shows what changed and nothing else. Characters that nobody
sees (zero width, right to left) are written as escapes, and a description of several lines as a list of lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from bedplate.access.model import Operation
from bedplate.blueprint.described import Described, pin_of_set
from bedplate.problems import BedplateError, Problem, Where

if TYPE_CHECKING:
    from bedplate.blueprint.lockfile import LockFile, PinnedOperation

LOCK_NAME = "bedplate.lock"
SCHEMA = "bedplate.dev/lock/v1"
_AGAIN = "run `bedplate lock`"
_UNSEEN = re.compile(r"[^\n\x20-\x7e]")


@dataclass(frozen=True)
class Pinned:
    """One tool. `behind` says what was asked, in the manifest's fields: `command`, `url`, `openapi`, `entrypoint`.

    `pins` has the pin of each operation by name. `operations` are those of which the whole schema is in the lock: a
    server's. What the project's own files describe is read from them.
    """

    type: str
    behind: Mapping[str, Any]
    pins: Mapping[str, str]
    operations: tuple[Described, ...] = ()

    @property
    def pin(self) -> str:
        """The pin of all operations together."""
        return pin_of_set(self.pins.items())


@dataclass(frozen=True)
class Lock:
    """Pins of tools by name, the models of each stage, and the SHA-256 of each dataset by its path."""

    tools: Mapping[str, Pinned] = field(default_factory=dict)
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)


def read(text: str) -> Lock:
    """The lock that a text says. Raises BedplateError: BP820 for no lock, BP821 for a pin that is not its content's."""
    from pydantic import ValidationError

    from bedplate.blueprint.lockfile import LockFile

    try:
        found = LockFile.model_validate(json.loads(text, object_pairs_hook=_once), strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise _unreadable(f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error
    except json.JSONDecodeError as error:
        raise _unreadable(error.msg, error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(str(error)) from error
    lock = Lock({name: _pinned(tool) for name, tool in found.tools.items()}, found.models, found.datasets)
    _verify(found, lock)
    return lock


def written(lock: Lock) -> str:
    """The text of a lock: keys sorted, two spaces deep, a line feed at the end."""
    document = {
        "schema": SCHEMA,
        "tools": {name: _document(tool) for name, tool in lock.tools.items()},
        "models": {stage: list(ids) for stage, ids in lock.models.items()},
        "datasets": dict(lock.datasets),
    }
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return _UNSEEN.sub(_visible, text) + "\n"


def operations(lock: Lock, tool: str) -> tuple[Operation, ...]:
    """The operations of a tool whose whole schemas are pinned, as access knows them."""
    pinned = lock.tools.get(tool)
    return tuple(one.operation(tool) for one in pinned.operations) if pinned else ()


def unpinned(lock: Lock, tool: str, behind: Mapping[str, Any]) -> str:
    """Why the lock says nothing of a tool behind which stands this; "" where it does."""
    pinned = lock.tools.get(tool)
    if pinned is None:
        return f"{LOCK_NAME} has no pins of it"
    if pinned.behind != dict(behind):
        changed = sorted(key for key in {*pinned.behind, *behind} if pinned.behind.get(key) != behind.get(key))
        return f"its pins in {LOCK_NAME} were made before {' and '.join(f'`{key}`' for key in changed)} changed"
    return ""


def pinned_of(type: str, behind: Mapping[str, Any], found: Iterable[Described], *, whole: bool) -> Pinned:
    """The pins of a tool that offers these operations. `whole`: with their schemas."""
    known = tuple(sorted(found, key=lambda one: one.name))
    return Pinned(type, dict(behind), {one.name: one.pin for one in known}, known if whole else ())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return found


def _pinned(tool: Any) -> Pinned:
    whole = tuple(_described(name, one) for name, one in tool.operations.items() if one.input_schema is not None)
    return Pinned(tool.type, tool.behind, {name: one.pin for name, one in tool.operations.items()}, whole)


def _described(name: str, one: PinnedOperation) -> Described:
    said = one.description if isinstance(one.description, str) else "\n".join(one.description)
    return Described(name, said, one.input_schema or {}, one.annotations, one.output_schema)


def _verify(file: LockFile, lock: Lock) -> None:
    """Raises BP821 where somebody changed what a pin covers, or the pin."""
    for name, tool in lock.tools.items():
        wrong = [f"{name}.{one.name}" for one in tool.operations if one.pin != tool.pins[one.name]]
        wrong += [name] if tool.pin != file.tools[name].pin else []
        if wrong:
            what = f"the pin of {wrong[0]} in {LOCK_NAME} is not that of what stands beside it"
            raise BedplateError(Problem("BP821", what, Where(LOCK_NAME), fix=f"{_AGAIN}; the file is not edited"))


def _document(tool: Pinned) -> dict[str, Any]:
    whole = {one.name: one for one in tool.operations}
    said = {name: {"pin": pin, **_parts(whole.get(name))} for name, pin in tool.pins.items()}
    return {"type": tool.type, **tool.behind, "pin": tool.pin, "operations": said}


def _parts(one: Described | None) -> dict[str, Any]:
    if one is None:
        return {}
    parts = {name: value for name, value in one.parts.items() if name not in ("name", "method", "url")}
    if "\n" in one.description:
        parts["description"] = one.description.split("\n")
    return {**parts, "inputSchema": one.schema}


@cache
def _escape(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))


def _visible(found: re.Match[str]) -> str:
    return _escape(found[0])


def _unreadable(detail: str, line: int = 0) -> BedplateError:
    what = f"{LOCK_NAME} cannot be read: {detail:.200}"
    fix = f"{_AGAIN}; after a merge conflict take either side first"
    return BedplateError(Problem("BP820", what, Where(LOCK_NAME, line), fix=fix))
