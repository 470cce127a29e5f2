"""From an engine's steps to changes in the manifest's words. Pure.

Goes in: steps with their old and new inputs. Comes out: `Change` values, one for each thing that changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bedplate.blueprint.model import Blueprint
from bedplate.engine.api import Step
from bedplate.release.plan import KINDS, SYMBOLS, Change, Detail
from bedplate.release.wording import differences

_STORE, _INDEX, _SECRET = "bedplate:local:Store", "bedplate:local:SearchIndex", "bedplate:local:Secret"
_SECTION_OF = {"memory": "memory", "index": "data.{name}", "key": "expose.auth"}
_OTHER_CONFIGURATION = "runs with another configuration"
_FOLLOWING = (
    *("digest", "lines", "code", "project", "data.", "triggers", "salt", "fingerprint", "scopes", "port"),
    *("behaviourDigest", "stage", "modelUrl", "sink.", "ready", "module", "role", "listens", "site", "requirements"),
)
"""Fields that follow from something else, or that the access section tells: not shown as changes."""
_WORDS = {name: f"metadata.{name}" for name in ("name", "description", "owner")}
_NAMED = 3


def changes_of(steps: Iterable[Step], blueprint: Blueprint, file: str) -> list[Change]:
    """One change for each thing that changes; a replacement's three steps become one. `file` names the manifest.

    Steps that run side by side end in any order: those of one kind are told by name.
    """
    told = [step for step in steps if step.op in SYMBOLS]
    names: dict[tuple[str, str], list[Step]] = {}
    for step in sorted(told, key=lambda step: step.name, reverse=True):
        names.setdefault((step.op, step.type), []).append(step)
    ordered = [names[step.op, step.type].pop() for step in told]
    return [_change(step.op, step, blueprint, file) for step in ordered]


def _gateway_blueprint(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    config = inputs.get("config")
    document = config.get("blueprint") if isinstance(config, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def _change(action: str, step: Step, blueprint: Blueprint, file: str) -> Change:
    kind = KINDS[step.type]
    section = _SECTION_OF.get(kind, "").format(name=step.name)
    details = tuple(_details(step, blueprint, file)) if action in {"update", "replace"} else ()
    return Change(
        action=action,
        kind=kind,
        name=step.name,
        where=_line(blueprint, section, file),
        details=details,
        note=_note(action, step, details),
        loss=_loss(action, step),
    )


def _details(step: Step, blueprint: Blueprint, file: str) -> Iterable[Detail]:
    """The fields that changed: the gateway's are those of the blueprint it runs, others' their own inputs."""
    old, new = step.old_inputs or {}, step.new_inputs or {}
    if step.type == _INDEX:
        yield from _documents(old, new)
        return
    for field, was, becomes in differences(_fields(old), _fields(new)):
        path = _WORDS.get(field, field)
        if not path.startswith(_FOLLOWING) and not path.endswith((".where", ".files")):
            yield Detail(path, was, becomes, _line(blueprint, path, file))


def _fields(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """A resource's inputs as fields of the manifest."""
    if document := _gateway_blueprint(inputs):
        return {**document, "tools": [_as_written(tool, document) for tool in document.get("tools") or ()]}
    if "retention" in inputs and "agent" in inputs:
        kept = {kind: {"retention": seconds} for kind, seconds in inputs["retention"].items()}
        return {"metadata": {"name": inputs["agent"]}, "memory": kept}
    config = inputs.get("config")
    if not isinstance(config, Mapping):
        return inputs
    section = {"tracing": config} if inputs.get("name") == "sink" else config
    return {**section, "sandbox": inputs.get("sandbox")}


def _as_written(tool: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool with paths as the manifest writes them: where they lead differs with every build."""
    place = f"{document.get('project')}/"
    return {key: value.removeprefix(place) if isinstance(value, str) else value for key, value in tool.items()}


def _documents(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Detail]:
    before, after = set(old.get("paths") or ()), set(new.get("paths") or ())
    for word, names in (("added", after - before), ("removed", before - after)):
        if names:
            more = ", …" if len(names) > _NAMED else ""
            yield Detail("documents", "", f"{len(names)} {word}: {', '.join(sorted(names)[:_NAMED])}{more}")


def _note(action: str, step: Step, details: tuple[Detail, ...]) -> str:
    """Why something changes whose own fields do not."""
    if _loss(action, step):
        return ""
    if action != "update" or details or (step.note and not step.diff):
        return "" if details and step.note == _OTHER_CONFIGURATION else step.note
    if any(".scopes." in path for path in step.diff):
        return "its scopes changed"
    if any(path.startswith("triggers") for path in step.diff):
        return "code or secrets changed"
    match step.type:
        case str(kind) if kind == _INDEX:
            return "documents changed"
        case str(kind) if kind == _SECRET:
            return "its value changed"
        case _:
            return "records the new build"


def _line(blueprint: Blueprint, path: str, file: str) -> str:
    """`FILE:LINE` of the deepest written part of `path`."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if line := blueprint.lines.get(".".join(parts[:end])):
            return f"{file}:{line}"
    return ""


def _loss(action: str, step: Step) -> str:
    if step.type != _STORE:
        return ""
    if action == "update":
        return step.note if step.note.startswith("deletes ") else ""
    return "deletes what the agent remembers in this stage" if action in {"delete", "replace"} else ""
