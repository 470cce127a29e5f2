"""Names of spans and attributes: the only place that knows them.

Goes in: nothing. Comes out: constants, and `canonical`, which reads older names as the newest. Names follow the
OpenTelemetry conventions for generative AI in their development version (repository semantic-conventions-genai); what
OpenTelemetry has no name for stands under `bedplate.`.
"""

from __future__ import annotations

from typing import Final, Literal

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/0.1.0-dev"
SCOPE: Final = "bedplate.gateway"

# Operations; a span is named "{operation} {subject}".
INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
MemoryOperation = Literal["search_memory", "update_memory"]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
ERROR_TYPE: Final = "error.type"
USER: Final = "enduser.id"

SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"

# Ours. Resource:
STAGE: Final = "bedplate.stage"
BUILD: Final = "bedplate.build.digest"
BEHAVIOUR: Final = "bedplate.behaviour.digest"
OWNER: Final = "bedplate.owner"
# Spans:
TURN: Final = "bedplate.turn"
SOURCE: Final = "bedplate.source"
"""Who wrote the span: absent for the gateway, `agent` for what the agent sent (its word, not ours)."""
DECISION: Final = "bedplate.decision"
GRANT: Final = "bedplate.grant"
GRANT_WHERE: Final = "bedplate.grant.where"
REASON: Final = "bedplate.reason"
COST: Final = "bedplate.cost_usd"
COUNT: Final = "bedplate.memory.count"

OWN_PREFIX: Final = "bedplate."
CONTENT: Final = frozenset(
    {
        INPUT_MESSAGES,
        OUTPUT_MESSAGES,
        SYSTEM_INSTRUCTIONS,
        TOOL_ARGUMENTS,
        TOOL_RESULT,
        "gen_ai.retrieval.query.text",
        "gen_ai.retrieval.documents",
        "gen_ai.memory.query.text",
        "gen_ai.memory.records",
        "gen_ai.tool.definitions",
        "gen_ai.evaluation.explanation",
        "exception.message",
        "exception.stacktrace",
        # Instrumentations that name message text in their own way:
        "pydantic_ai.all_messages",
        "all_messages_events",
        "events",
        "final_result",
        "model_request_parameters",
        "input.value",
        "output.value",
        "llm.prompts",
        "llm.completions",
    }
)
"""Attributes whose value is what people, models or tools said. `content: none` drops them."""

CONTENT_PREFIXES: Final = ("gen_ai.prompt.", "gen_ai.completion.", "llm.input_messages.", "llm.output_messages.")

ALIASES: Final = {
    "gen_ai.system": PROVIDER,
    "gen_ai.usage.prompt_tokens": INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": OUTPUT_TOKENS,
    "gen_ai.prompt": INPUT_MESSAGES,
    "gen_ai.completion": OUTPUT_MESSAGES,
    "gen_ai.agent": AGENT_NAME,
    "agent_name": AGENT_NAME,
    "tool_arguments": TOOL_ARGUMENTS,
    "tool_response": TOOL_RESULT,
    "session.id": CONVERSATION,
    "llm.model_name": RESPONSE_MODEL,
    "llm.provider": PROVIDER,
    "llm.token_count.prompt": INPUT_TOKENS,
    "llm.token_count.completion": OUTPUT_TOKENS,
    "tool.name": TOOL_NAME,
    "tool.parameters": TOOL_ARGUMENTS,
}
"""Older names, and OpenInference's, each with the name it has now."""


def canonical(name: str) -> str:
    """The newest name of an attribute."""
    return ALIASES.get(name, name)


def is_content(name: str) -> bool:
    """Whether an attribute holds what people, models or tools said. Takes older names too."""
    return canonical(name) in CONTENT or name.startswith(CONTENT_PREFIXES)
