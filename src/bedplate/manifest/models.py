"""The manifest as pydantic models: exactly what this version does, nothing that would be accepted and ignored.

Goes in: plain data. Comes out: `Manifest`, or pydantic's errors, which `errors` turns into problems. What names and
files refer to is checked in `bedplate.blueprint`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from bedplate.manifest.bounds import Accept, KeyName, Sandbox, StateKey
from bedplate.manifest.data import Data, Region
from bedplate.manifest.fields import (
    Bound,
    Line,
    ModelId,
    Name,
    Retention,
    Secret,
    Section,
    Slug,
    StageName,
    Timeout,
    Url,
    refuse,
    shaped,
)
from bedplate.manifest.metrics import METRICS
from bedplate.manifest.scopes import Never
from bedplate.manifest.tools import FileName, Tool
from bedplate.manifest.words import did_you_mean

API_VERSION = "bedplate.dev/v1"


class Metadata(Section):
    """What the agent is called and who answers for it."""

    name: Slug = Field(description="Name of the agent: lower-case letters, digits and hyphens, at most 63 characters.")
    description: Line | None = Field(default=None, description="What the agent does, in one sentence.")
    owner: Line | None = Field(default=None, description="Team or person who answers for it; stands in every trace.")


class Settings(Section):
    """How the model is asked to answer."""

    temperature: float | None = Field(default=None, ge=0, le=2, description="Randomness of the answer, 0 to 2.")
    max_tokens: int | None = Field(default=None, ge=1, description="Longest answer of one model request, in tokens.")
    top_p: float | None = Field(default=None, gt=0, le=1, description="Share of the likeliest tokens drawn from.")
    seed: int | None = Field(default=None, ge=0, description="Seed for models that can repeat an answer.")


class Model(Section):
    """The model that answers."""

    id: ModelId = Field(description="The model as `provider:model`; `bedplate:extractive` needs no key.")
    fallback: list[ModelId] = Field(default=[], description="Models tried in this order when the first one fails.")
    settings: Settings = Field(default=Settings(), description="How the model is asked to answer.")
    base_url: Url | None = Field(default=None, description="Address of the provider, instead of its usual one.")
    credentials: Secret | None = Field(default=None, description="The provider's key. Only the gateway gets it.")


def _model_by_name(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _text_or_file(value: Any) -> str | None:
    return "text" if isinstance(value, str) else "file" if isinstance(value, dict | FileName) else None


Instructions = Annotated[
    Annotated[Annotated[str, Field(min_length=1, max_length=200_000)], Tag("text")] | Annotated[FileName, Tag("file")],
    Discriminator(_text_or_file),
]


class Sessions(Section):
    """Memory of conversations."""

    store: Literal["auto", "sqlite"] = Field(
        default="auto", description="Where they are kept; `auto` is SQLite locally."
    )
    retention: Retention = Field(default=30 * 86400, description="How long after its last turn a conversation is kept.")
    per: Literal["user"] = Field(default="user", description="Whose it is: only the same user can go on with it.")


class LongTerm(Section):
    """Memory of facts about a user, across conversations."""

    store: Literal["auto", "sqlite"] = Field(
        default="auto", description="Where they are kept; `auto` is SQLite locally."
    )
    retention: Retention = Field(default=365 * 86400, description="How long a fact is kept.")
    per: Literal["user"] = Field(default="user", description="Whose it is: facts of one user never reach another.")
    write: Literal["afterTurn", "tool"] = Field(
        default="afterTurn", description="`afterTurn` also takes down what users say of themselves; `tool` does not."
    )
    redact: list[Literal["email", "phone", "card"]] = Field(
        default=[], description="What is masked before a fact is stored."
    )


class Memory(Section):
    """What the agent remembers."""

    sessions: Sessions | None = Field(default=None, description="Conversations. Without it every turn stands alone.")
    long_term: LongTerm | None = Field(default=None, description="Facts about users, across conversations.")


class Gate(Section):
    """A bound that a metric must keep."""

    metric: str = Field(description="What is measured.", json_schema_extra={"enum": list(METRICS)})
    min: Bound | None = Field(default=None, description="At least this much; for metrics of quality, 0 to 1.")
    max: Bound | None = Field(default=None, description="At most this much; for time, tokens, calls and errors.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Gate:
        metric = METRICS.get(self.metric)
        if metric is None:
            raise refuse("BP021", f"there is no metric `{self.metric[:60]}`", did_you_mean(self.metric, METRICS))
        given = [name for name in ("min", "max") if getattr(self, name) is not None]
        if given != [metric.direction]:
            said = f"has {' and '.join(f'`{name}`' for name in given) or 'no bound'}"
            raise refuse("BP020", f"the gate on {self.metric} {said}", f"write `{metric.direction}` for this metric")
        bound = self.min or self.max
        if bound and bound.duration and metric.unit != "seconds":
            raise refuse("BP020", f"{self.metric} is not a time", "write a number without a unit")
        if bound and (bound.value < 0 or (metric.unit == "share" and bound.value > 1)):
            raise refuse(
                "BP020", f"the bound {bound.value:g} is out of range", f"{self.metric} is the {metric.meaning}"
            )
        return self


class Eval(Section):
    """A set of questions with expected answers, and the gates over the results."""

    name: Name = Field(description="Name of the suite.")
    dataset: Line = Field(description="File with the cases (YAML or JSONL), relative to agent.yaml.")
    repeats: int = Field(default=1, ge=1, le=50, description="How often each case runs, 1 to 50.")
    run_on: list[Literal["pullRequest", "promote"]] = Field(
        default=["pullRequest", "promote"],
        description="When it must run: `pullRequest` in the pipeline of a change, `promote` before a promotion.",
    )
    gates: list[Gate] = Field(default=[], description="Bounds that the results must keep.")


class Tracing(Section):
    """What is recorded of every turn."""

    sink: Literal["auto", "sqlite"] = Field(default="auto", description="Where traces go; `auto` is SQLite locally.")
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="Share of turns that are traced, 0 to 1.")
    content: Literal["none", "redacted", "full"] = Field(
        default="redacted",
        description="What becomes of message text: left out, kept with personal data masked, or kept.",
    )
    retention: Retention = Field(default=30 * 86400, description="How long traces are kept.")


class Limits(Section):
    """Bounds of one turn; the gateway ends a turn that exceeds one."""

    requests: int = Field(default=12, ge=1, le=1000, description="Model requests.")
    tool_calls: int = Field(default=20, ge=0, le=10_000, description="Tool calls.")
    tokens: int = Field(default=60_000, ge=1, description="Tokens, in and out, of all model requests together.")
    cost: float | None = Field(default=None, gt=0, description="US dollars. Without it cost is not limited.")
    timeout: Timeout = Field(default=90.0, description="Time to the whole answer.")


class Auth(Section):
    """How callers prove who they are."""

    type: Literal["apiKey"] = Field(description="`apiKey`: a key that `bedplate up` makes, sent as a bearer token.")


class Expose(Section):
    """How callers reach the agent."""

    protocols: list[Literal["chat", "mcp"]] = Field(
        default=["chat"], description="Besides /invocations: `chat` is OpenAI's chat completions, `mcp` a tool `ask`."
    )
    auth: Auth = Field(default=Auth(type="apiKey"), description="How callers prove who they are.")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port on this machine; without it a free one is kept."
    )


class Runtime(Section):
    """What runs the agent, and the packages that its tools find."""

    type: Literal["managed"] = Field(description="`managed`: Bedplate's own loop runs the agent.")
    requirements: Line | None = Field(
        default=None,
        description="Requirements file with a version and hashes for each package; its wheels are part of the build "
        "and are what python tools and MCP servers started with `python` find.",
    )


class Approvals(Section):
    """How many people must approve access that widens before it reaches a stage."""

    minimum: int = Field(ge=0, le=9, description="Approvals that each wider finding needs, 0 to 9; 0 asks for none.")


class Stage(Section):
    """A place where the agent runs, and what differs there. An overlay may only narrow what the agent may do."""

    target: Literal["local", "docker", "aws"] = Field(
        description="`local`: processes on this machine. `docker`: containers. `aws`: Amazon Web Services."
    )
    region: Region | None = Field(default=None, description="Region, where the target is `aws`.")
    account: Annotated[str, shaped(r"^[0-9]{12}$", 12, "an account of AWS", '"123456789012"')] | None = Field(
        default=None, description="Account of 12 digits, in quotes, where the target is `aws`."
    )
    from_: Slug | None = Field(
        default=None, alias="from", description="Stage from which a build is promoted to this one."
    )
    approvals: Approvals | None = Field(
        default=None,
        description="Who must agree to wider access. Without it: one approval in a stage that has `from`, else none.",
    )
    engine: Literal["embedded", "pulumi"] | None = Field(
        default=None,
        description="What deploys the stage: `embedded`, the built-in engine, or `pulumi`, the Pulumi CLI.",
    )
    backend: Line | None = Field(
        default=None,
        description="Where the engine `pulumi` keeps the state: a URL as `pulumi login` takes it. Without it: what "
        "PULUMI_BACKEND_URL says, else the stage's folder.",
    )
    # The overlay itself is merged into the base and checked there, as a whole.
    model: Any = Field(default=None, description="What differs in `model`.")
    instructions: Any = Field(default=None, description="Other instructions.")
    data: Any = Field(default=None, description="What differs in `data`, by name.")
    tools: Any = Field(default=None, description="What differs in `tools`, by name; `scopes` are replaced whole.")
    never: Any = Field(default=None, description="The whole list for this stage; it may only forbid more.")
    memory: Any = Field(default=None, description="What differs in `memory`.")
    evals: Any = Field(default=None, description="What differs in `evals`, by name.")
    tracing: Any = Field(default=None, description="What differs in `tracing`.")
    limits: Any = Field(default=None, description="What differs in `limits`.")
    expose: Any = Field(default=None, description="What differs in `expose`.")
    sandbox: Any = Field(default=None, description="What differs in `sandbox`.")
    state: Any = Field(default=None, description="What differs in `state`, by key; it may only narrow.")

    @model_validator(mode="after")
    def _region_is_used(self) -> Stage:
        for name, value in (("region", self.region), ("account", self.account)):
            if self.target == "aws" and not value:
                raise refuse("BP814", f"the target `aws` needs `{name}`", f"add `{name}:`")
            if self.target != "aws" and value:
                raise refuse("BP814", f"the target `{self.target}` does not read `{name}`", f"remove `{name}`")
        return self

    @model_validator(mode="after")
    def _backend_is_used(self) -> Stage:
        if self.backend and self.engine != "pulumi":
            raise refuse("BP013", "`backend` is read by the engine `pulumi` only", "add `engine: pulumi`")
        return self


OVERLAID = tuple(
    name
    for name in Stage.model_fields
    if name not in {"target", "region", "account", "from_", "approvals", "engine", "backend"}
)
"""Sections that a stage may overlay."""
FIXED = ("apiVersion", "kind", "metadata", "intent", "stages", "ceiling", "accept")
"""Sections that are the same in every stage."""


class Manifest(Section):
    """An agent, declared: model, tools, scopes, data, memory, eval gates, traces, stages."""

    api_version: Literal["bedplate.dev/v1"] = Field(description="Version of this format.")
    kind: Literal["Agent"] = Field(description="Always `Agent`.")
    metadata: Metadata = Field(description="What the agent is called and who answers for it.")
    intent: Literal["script", "product"] = Field(
        description="`product` must have memory, scopes, eval gates and tracing; `script` may leave them out and is "
        "not promoted past its first stage."
    )
    model: Annotated[Model, BeforeValidator(_model_by_name)] = Field(
        description="The model: `provider:model`, or a mapping."
    )
    instructions: Instructions = Field(description="What the agent is told to do: text, or {file: path}.")
    data: list[Data] = Field(default=[], description="Data sources. Access to them exists only in tools' scopes.")
    tools: list[Tool] = Field(default=[], description="What the agent can do, each with the scopes of what it may do.")
    never: list[Never] = Field(default=[], description="What is denied whatever the scopes say.")
    memory: Memory | None = Field(default=None, description="What the agent remembers.")
    evals: list[Eval] = Field(default=[], description="Questions with expected answers, and gates over the results.")
    tracing: Tracing | None = Field(default=None, description="What is recorded of every turn.")
    limits: Limits = Field(default=Limits(), description="Bounds of one turn.")
    expose: Expose = Field(default=Expose(), description="How callers reach the agent.")
    sandbox: Sandbox = Field(default=Sandbox(), description="Bounds of the agent's process.")
    state: dict[KeyName, StateKey] = Field(
        default={}, description="State that agents share within a session: who may read and write each key."
    )
    ceiling: Line | None = Field(
        default=None, description="File with what the agent may do at most (kind `Ceiling`), relative to agent.yaml."
    )
    accept: list[Accept] = Field(default=[], description="Gaps of enforcement and risks that somebody answers for.")
    runtime: Runtime | None = Field(default=None, description="What runs the agent. Without it: {type: managed}.")
    stages: dict[StageName, Stage] = Field(
        default={},
        description="Where the agent runs, in order; the first is the default. Without it: `prototype`, local.",
    )
