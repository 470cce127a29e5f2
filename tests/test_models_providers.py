"""What is said about a model before anybody is called."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bedplate.blueprint.model import ModelSpec, SecretRef
from bedplate.runtime.models import check
from bedplate.runtime.models.providers import PROVIDERS, installed, targets

KEY = SecretRef("k")


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        (ModelSpec("bedplate:extractive"), []),
        (ModelSpec("openai:gpt-5-mini", credentials=KEY), []),
        (ModelSpec("openai:gpt-5-mini"), ["BP472"]),
        (ModelSpec("openai:gpt-5-mini", base_url="http://127.0.0.1:1/v1"), []),
        (ModelSpec("mine:m", base_url="http://127.0.0.1:1/v1"), []),
        (ModelSpec("mine:m"), ["BP471"]),
        (ModelSpec("gpt-5"), ["BP471"]),
        (ModelSpec("openai:"), ["BP471"]),
        (ModelSpec("bedplate:extractve"), ["BP471"]),
        (ModelSpec("local:llama"), ["BP471"]),
        (ModelSpec("ollama:llama3"), []),
        (ModelSpec("openai:a", fallback=("anthropic:b", "nobody:c"), credentials=KEY), ["BP471"]),
        (ModelSpec("anthropic:a", credentials=KEY, settings={"seed": 1}), ["BP478"]),
        (ModelSpec("local:smollm2-135m"), [] if installed() else ["BP473"]),
    ],
    ids=lambda value: value.id if isinstance(value, ModelSpec) else None,
)
def test_each_model_of_a_manifest_is_checked(spec: ModelSpec, codes: list[str]) -> None:
    """Unknown models, missing keys, missing packages and settings without effect are found without a call."""
    assert [problem.code for problem in check(spec)] == codes


@pytest.mark.parametrize(
    ("model", "meant"),
    [("opnai:gpt-5", "openai:gpt-5"), ("bedplate:extract", "bedplate:extractive"), ("antropic:x", "anthropic:x")],
)
def test_a_near_miss_gets_a_suggestion(model: str, meant: str) -> None:
    """A misspelt name is answered with the one that was probably meant, at the line of the manifest."""
    [problem] = check(ModelSpec(model, where="agent.yaml:7"))
    assert f"Did you mean {meant}?" in problem.fix
    assert str(problem.where) == "agent.yaml:7"


def test_a_fallback_at_another_provider_has_a_key_of_its_own() -> None:
    """Credentials belong to the first model's provider; others are found under their conventional name."""
    spec = ModelSpec("anthropic:a", fallback=("anthropic:b", "openai:c", "ollama:d"), credentials=KEY)
    assert [spec.secret_of(m) for m in (spec.id, *spec.fallback)] == [KEY, KEY, SecretRef("openai-api-key"), None]


def test_a_base_url_belongs_to_the_first_provider_only() -> None:
    """A fallback at another provider is called at that provider's address."""
    spec = ModelSpec("openai:a", fallback=("groq:b",), base_url="http://127.0.0.1:1/v1")
    assert [t.base_url for t in targets(spec)] == ["http://127.0.0.1:1/v1", PROVIDERS["groq"].base_url]


def test_checking_imports_nothing_heavy() -> None:
    """`validate` can check models without loading an HTTP client, pydantic-ai or the price list."""
    code = (
        "import sys; from bedplate.runtime.models.providers import check;"
        "from bedplate.blueprint.model import ModelSpec;"
        "check(ModelSpec('openai:x'));"
        "print(sorted({'httpx2', 'pydantic_ai', 'genai_prices', 'xllamacpp', 'starlette'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
