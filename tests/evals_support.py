"""Small makers of eval values for the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from bedplate.blueprint.model import EvalSuite, Gate
from bedplate.evals import (
    AskFailed,
    AskReply,
    AskRequest,
    Dataset,
    Results,
    RunInfo,
    ToolCallSeen,
    parse_dataset,
    run,
)

CASES = Path(__file__).parent / "cases" / "evals"
INFO = RunInfo("support", "prototype", "bedplate:extractive", "sha256:" + "a" * 64, "sha256:" + "b" * 64, "0.1.0")


def cases(name: str) -> list[dict[str, Any]]:
    """The rows of a file of cases."""
    rows: list[dict[str, Any]] = yaml.safe_load((CASES / name).read_text("utf-8"))
    return rows


def dataset(rows: Sequence[dict[str, Any]], file: str = "evals/faq.yaml") -> Dataset:
    """A dataset of these cases."""
    return parse_dataset(yaml.safe_dump({"cases": list(rows)}, sort_keys=False), file)


def numbered(count: int, **more: Any) -> Dataset:
    """`count` cases that expect their own question back."""
    return dataset(
        [{"name": f"c{i}", "inputs": f"word{i}", "expected_output": f"word{i}", **more} for i in range(count)]
    )


def suite(*gates: Gate, repeats: int = 1) -> EvalSuite:
    """A suite with these gates."""
    return EvalSuite("faq", "evals/faq.yaml", repeats, gates)


def reply(raw: dict[str, Any]) -> AskReply:
    """A reply as test data writes it."""
    tools = tuple(ToolCallSeen(name, {}, "allow") for name in raw.get("tools", ()))
    return AskReply(
        raw.get("output", ""),
        trace_id="0" * 32,
        latency_s=raw.get("latency", 0.1),
        input_tokens=raw.get("tokens", 0),
        tool_calls=tools,
        sources=tuple(raw.get("sources", ())),
    )


async def echo(request: AskRequest) -> AskReply:
    """An agent that says what it is asked."""
    return AskReply(request.input, "0" * 32, 0.1, 10, 5)


def failing(fails: Callable[[AskRequest], bool], kind: Any = "agent") -> Callable[[AskRequest], Any]:
    """An agent that gives no answer where `fails` says so, and else says what it is asked."""

    async def ask(request: AskRequest) -> AskReply:
        if fails(request):
            raise AskFailed(kind, "the agent stopped")
        return await echo(request)

    return ask


async def results(data: Dataset, ask: Any = echo, *, repeats: int = 1, **more: Any) -> Results:
    """A run of one suite without gates."""
    return await run(suite(repeats=repeats), data, ask, run_id="r", **more)
