"""What the Pulumi CLI says while it runs, as our own values.

Goes in: engine events of the Automation API (pulumi/pulumi, sdk/go/common/apitype/events.go). Comes out: steps, events,
the stack's outputs, and what failed as problems. It starts nothing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pulumi.automation.events import DiagnosticEvent, EngineEvent, OpType, StepEventMetadata

from bedplate.engine.api import Event, EventSink, Step
from bedplate.engine.assets import SIGNATURE
from bedplate.engine.faults import named
from bedplate.engine.provider import UNKNOWN, DiffKind
from bedplate.engine.state import STACK_TYPE
from bedplate.engine.values import MASK, SECRET_SIGNATURE, UNKNOWN_SENTINEL
from bedplate.problems import Problem
from bedplate.problems.catalogue import explain

_MARKUP: Final = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
# How our own providers tell a problem: see `bedplate.engine.wire.text_of`.
_OURS: Final = re.compile(r"^(?P<summary>.*) \[(?P<code>BP\d{3})\]$", re.MULTILINE)
_FIX: Final = re.compile(r"^fix: (.*)$", re.MULTILINE)
_AROUND: Final = re.compile(r"^(?:error: |Preview failed: |python inline source runtime error: )+")
# What Pulumi says → the code under which the embedded engine says it.
_MEANINGS: Final = (
    (re.compile(r"property .* has a problem: "), "BP205"),
    (re.compile(r"is currently locked by|Another update is currently in progress"), "BP210"),
    (re.compile(r"is protected|as it is currently marked for protection"), "BP206"),
    (re.compile(r"incorrect passphrase|passphrase must be set"), "BP214"),
    (re.compile(r"Duplicate resource URN"), "BP204"),
    (re.compile(r"Target .* could not be found in the stack"), "BP232"),
    (re.compile(r"no resource plugin .* found|could not find plugin|unable to discover.*plugin"), "BP203"),
    (re.compile(r"PULUMI_ACCESS_TOKEN|must login|problem logging in|could not (?:open|list) bucket|bucket"), "BP262"),
)


@dataclass
class Listener:
    """Takes the events of one command down. Called from threads of the Automation API, one event at a time."""

    on_event: EventSink | None = None
    steps: list[Step] = field(default_factory=list)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[str, list[str]] = {}
        self._open: dict[tuple[str, str], Step] = {}
        self._refreshed: set[str] = set()

    def __call__(self, event: EngineEvent) -> None:
        """Take one event down and pass it on as ours."""
        with self._lock:
            if event.resource_pre_event:
                self._started(event.resource_pre_event.metadata)
            elif event.res_outputs_event:
                self._done(event.res_outputs_event.metadata)
            elif event.res_op_failed_event:
                self._failed(event.res_op_failed_event.metadata)
            elif event.diagnostic_event:
                self._hear(event.diagnostic_event)

    def finish(self) -> tuple[Step, ...]:
        """The steps of a run that succeeded. Of a component without outputs Pulumi tells the beginning only."""
        with self._lock:
            for key in list(self._open):
                self._close(key, self._open[key])
        return tuple(self.steps)

    def _started(self, raw: StepEventMetadata) -> None:
        if _internal(raw):
            return
        step = step_of(raw)
        self._open[step.urn, step.op] = step
        if raw.op is OpType.REFRESH:
            self._refreshed.add(raw.urn)
        self._emit(Event("started", step))

    def _done(self, raw: StepEventMetadata) -> None:
        if raw.type == STACK_TYPE and raw.new is not None:
            self.outputs = _shown(raw.new.outputs or {})
        if _internal(raw):
            return
        step = step_of(raw)
        if raw.urn in self._refreshed:
            # Pulumi tells a refresh by what it found: nothing, a change, or that the resource is gone.
            self._refreshed.discard(raw.urn)
            step = replace(step, op="refresh", note="gone" if raw.op is OpType.DELETE else "")
        # A component is told twice: when it is registered, and when it has its outputs.
        if (step.urn, step.op) in self._open:
            self._close((step.urn, step.op), step)

    def _close(self, key: tuple[str, str], step: Step) -> None:
        del self._open[key]
        self.steps.append(step)
        self._emit(Event("done", step))

    def _failed(self, raw: StepEventMetadata) -> None:
        step = step_of(raw)
        self._open.pop((step.urn, step.op), None)
        self._emit(Event("failed", step, "\n".join(self._said.get(step.urn, ()))))

    def _hear(self, said: DiagnosticEvent) -> None:
        text = _plain(said.message)
        if said.severity == "error":
            self._said.setdefault(said.urn or "", []).append(text)
        elif said.severity != "debug" and not said.ephemeral and text:
            self._emit(Event("log", message=text))

    def _emit(self, event: Event) -> None:
        if self.on_event is not None:
            self.on_event(event)

    def problems(self) -> tuple[Problem, ...]:
        """What failed: one problem for each resource that said why, in the order in which they failed."""
        said = {urn: text for urn, text in self._said.items() if urn and f"::{STACK_TYPE}::" not in urn}
        return tuple(problem_of("\n".join(texts), urn) for urn, texts in said.items())

    def general(self) -> str:
        """What was said of no resource in particular."""
        return "\n".join(text for urn, texts in self._said.items() if not urn or STACK_TYPE in urn for text in texts)


def _internal(step: StepEventMetadata) -> bool:
    """Whether the step is about a default provider, which no program has named."""
    default = step.urn.rpartition("::")[2].partition("_")[0] == "default"
    return step.type.startswith("pulumi:providers:") and default


def step_of(raw: StepEventMetadata) -> Step:
    """A step of Pulumi's engine as ours."""
    return Step(
        op=raw.op.value,
        urn=raw.urn,
        type=raw.type,
        name=raw.urn.split("::", 3)[-1],
        diff=_diff(raw),
        old_inputs=_shown(raw.old.inputs or {}) if raw.old else None,
        new_inputs=_shown(raw.new.inputs or {}) if raw.new else None,
        old_outputs=_shown(raw.old.outputs or {}) if raw.old else None,
    )


def _diff(raw: StepEventMetadata) -> dict[str, DiffKind]:
    """The paths that differ; a provider that tells no details has named top-level properties only."""
    if raw.detailed_diff:
        return {path: DiffKind(each.diff_kind.value) for path, each in raw.detailed_diff.items()}
    keys = set(raw.keys or ())
    return {name: DiffKind.UPDATE_REPLACE if name in keys else DiffKind.UPDATE for name in raw.diffs or ()}


def _shown(value: Any) -> Any:
    """Property values of an event: secrets masked, unknown ones as ours."""
    match value:
        case {**entries} if entries.get(SIGNATURE) == SECRET_SIGNATURE:
            return MASK
        case {**entries}:
            return {key: _shown(item) for key, item in entries.items()}
        case list():
            return [_shown(item) for item in value]
        case str() if value == UNKNOWN_SENTINEL:
            return UNKNOWN
        case _:
            return value


def _plain(text: str) -> str:
    return _MARKUP.sub("", text).strip()


def problem_of(text: str, urn: str = "") -> Problem:
    """What Pulumi said as a problem: with our own code where our provider or a known cause speaks, else BP263.

    Of what is not ours, `detail` keeps the original as it was said.
    """
    text = _plain(text)
    name = urn.split("::", 3)[-1]
    if (ours := _OURS.search(text)) and explain(ours["code"]):
        fix = _FIX.search(text)
        detail = _FIX.sub("", text[ours.end() :]).strip()
        said = Problem(ours["code"], ours["summary"], detail=detail, fix=fix.group(1) if fix else "")
        return named(name, said) if urn else said
    code = next((code for pattern, code in _MEANINGS if pattern.search(text)), "BP263")
    first = next((line for line in text.splitlines() if line.strip()), "the Pulumi CLI failed and did not say why")
    said = Problem(code, _AROUND.sub("", first.strip()).rstrip("."), detail=text)
    return named(name, said) if urn else said
