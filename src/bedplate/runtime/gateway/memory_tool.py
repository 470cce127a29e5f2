"""The built-in tool `memory`: `recall(query)` and `remember(fact)`, over the store's long-term memory.

Goes in: calls of the agent. Comes out: facts about the user of the turn, and no one else: the user stands in the
capability's claims.
"""

from __future__ import annotations

from bedplate.blueprint.model import LongTermMemory
from bedplate.problems import BedplateError
from bedplate.runtime.tools.api import Arguments, CallContext, Operation, Question, ToolResult
from bedplate.runtime.tools.common import no_operation
from bedplate.store import Store, recall, remember

NAME = "memory"


def _schema(argument: str, description: str) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {argument: {"type": "string", "minLength": 1, "maxLength": 2000, "description": description}},
        "required": [argument],
        "additionalProperties": False,
    }


_OPERATIONS = (
    Operation(
        "recall", "Recall what the user has said of themselves in earlier conversations.",
        _schema("query", "What to recall, in words."), "read", effect=False,
    ),
    Operation(
        "remember", "Remember one fact about the user for later conversations.",
        _schema("fact", "The fact, in one sentence."), "write",
    ),
)  # fmt: skip


class MemoryToolset:
    """Long-term memory as a tool. The object of both verbs is the user's store, `longTerm`."""

    name = NAME

    def __init__(self, agent: str, memory: LongTermMemory, store: Store, secrets: tuple[str, ...] = ()) -> None:
        """`secrets` are exact values that are masked in whatever is remembered."""
        self._agent = agent
        self._memory = memory
        self._store = store
        self._secrets = secrets

    async def start(self) -> None:
        """Nothing to do: the store is open."""

    async def operations(self) -> tuple[Operation, ...]:
        """Always the same two."""
        return _OPERATIONS

    def question(self, operation: str, arguments: Arguments) -> Question:  # noqa: ARG002
        """Raises BedplateError BP454 for anything but the two."""
        verbs = {o.name: o.verb for o in _OPERATIONS}
        if operation not in verbs:
            raise no_operation(NAME, operation)
        return Question(verbs[operation], "longTerm")

    async def call(self, operation: str, arguments: Arguments, context: CallContext) -> ToolResult:
        """Recall or remember for the user of the turn."""
        user, turn = str(context.session["user"]), str(context.session["turn"])
        try:
            if operation == "recall":
                return self._recall(user, str(arguments["query"]))
            retention, redact = self._memory.retention, self._memory.redact
            fact = remember(
                self._store, self._agent, user, str(arguments["fact"]), turn, retention, redact, self._secrets
            )
        except BedplateError as error:
            return ToolResult(error.problems[0].summary, error=True)
        return ToolResult(f"Remembered: {fact.text}", data={"fact": fact.text})

    def _recall(self, user: str, query: str) -> ToolResult:
        facts = [fact.text for fact in recall(self._store, self._agent, user, query)]
        text = "\n".join(f"- {fact}" for fact in facts) or "Nothing is remembered that bears on this."
        return ToolResult(text, data={"facts": facts})

    async def close(self) -> None:
        """Nothing to do: the store is the gateway's."""
