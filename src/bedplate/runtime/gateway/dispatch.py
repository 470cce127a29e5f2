"""Every tool call of the agent: found, checked, decided, recorded, made.

Goes in: a turn and what its agent wants to call. Comes out: an MCP result. The order is fixed: limit, operation,
arguments against their schema, question, decision, audit and span, the call's row, the call. What is not granted is not
listed, and a call of it is answered like a call of what does not exist.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bedplate.access import Decision, Effect, may_use
from bedplate.blueprint.model import Blueprint
from bedplate.problems import BedplateError
from bedplate.runtime.gateway import faults
from bedplate.runtime.gateway.asking import Asking, agreement, refusal, wanted
from bedplate.runtime.gateway.deciding import Decider
from bedplate.runtime.gateway.mcp import text_result
from bedplate.runtime.gateway.memory_tool import NAME as MEMORY
from bedplate.runtime.gateway.schemas import Schemas
from bedplate.runtime.gateway.turn import Turn
from bedplate.runtime.gateway.turns import Turns
from bedplate.runtime.tools.api import CallContext, Connected, Operation, Question, ToolResult, Toolset
from bedplate.runtime.tools.common import WIRE_GLUE, fits_wire
from bedplate.store import AuditEvent, Store
from bedplate.store.model import CallStatus
from bedplate.traces.emit import GatewayTracer, ToolSpan
from bedplate.traces.redact import Redactor

LIST_WITHIN = 10.0
"""Seconds that a tool may take to say what it can do; a slower one is left out of that listing."""
CALL_ID = "bedplate/toolCallId"
"""Key in a call's `_meta` under which an agent may name the model's id of the call, for traces."""

log = logging.getLogger("bedplate.gateway")


class Dispatch:
    """The tools of one agent, behind the decider. A `ToolServer` whose caller is (turn, claimed traceparent)."""

    def __init__(
        self,
        blueprint: Blueprint,
        toolsets: Mapping[str, Toolset],
        store: Store,
        tracer: GatewayTracer,
        turns: Turns,
        secrets: tuple[str, ...] = (),
    ) -> None:
        """`secrets` are exact values that never stand in the audit trail."""
        self._blueprint = blueprint
        self._toolsets = toolsets
        self._store = store
        self._tracer = tracer
        self._turns = turns
        self.decider = Decider(blueprint.scopes, store)
        self.asking = Asking(store)
        self._schemas = Schemas()
        self._known: dict[str, dict[str, Operation]] = {}
        self._silent: dict[str, str] = {}
        self._redactor = Redactor(content=blueprint.tracing.content, secrets=secrets)

    async def refresh(self) -> None:
        """Ask every toolset what it can do."""
        await asyncio.gather(*(self._refresh(name) for name in self._toolsets))

    async def _refresh(self, name: str) -> None:
        try:
            async with asyncio.timeout(LIST_WITHIN):
                found = await self._toolsets[name].operations()
        except (BedplateError, TimeoutError) as error:
            reason = error.problems[0].summary if isinstance(error, BedplateError) else "it took too long"
            self._cannot_say(name, reason)
            return
        except Exception as error:
            log.exception("tool %s raised when it was asked what it can do", name)
            self._cannot_say(name, type(error).__name__)
            return
        self._silent.pop(name, None)
        self._known[name] = {operation.name: operation for operation in found}

    def _cannot_say(self, name: str, reason: str) -> None:
        if self._silent.get(name) != reason:
            log.warning("tool %s cannot say what it can do: %s", name, reason)
        self._silent[name] = reason

    async def states(self) -> dict[str, dict[str, Any]]:
        """How each tool of the manifest is now: `state` (ready, failed), how many `operations` it has, and `reason`.

        A tool that is ready has a reason where something of it cannot be used.
        """
        await self.refresh()
        return {name: self._state(name) for name in self._toolsets if name != MEMORY}

    def _state(self, name: str) -> dict[str, Any]:
        toolset = self._toolsets[name]
        reason = self._silent.get(name) or (toolset.trouble if isinstance(toolset, Connected) else "")
        operations = len(self._known.get(name, {}))
        left_out = toolset.left_out if isinstance(toolset, Connected) else ""
        return {"state": "failed" if reason else "ready", "reason": reason or left_out, "operations": operations}

    def search_tools(self) -> frozenset[str]:
        """Wire names of the granted search operations that are known now."""
        return frozenset(_wire(tool, o) for tool, o in self._granted() if o.query)

    async def tools(self, caller: tuple[Turn, str]) -> list[dict[str, Any]]:  # noqa: ARG002
        """What the scopes let the agent use, as MCP tools."""
        await self.refresh()
        return [_listed(tool, operation) for tool, operation in self._granted()]

    def _granted(self) -> list[tuple[str, Operation]]:
        return [
            (tool, o)
            for tool, operations in self._known.items()
            for o in operations.values()
            if fits_wire(tool, o.name) and may_use(self._blueprint.scopes, tool, o.name, o.verb)
        ]

    async def call(
        self, caller: tuple[Turn, str], name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Make one call. What goes wrong is told in the result, for the model; past `toolCalls` the turn ends too."""
        turn, claimed = caller
        try:
            turn.meter.call_tool()
        except BedplateError as error:
            self._turns.fail(turn, error)
            return _refusal(error)
        call_id = _call_id(turn, meta)
        tool, _, operation = name.partition(WIRE_GLUE)
        parent = turn.span.child(claimed)
        with self._tracer.tool(parent, tool=tool, operation=operation, call_id=call_id, arguments=arguments) as span:
            result = await _Call(self, turn, tool, operation, arguments, call_id, span).run()
            span.result(result.text, result.error)
        turn.saw(result.sources)
        return text_result(result.text, error=result.error, data=result.data)

    async def operation(self, tool: str, operation: str) -> Operation:
        """An operation by name, asked for anew where it is not known. Raises BedplateError BP442."""
        if tool in self._toolsets and operation not in self._known.get(tool, {}):
            await self._refresh(tool)
        found = self._known.get(tool, {}).get(operation)
        if found is None or not may_use(self._blueprint.scopes, tool, operation, found.verb):
            raise faults.no_operation(f"{tool[:64]}.{operation[:64]}")
        return found

    def check(self, tool: str, operation: Operation, arguments: Mapping[str, Any]) -> None:
        """Raises BedplateError BP441 for arguments outside the operation's schema."""
        self._schemas.check(f"{tool}.{operation.name}", operation.input_schema, arguments)

    def begin(self, event: AuditEvent, call_id: str, effect: bool) -> None:
        """Record a decision and the call that it is about, before it is made; one that is denied ends here."""
        with self._store.transaction():
            self._store.audit(event)
            self._store.begin_call(event.turn, call_id, event.tool, event.operation, effect)
            if event.effect != Effect.ALLOW.word:
                self._store.finish_call(event.turn, call_id, "denied", event.effect, event.grant)

    def event(
        self, turn: Turn, tool: str, operation: str, decision: Decision, arguments: Mapping[str, Any]
    ) -> AuditEvent:
        """One decision as it stands in the audit trail, its arguments redacted as in traces."""
        row = turn.row
        kept = {} if self._blueprint.tracing.content == "none" else self._redactor.value(dict(arguments))
        return AuditEvent(
            "memory" if tool == MEMORY else "tool", row.user, row.user, row.agent, row.id, tool, operation,
            decision.effect.word, decision.grant, decision.reason, kept,
        )  # fmt: skip

    def question(self, tool: str, operation: str, arguments: Mapping[str, Any]) -> Question:
        """What the call would do. Raises BedplateError for arguments that say nothing definite."""
        try:
            return self._toolsets[tool].question(operation, arguments)
        except BedplateError:
            raise
        except Exception as error:
            log.exception("%s.%s raised at its arguments", tool, operation)
            raise faults.broken_tool(f"{tool}.{operation}", type(error).__name__) from error

    async def make(self, tool: str, operation: str, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        """Call the toolset, until the deadline. Raises BedplateError BP443 or BP444."""
        name = f"{tool}.{operation}"
        try:
            async with asyncio.timeout(max(0.0, context.deadline - time.time())):
                return await self._toolsets[tool].call(operation, arguments, context)
        except TimeoutError as error:
            raise faults.slow_tool(name) from error
        except BedplateError:
            raise
        except Exception as error:
            # a toolset promises not to raise; one that does must not take the turn with it
            log.exception("%s raised", name)
            raise faults.broken_tool(name, type(error).__name__) from error

    def finish(self, turn: Turn, call_id: str, status: CallStatus, decision: Decision) -> None:
        """Record how it ended."""
        self._store.finish_call(turn.id, call_id, status, decision.effect.word, decision.grant)


_Asked = tuple[Turn, str, str, Question, Mapping[str, Any], str]
"""What the decider is asked: turn, tool, operation, question, arguments, and the reference for budgets."""


class _Call:
    """One call on its way through the steps."""

    def __init__(
        self, dispatch: Dispatch, turn: Turn, tool: str, operation: str, arguments: Mapping[str, Any], call_id: str,
        span: ToolSpan,
    ) -> None:  # fmt: skip
        self._dispatch, self._turn, self._span, self._call_id = dispatch, turn, span, call_id
        self._tool, self._operation, self._arguments = tool, operation, arguments
        self._held = turn.capability

    async def run(self) -> ToolResult:
        """Its result; a refusal is a result too."""
        try:
            operation = await self._dispatch.operation(self._tool, self._operation)
            self._dispatch.check(self._tool, operation, self._arguments)
            question = self._dispatch.question(self._tool, self._operation, self._arguments)
        except BedplateError as error:
            self._decided(Decision(Effect.DENY, reason=error.problems[0].summary), effect=False)
            return _told(error)
        decision = self._permit(question)
        self._decided(decision, operation.effect and decision.allowed)
        if decision.effect is Effect.ASK:
            call = wanted(self._turn, self._tool, self._operation, question, self._arguments, decision)
            return self._dispatch.asking.put(self._turn, call)
        if not decision.allowed:
            return _told(faults.denied(decision.reason))
        return await self._make(decision)

    def _permit(self, question: Question) -> Decision:
        if self._turn.capability != self._held:  # the attempt ended while the operation was looked up
            return Decision(Effect.DENY, reason="the turn is over")
        ref = f"{self._turn.id}/{self._call_id}"
        asked = (self._turn, self._tool, self._operation, question, self._arguments, ref)
        decision = self._dispatch.decider.permit(*asked)
        return self._consented(asked, decision) if decision.effect is Effect.ASK else decision

    def _consented(
        self, asked: tuple[Turn, str, str, Question, Mapping[str, Any], str], decision: Decision
    ) -> Decision:
        """What a person has said of this very call, where one has. An approval is used up by it."""
        asking, decider = self._dispatch.asking, self._dispatch.decider
        ask = asking.standing(self._turn, self._tool, self._operation, self._arguments)
        if ask is not None and ask.status == "denied":
            return Decision(Effect.DENY, decision.grant, decision.where, refusal(ask))
        if ask is None or ask.status != "approved":
            return decision
        agreed = decider.agreed(*asked)
        if not agreed.allowed:
            return agreed
        if not asking.use(ask):
            decider.give_back(asked[-1])
            return decision
        return replace(agreed, reason=agreement(ask))

    def _decide(self, question: Question) -> Decision:
        """Of what shows only while the call runs."""
        return self._dispatch.decider.look(self._turn, self._tool, self._operation, question, self._arguments)

    def _decided(self, decision: Decision, effect: bool) -> None:
        self._span.decided(decision)
        event = self._dispatch.event(self._turn, self._tool, self._operation, decision, self._arguments)
        self._dispatch.begin(event, self._call_id, effect)

    async def _make(self, decision: Decision) -> ToolResult:
        turn, dispatch = self._turn, self._dispatch
        context = CallContext(turn.row.user, turn.claims, turn.deadline, self._decide)
        try:
            result = await dispatch.make(self._tool, self._operation, self._arguments, context)
        except BedplateError as error:
            result = _told(error)
        dispatch.finish(turn, self._call_id, "failed" if result.error else "completed", decision)
        return result


def _wire(tool: str, operation: Operation) -> str:
    return f"{tool}{WIRE_GLUE}{operation.name}"


def _listed(tool: str, operation: Operation) -> dict[str, Any]:
    return {
        "name": _wire(tool, operation),
        "description": operation.description,
        "inputSchema": dict(operation.input_schema),
        "annotations": {"readOnlyHint": not operation.effect},
    }


def _call_id(turn: Turn, meta: Mapping[str, Any]) -> str:
    """The id that the agent names, made unique in its turn, or a new one."""
    given = meta.get(CALL_ID)
    sane = isinstance(given, str) and 0 < len(given) <= 128 and given.isascii() and given.isprintable()
    wanted = str(given) if sane else "call"
    call_id = wanted if sane and wanted not in turn.call_ids else f"{wanted}-{turn.attempt}-{len(turn.call_ids) + 1}"
    turn.call_ids.add(call_id)
    return call_id


def _told(error: BedplateError) -> ToolResult:
    problem = error.problems[0]
    fix = f" ({problem.fix})" if problem.fix else ""
    return ToolResult(f"{problem.summary}{fix}", error=True)


def _refusal(error: BedplateError) -> dict[str, Any]:
    return text_result(_told(error).text, error=True)
