"""What a stage costs, as far as it is known; what is not known says so. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bedplate.blueprint.model import BUILT_IN, Blueprint

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cost:
    """In words: of the infrastructure a month, of the model's tokens, and the bound of one turn ("" where none)."""

    infrastructure: str
    tokens: str
    bound: str = ""


def cost_of(blueprint: Blueprint) -> Cost:
    """The cost of one stage. A built-in model and processes on this machine cost nothing beyond the machine."""
    used = (blueprint.model.id, *blueprint.model.fallback)
    free = all(model.partition(":")[0] in BUILT_IN for model in used)
    limit = blueprint.limits.cost
    return Cost(
        infrastructure="$0 (this machine)" if blueprint.target == "local" else UNKNOWN,
        tokens="$0 (built-in model)" if free else UNKNOWN,
        bound="" if free or limit is None else f"at most ${limit:g} a turn",
    )
