"""What bounds the agent besides scopes: its sandbox, who may use shared state, and gaps that somebody answers for."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bedplate.manifest.fields import NAME, Line, MemorySize, Section, Slug, refuse, shaped

_SANDBOX_PATH = "A file, or everything below a folder as `folder/*`; relative to agent.yaml, or absolute."
SandboxPath = Annotated[
    str,
    shaped(r"^(?!/(.*/)?\.\.(/|$))[^*\s][^*]*(?<!/)(/\*)?$", 500, "a file, or a folder as `folder/*`", "prompts/*"),
]


class Sandbox(Section):
    """Bounds of the agent's process."""

    memory: MemorySize = Field(default=512 * 1024**2, description="Memory that the process may use.")
    pids: int = Field(default=64, ge=8, le=4096, description="Processes and threads that may exist in it.")
    read: list[SandboxPath] = Field(default=[], description=f"What it may read besides its own code. {_SANDBOX_PATH}")
    write: list[SandboxPath] = Field(default=[], description=f"What it may write. {_SANDBOX_PATH}")


KeyName = Annotated[str, shaped(NAME, 48, "a key of lower-case letters, digits and single hyphens", "plan")]


class StateKey(Section):
    """Who may use one key of the state that agents share within a session."""

    read: list[Slug] = Field(default=[], description="Agents that may read it, by name.")
    write: list[Slug] = Field(default=[], description="Agents that may write it, by name.")


class Accept(Section):
    """A gap that somebody answers for: a risk, or a clause of a scope that no layer enforces."""

    risk: Literal["rule-of-two"] | None = Field(
        default=None, description="`rule-of-two`: private data, untrusted text and a way to act, in one agent."
    )
    clause: Line | None = Field(default=None, description="A clause as the enforcement matrix names it.")
    reason: Line = Field(description="Why it is accepted.")
    owner: Line = Field(description="Team or person who answers for it.")
    until: Annotated[str, shaped(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", 10, "a day", "2027-01-31")] = Field(
        description="Last day on which it holds."
    )

    @model_validator(mode="after")
    def _one_thing(self) -> Accept:
        given = [name for name in ("risk", "clause") if getattr(self, name)]
        if len(given) != 1:
            said = "both `risk` and `clause`" if given else "neither `risk` nor `clause`"
            raise refuse("BP816", f"an entry of `accept` has {said}", "write one of the two in each entry")
        try:
            date.fromisoformat(self.until)
        except ValueError as error:
            raise refuse("BP816", f"`{self.until}` is no day of the calendar", "write e.g. 2027-01-31") from error
        return self
