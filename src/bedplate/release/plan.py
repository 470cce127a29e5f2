"""The plan as a type: what an engine would do, said in the manifest's words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.access import Grant
from bedplate.blueprint.model import Blueprint
from bedplate.engine.api import Outcome, Step
from bedplate.engine.provider import UNKNOWN

SYMBOLS = {"create": "+", "update": "~", "replace": "±", "delete": "-"}
_KINDS = {
    "bedplate:local:Store": "memory",
    "bedplate:local:SearchIndex": "index",
    "bedplate:local:Secret": "secret",
    "bedplate:local:Token": "key",
    "bedplate:local:Process": "process",
}
_SECTION_OF = {"memory": "memory", "index": "data.{name}", "secret": "", "key": "expose.auth", "process": ""}
_BLUEPRINT = "config.blueprint."
_OTHER_CONFIGURATION = "runs with another configuration"
_FOLLOWING = (
    *("digest", "lines", "code[", "code.", "project", "data[", "triggers.", "paths", "files", "salt", "fingerprint"),
    *("config.behaviourDigest", "config.stage", "scopes."),
)
"""Inputs that follow from something else, or that the access section tells: not shown as fields."""
_LONGEST = 60


@dataclass(frozen=True)
class Detail:
    """One changed field: its path in the manifest's words, old and new value as text, and its line there."""

    path: str
    old: str
    new: str
    where: str = ""


@dataclass(frozen=True)
class Change:
    """What happens to one thing. `action` is create, update, replace or delete; `loss` says what data goes with it."""

    action: str
    kind: str
    name: str
    where: str = ""
    details: tuple[Detail, ...] = ()
    note: str = ""
    loss: str = ""

    @property
    def symbol(self) -> str:
        """`+ ~ ± -`."""
        return SYMBOLS[self.action]


@dataclass(frozen=True)
class AccessDelta:
    """Grants that the stage would gain and lose, and how many it would have."""

    added: tuple[Grant, ...]
    removed: tuple[Grant, ...]
    total: int


@dataclass(frozen=True)
class Plan:
    """What `up` would do to a stage. `first` tells that nothing is deployed there yet."""

    agent: str
    stage: str
    target: str
    sandbox: str
    build: str
    behaviour: str
    deployed_build: str
    first: bool
    changes: tuple[Change, ...]
    unchanged: int
    access: AccessDelta

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values (schema `bedplate.dev/plan/v1`)."""
        from dataclasses import asdict

        return {"schema": "bedplate.dev/plan/v1", **asdict(self), "pending": not self.empty}


def plan_of(blueprint: Blueprint, outcome: Outcome, *, sandbox: str, deployed: Mapping[str, Any] | None) -> Plan:
    """Say in the manifest's words what the engine found."""
    steps = [s for s in outcome.steps if s.type in _KINDS]
    before = _deployed_blueprint(steps)
    return Plan(
        agent=blueprint.name,
        stage=blueprint.stage,
        target=blueprint.target,
        sandbox=sandbox,
        build=blueprint.digests.build,
        behaviour=blueprint.digests.behaviour,
        deployed_build=str((deployed or {}).get("buildDigest", "")),
        first=deployed is None,
        changes=tuple(changes_of(steps, blueprint)),
        unchanged=sum(s.op == "same" for s in steps),
        access=_access(before, blueprint),
    )


def changes_of(steps: Iterable[Step], blueprint: Blueprint) -> list[Change]:
    """One change for each thing that changes; a replacement's three engine steps become one."""
    changes = []
    for step in steps:
        action = {"create-replacement": "", "delete-replaced": "", "same": "", "read": "", "refresh": ""}.get(
            step.op, step.op
        )
        if action in SYMBOLS:
            changes.append(_change(action, step, blueprint))
    return changes


def _change(action: str, step: Step, blueprint: Blueprint) -> Change:
    kind = _KINDS[step.type]
    section = _SECTION_OF[kind].format(name=step.name)
    details = tuple(_details(step, blueprint)) if action in {"update", "replace"} else ()
    return Change(
        action=action,
        kind=kind,
        name=step.name,
        where=_line(blueprint, section),
        details=details,
        note=_note(action, step, details),
        loss=_loss(action, step),
    )


def _details(step: Step, blueprint: Blueprint) -> Iterable[Detail]:
    seen: set[str] = set()
    for path in step.diff:
        words = _in_words(path)
        if words is None or words in seen:
            continue
        seen.add(words)
        old, new = _at(step.old_inputs, path), _at(step.new_inputs, path)
        yield Detail(words, _short(old), _short(new), _line(blueprint, words))


def _note(action: str, step: Step, details: tuple[Detail, ...]) -> str:
    """Why something changes whose own fields do not: files it was made from, a secret's value, Bedplate itself."""
    if action != "update" or details:
        return "" if step.note == _OTHER_CONFIGURATION else step.note
    if step.note and not step.diff:
        return step.note
    if any(path.startswith("config.blueprint.scopes.") for path in step.diff):
        return "its scopes changed"
    if step.type == "bedplate:local:SearchIndex":
        return "documents changed"
    if step.type == "bedplate:local:Secret":
        return "its value changed"
    if any(path.startswith("triggers.") for path in step.diff):
        return "code or secrets changed"
    return "files that the manifest names changed"


def _in_words(path: str) -> str | None:
    """The manifest's name of an input path; None for what follows from something else (digests, file lists)."""
    words = path.removeprefix(_BLUEPRINT)
    if words.startswith(_FOLLOWING) or ".files[" in words or words.endswith(".where"):
        return None
    words = words.removeprefix("config.")
    return re.sub(r"_([a-z])", lambda m: m[1].upper(), words)


def _at(properties: Mapping[str, Any] | None, path: str) -> Any:
    value: Any = properties
    for key in re.findall(r"[^.\[\]]+", path):
        match value:
            case Mapping():
                value = value.get(key)
            case list() | tuple() if key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            case _:
                return None
    return value


def _short(value: Any) -> str:
    if value is UNKNOWN:
        return "(known after up)"
    text = "(none)" if value is None else " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _line(blueprint: Blueprint, path: str) -> str:
    """`agent.yaml:LINE` of the deepest written part of `path`."""
    parts = re.split(r"[.\[]", path) if path else []
    for end in range(len(parts), 0, -1):
        line = blueprint.lines.get(".".join(part.rstrip("]") for part in parts[:end]))
        if line:
            return f"agent.yaml:{line}"
    return ""


def _loss(action: str, step: Step) -> str:
    if action not in {"delete", "replace"} or step.type != "bedplate:local:Store":
        return ""
    return "deletes what the agent remembers in this stage"


def _deployed_blueprint(steps: Iterable[Step]) -> Mapping[str, Any]:
    for step in steps:
        if step.name == "gateway" and step.old_inputs:
            found = _at(step.old_inputs, "config.blueprint")
            return found if isinstance(found, Mapping) else {}
    return {}


def _access(before: Mapping[str, Any], blueprint: Blueprint) -> AccessDelta:
    raw = (before.get("scopes") or {}).get("grants") or ()
    old = {_key(g): g for g in (Grant(**g) for g in raw)}
    new = {_key(g): g for g in blueprint.scopes.grants}
    return AccessDelta(
        added=tuple(g for key, g in new.items() if key not in old),
        removed=tuple(g for key, g in old.items() if key not in new),
        total=len(new),
    )


def _key(grant: Grant) -> tuple[str, str, str]:
    return grant.tool, grant.verb, grant.pattern
