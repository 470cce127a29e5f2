"""The blueprint: a manifest resolved for one stage. Frozen values; everything after loading works on these.

Paths are absolute unless said otherwise; durations are seconds; sizes are bytes; money is US dollars.
`where` fields hold `agent.yaml:LINE`. Nothing here is secret: secrets appear by name only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from bedplate.access import ScopeSet
from bedplate.blueprint.parts import (
    DataSource,
    DataStore,
    DynamodbStore,
    FileRef,
    HttpTool,
    McpTool,
    PostgresStore,
    PythonTool,
    S3Store,
    SearchTool,
    SecretRef,
    SqlTool,
    Tool,
)

if TYPE_CHECKING:
    from pydantic import TypeAdapter


__all__ = [
    "BUILT_IN",
    "KEYLESS",
    "Accept",
    "Blueprint",
    "Ceiling",
    "DataSource",
    "DataStore",
    "Digests",
    "DynamodbStore",
    "EvalSuite",
    "Expose",
    "FileRef",
    "Gate",
    "HttpTool",
    "Limits",
    "LongTermMemory",
    "McpTool",
    "Memory",
    "ModelSpec",
    "PostgresStore",
    "PythonTool",
    "S3Store",
    "Sandbox",
    "SearchTool",
    "SecretRef",
    "SessionMemory",
    "SqlTool",
    "StateKey",
    "Tool",
    "Tracing",
    "from_json",
    "secrets_of",
    "to_json",
]

BUILT_IN = frozenset({"bedplate", "local"})
KEYLESS = BUILT_IN | {"ollama"}
"""Model providers that need no key; those built in take none."""


@dataclass(frozen=True)
class ModelSpec:
    """The model: `id` and `fallback` are `provider:model`; `settings` has temperature, maxTokens, topP, seed."""

    id: str
    fallback: tuple[str, ...] = ()
    settings: Mapping[str, float | int] = field(default_factory=dict)
    base_url: str | None = None
    credentials: SecretRef | None = None
    where: str = ""

    @property
    def provider(self) -> str:
        """The provider of `id`; `base_url` and `credentials` belong to it."""
        return self.id.partition(":")[0]

    def secret_of(self, model: str) -> SecretRef | None:
        """The secret that `model`, `id` or one of `fallback`, is called with; None where it needs none.

        A fallback at another provider has its key under the secret `<provider>-api-key`.
        """
        provider = model.partition(":")[0]
        if provider == self.provider and provider not in BUILT_IN:
            return self.credentials
        return None if provider in KEYLESS else SecretRef(f"{provider}-api-key")

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """Every secret that it needs. A built-in model never fails, so that its fallbacks are never called."""
        used = (self.id,) if self.provider == "bedplate" else (self.id, *self.fallback)
        return tuple(ref for ref in map(self.secret_of, used) if ref)


@dataclass(frozen=True)
class SessionMemory:
    """Conversations: kept for `retention` seconds after their last turn, readable by the same user only."""

    retention: int
    per: Literal["user"] = "user"


@dataclass(frozen=True)
class LongTermMemory:
    """Facts about a user. `write`: `afterTurn` also takes down what the user says of themselves, `tool` does not.

    `redact` holds what is masked before a fact is stored: `email`, `phone`, `card`.
    """

    retention: int
    write: Literal["afterTurn", "tool"] = "afterTurn"
    redact: tuple[str, ...] = ()
    per: Literal["user"] = "user"


@dataclass(frozen=True)
class Memory:
    """What the agent remembers. None means that kind of memory does not exist."""

    sessions: SessionMemory | None = None
    long_term: LongTermMemory | None = None


@dataclass(frozen=True)
class Gate:
    """One threshold: the metric must be at least `min` or at most `max`."""

    metric: str
    min: float | None = None
    max: float | None = None
    where: str = ""


@dataclass(frozen=True)
class EvalSuite:
    """A dataset, how often each case runs, and the gates over it. `dataset` is a project-relative path."""

    name: str
    dataset: str
    repeats: int
    gates: tuple[Gate, ...]
    where: str = ""
    run_on: tuple[str, ...] = ("pullRequest", "promote")
    """When it must run: `pullRequest`, `promote`."""


@dataclass(frozen=True)
class Tracing:
    """`content`: what becomes of message text in spans. `sample_ratio` is the share of turns traced, 0 to 1."""

    content: Literal["none", "redacted", "full"] = "redacted"
    sample_ratio: float = 1.0
    retention: int = 30 * 86400


@dataclass(frozen=True)
class Limits:
    """Per turn. `timeout` in seconds, `cost` in US dollars (None: not limited)."""

    requests: int = 12
    tool_calls: int = 20
    tokens: int = 60_000
    cost: float | None = None
    timeout: float = 90.0


@dataclass(frozen=True)
class Expose:
    """How callers reach the agent. `/invocations` and `/ping` are always there; `protocols` adds `chat` and `mcp`.

    `port` None: a free port is chosen once and kept.
    """

    protocols: tuple[str, ...] = ("chat",)
    auth: Literal["apiKey"] = "apiKey"
    port: int | None = None


@dataclass(frozen=True)
class Sandbox:
    """Bounds of the agent's process: `memory` in bytes of address-space-independent resident use, `pids` a count.

    `read` and `write` are paths as the grants of the tool `sandbox` have them: a file, or `folder/*`; relative ones
    to the project.
    """

    memory: int = 512 * 1024 * 1024
    pids: int = 64
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@dataclass(frozen=True)
class StateKey:
    """One key of the state that agents share within a session: the names of agents that may read and write it."""

    name: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Ceiling:
    """What the agent may do at most: the file at `path`, and its scopes as they apply to this agent's tools.

    Patterns with `*` for tools are written out, conditions typed by the tools' pinned schemas. `where` of grants names
    lines of that file.
    """

    path: str
    scopes: ScopeSet
    where: str = ""


@dataclass(frozen=True)
class Accept:
    """A gap that somebody answers for until the end of the day `until` (ISO 8601): `risk` or `clause`, one is empty."""

    reason: str
    owner: str
    until: str
    risk: str = ""
    clause: str = ""
    where: str = ""


@dataclass(frozen=True)
class Digests:
    """`build` is the same for every stage; `behaviour` covers the resolved fields that shape answers in this stage.

    Both are `sha256:` and 64 hex digits.
    """

    build: str
    behaviour: str


@dataclass(frozen=True)
class Blueprint:
    """An agent in one stage, complete: everything that compiling, deploying and running it needs to know."""

    name: str
    stage: str
    target: Literal["local", "docker", "aws"]
    intent: Literal["script", "product"]
    project: str
    """The project's folder, where `agent.yaml` stands."""
    model: ModelSpec
    instructions: str
    data: tuple[DataSource, ...]
    tools: tuple[Tool, ...]
    scopes: ScopeSet
    memory: Memory
    evals: tuple[EvalSuite, ...]
    tracing: Tracing
    limits: Limits
    expose: Expose
    sandbox: Sandbox
    digests: Digests
    description: str = ""
    owner: str = ""
    code: tuple[FileRef, ...] = ()
    """The project's code, where a python tool or an MCP command runs it: its Python files, and files that a command
    names. What their sandboxes can read."""
    requirements: FileRef | None = None
    """The packages that python tools and MCP commands find, each with the hashes of its wheels."""
    site: str = ""
    """The folder of those packages, unpacked; "" before there is a build, and where there are none."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Line in `agent.yaml` of each dotted path that is written there (`limits.tokens`, `tools.docs`)."""
    promoted_from: str | None = None
    """The stage from which a build is promoted to this one; None for a first stage."""
    approvals: int = 0
    """How many approvals each wider finding needs before it reaches this stage."""
    stores: tuple[DataStore, ...] = ()
    """The data sources that are no files."""
    state: tuple[StateKey, ...] = ()
    ceiling: Ceiling | None = None
    accept: tuple[Accept, ...] = ()
    region: str = ""
    account: str = ""
    """Where the target is `aws`: its region and its account of 12 digits."""


def secrets_of(blueprint: Blueprint) -> dict[str, SecretRef]:
    """Every secret that the blueprint needs, by name."""
    refs: list[SecretRef] = list(blueprint.model.secrets)
    for tool in blueprint.tools:
        match tool:
            case McpTool():
                refs += [*tool.env.values(), *([tool.credentials] if tool.credentials else [])]
            case HttpTool(credentials=SecretRef() as ref):
                refs.append(ref)
            case _:
                pass
    return {ref.name: ref for ref in refs}


def to_json(blueprint: Blueprint) -> dict[str, Any]:
    """The blueprint as JSON values, as `from_json` reads it back."""
    document: dict[str, Any] = _adapter().dump_python(blueprint, mode="json")
    return document


def from_json(document: Mapping[str, Any]) -> Blueprint:
    """The blueprint of `to_json`'s document. Raises pydantic.ValidationError where it is none."""
    return _adapter().validate_python(dict(document))


@cache
def _adapter() -> TypeAdapter[Blueprint]:
    """Made once: it takes longer than everything that is done with it."""
    from pydantic import TypeAdapter

    return TypeAdapter(Blueprint)
