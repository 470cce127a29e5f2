"""The documents that commands print with `--json`, as types; their JSON Schemas are made from these.

Loaded by `reference` and by tests only: it imports what a command imports when it runs. A document is frozen once it is
released: what changes its meaning gets another version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, WithJsonSchema

from bedplate.cli.output import camel_keys
from bedplate.problems import CodeEntry, Problem
from bedplate.release.doctor import Checked
from bedplate.release.plan import Plan
from bedplate.release.status import StageStatus
from bedplate.skills import Written
from bedplate.store.model import TurnRow
from bedplate.traces.query import Trace, TraceSummary

URL = "https://bedplate.dev/schemas/"
EvalResults = Annotated[dict[str, Any], WithJsonSchema({"$ref": f"{URL}eval-results.v1.json"})]


@dataclass(frozen=True)
class ErrorDocument:
    """Any command that failed. `exit` is its exit code."""

    schema: Literal["bedplate.dev/error/v1"]
    ok: Literal[False]
    exit: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class InitDocument:
    """`init`: the files that were written."""

    schema: Literal["bedplate.dev/init/v1"]
    ok: Literal[True]
    template: str
    intent: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class ValidStage:
    """One stage of a valid manifest."""

    target: str
    behaviour_digest: str


@dataclass(frozen=True)
class ValidateDocument:
    """`validate`: a valid manifest, its stages by name, and what is worth saying of it."""

    schema: Literal["bedplate.dev/validate/v1"]
    ok: Literal[True]
    agent: str
    intent: str
    build_digest: str
    stages: Mapping[str, ValidStage]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class CodesDocument:
    """`explain all`: every code."""

    schema: Literal["bedplate.dev/codes/v1"]
    codes: tuple[CodeEntry, ...]


@dataclass(frozen=True, kw_only=True)
class CodeDocument(CodeEntry):
    """`explain CODE`: what one code means and how to mend it."""

    schema: Literal["bedplate.dev/code/v1"]


@dataclass(frozen=True, kw_only=True)
class PlanDocument(Plan):
    """`plan`: what `up` would do. `pending` tells whether that is anything."""

    schema: Literal["bedplate.dev/plan/v1"]
    pending: bool


@dataclass(frozen=True)
class ReleaseDocument:
    """`up`: what was done, the stack's outputs (`url` is the address), and what works only in part."""

    schema: Literal["bedplate.dev/release/v1"]
    plan: PlanDocument
    outputs: Mapping[str, Any]
    troubles: tuple[str, ...]
    ok: Literal[True]


@dataclass(frozen=True)
class DestroyDocument:
    """`destroy`: the resources that were deleted, and what was lost with them, counted."""

    schema: Literal["bedplate.dev/destroy/v1"]
    ok: Literal[True]
    deleted: tuple[str, ...]
    lost: Mapping[str, int]


@dataclass(frozen=True)
class AnswerDocument:
    """`ask`, and a line of `chat`: a completed turn. `usage` counts tokens; its `cost` is in US dollars."""

    schema: Literal["bedplate.dev/answer/v1"]
    ok: Literal[True]
    output: str
    sources: tuple[str, ...]
    session: str
    turn: str
    trace: str
    usage: Mapping[str, Any]


@dataclass(frozen=True)
class EvalDocument:
    """`eval`: the results of each suite. `exit` is the command's exit code."""

    schema: Literal["bedplate.dev/eval/v1"]
    ok: bool
    exit: int
    suites: tuple[EvalResults, ...]


@dataclass(frozen=True)
class EvalsGenerateDocument:
    """`evals generate`: how many cases were proposed, and of how many search finds the source."""

    schema: Literal["bedplate.dev/evals-generate/v1"]
    ok: Literal[True]
    file: str
    cases: int
    retrieved: int


@dataclass(frozen=True)
class ProcessStatus:
    """One process. `since` is Unix seconds, `exit` says how it ended last, `rss` is bytes, `listen` its port."""

    name: str
    pid: int | None
    state: str
    since: float | None
    restarts: int
    exit: str
    rss: int
    sandbox: str | None
    listen: int | None
    digest: str


@dataclass(frozen=True)
class ToolStatus:
    """One tool: `ready` with its number of operations, or `failed` with the reason."""

    state: Literal["ready", "failed"]
    reason: str
    operations: int


@dataclass(frozen=True, kw_only=True)
class StatusDocument(StageStatus):
    """`status`: what runs in a stage."""

    schema: Literal["bedplate.dev/status/v1"]
    processes: tuple[ProcessStatus, ...]  # type: ignore[assignment]
    tools: Mapping[str, ToolStatus]  # type: ignore[assignment]


@dataclass(frozen=True)
class LogLineDocument:
    """A line of `logs`."""

    schema: Literal["bedplate.dev/log-line/v1"]
    process: str
    line: str


@dataclass(frozen=True)
class DoctorDocument:
    """`doctor`: every check. `ok` tells that none failed."""

    schema: Literal["bedplate.dev/doctor/v1"]
    ok: bool
    checks: tuple[Checked, ...]


@dataclass(frozen=True)
class Remembered:
    """A fact. Times are Unix seconds."""

    id: str
    text: str
    created: float
    expires: float
    source_turn: str


@dataclass(frozen=True)
class Conversation:
    """A session with its messages, as the model got them. Times are Unix seconds."""

    id: str
    agent: str
    user: str
    created: float
    updated: float
    messages: tuple[Any, ...]


@dataclass(frozen=True)
class MemoryDocument:
    """`memory show`: everything that a stage keeps about one person."""

    schema: Literal["bedplate.dev/memory/v1"]
    user: str
    agent: str
    facts: tuple[Remembered, ...]
    sessions: tuple[Conversation, ...]
    turns: tuple[TurnRow, ...]


@dataclass(frozen=True)
class ForgetDocument:
    """`memory forget`: what was erased, counted."""

    schema: Literal["bedplate.dev/forget/v1"]
    ok: Literal[True]
    user: str
    erased: Mapping[str, int]


@dataclass(frozen=True)
class TracesDocument:
    """`traces list`: turns, newest first."""

    schema: Literal["bedplate.dev/traces/v1"]
    traces: tuple[TraceSummary, ...]


@dataclass(frozen=True, kw_only=True)
class TraceDocument(Trace):
    """`traces show`: one turn with its spans."""

    schema: Literal["bedplate.dev/trace/v1"]


@dataclass(frozen=True, kw_only=True)
class TraceSummaryDocument(TraceSummary):
    """A line of `traces tail`: a turn that ended."""

    schema: Literal["bedplate.dev/trace-summary/v1"]


@dataclass(frozen=True)
class SkillRow:
    """One skill of the bundle."""

    name: str
    description: str


@dataclass(frozen=True)
class SkillsDocument:
    """`skills list`: the bundle, and the coding agents it can be installed for."""

    schema: Literal["bedplate.dev/skills/v1"]
    skills: tuple[SkillRow, ...]
    agents: tuple[str, ...]


@dataclass(frozen=True)
class SkillsInstallDocument:
    """`skills install`: what became of each file."""

    schema: Literal["bedplate.dev/skills-install/v1"]
    ok: Literal[True]
    files: tuple[Written, ...]


DOCUMENTS: tuple[type, ...] = (
    *(ErrorDocument, InitDocument, ValidateDocument, CodesDocument, CodeDocument, PlanDocument, ReleaseDocument),
    *(DestroyDocument, AnswerDocument, EvalDocument, EvalsGenerateDocument, StatusDocument, LogLineDocument),
    *(DoctorDocument, MemoryDocument, ForgetDocument, TracesDocument, TraceDocument, TraceSummaryDocument),
    *(SkillsDocument, SkillsInstallDocument),
)


def schemas() -> dict[str, str]:
    """The published JSON Schemas (2020-12) by the name of their file, `plan.v1.json`."""
    return dict(_published(document) for document in DOCUMENTS)


def _published(document: type) -> tuple[str, str]:
    made = TypeAdapter(document).json_schema(mode="serialization")
    name = made["properties"]["schema"]["const"].removeprefix("bedplate.dev/").replace("/", ".") + ".json"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": URL + name}
    return name, json.dumps({**head, **_exact(made)}, indent=2, ensure_ascii=False) + "\n"


def _exact(node: Any) -> Any:
    """A schema with the field names that are printed, in which every field is there and no other."""
    match node:
        case {"properties": dict(fields)}:
            rest = {key: _exact(value) for key, value in node.items() if key not in ("properties", "required", "title")}
            named = camel_keys(dict.fromkeys(fields))
            properties = {new: _exact(field) for new, field in zip(named, fields.values(), strict=True)}
            return {**rest, "properties": properties, "required": list(properties), "additionalProperties": False}
        case dict():
            return {key: _exact(value) for key, value in node.items() if key not in ("title", "default")}
        case list():
            return [_exact(item) for item in node]
        case _:
            return node
