"""Decisions by Cedar over compiled scopes, and what compiling them costs. Prints JSON. Needs the extra `cedar`.

    python bench/cedar.py [--calls 2000]

`decide_us`: microseconds a decision by the engine, median and 99th percentile, of 1, 60 and 1,000 policies, each with
three conditions and an `ask`. `named`: each scope names its own operation, as scopes mostly do, so that a call meets
one policy. `patterns`: all scopes are patterns of one tool, so that a call meets all of them; no index helps there.
`model_us` is `access.decide` on the same calls. `seconds`: 500 tools compiled, held against their schema by Cedar's
validator, and read back and compared with the scopes (CPU time), and whole.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import cedarpy  # noqa: F401  (its own start-up is not what is measured)

from bedplate.access import (
    Argument,
    Ask,
    Claim,
    Condition,
    Effect,
    Grant,
    Never,
    Operation,
    Request,
    ScopeSet,
    Spans,
    Texts,
    decide,
)
from bedplate.access.cedar.emit import compile
from bedplate.access.cedar.evaluate import Decider, check
from bedplate.access.cedar.read import validate


def scopes(count: int, patterns: bool, tools: int = 20) -> ScopeSet:
    """`count` scopes on operations with four pinned arguments."""
    grants, operations = [], []
    for n in range(count):
        tool = "tool0" if patterns else f"tool{n % tools}"
        grants.append(_grant(n, tool, f"op_{n}*" if patterns else f"op_{n}"))
        operations.append(Operation(tool, f"op_{n}", ARGUMENTS, True))
    return ScopeSet(tuple(grants), (Never("*.delete_*", "agent.yaml:1"),), tuple(operations))


ARGUMENTS = (
    Argument(("amount",), "decimal", True),
    Argument(("currency",), "string"),
    Argument(("customer", "id"), "string"),
    Argument(("note",), "string"),
)


def _grant(n: int, tool: str, pattern: str) -> Grant:
    where = (
        Condition(("amount",), "decimal", Spans(((None, 1_000_000 + n),))),
        Condition(("currency",), "string", Texts(("EUR", "USD"))),
        Condition(("customer", "id"), "string", Claim("customer")),
    )
    ask = Ask((Condition(("amount",), "decimal", Spans(((500_001, None),))),))
    return Grant(f"scope-{n}", tool, "call", pattern, f"agent.yaml:{n + 10}", where, None, ask)


def requests(of: ScopeSet, calls: int) -> list[Request]:
    """Calls that are allowed, asked and denied in turns, spread over the scopes."""
    made = []
    for n in range(calls):
        operation = of.operations[n * 7 % len(of.operations)]
        args = {"amount": (10.5, 60, 101)[n % 3], "currency": "EUR", "customer": {"id": "c-1"}, "note": "late"}
        session = {"customer": "c-1"}
        made.append(Request(operation.tool, operation.name, "call", operation.name, "u", "tool", args, session))
    return made


def timed(decide_one: Callable[[Request], Effect], asked: Sequence[Request]) -> dict[str, float]:
    """Microseconds a call; the first round, which parses, is not counted."""
    for request in asked:
        decide_one(request)
    took = []
    for request in asked:
        start = time.perf_counter()
        decide_one(request)
        took.append((time.perf_counter() - start) * 1e6)
    return {"median": round(statistics.median(took), 1), "p99": round(statistics.quantiles(took, n=100)[98], 1)}


def decisions(count: int, patterns: bool, calls: int) -> dict[str, object]:
    """Times of one size. Every decision is compared with the model's."""
    of = scopes(count, patterns)
    decider, asked = Decider(compile(of)), requests(of, calls)
    alike = sum(decider.decide(r).effect is decide(of, r).effect for r in asked)
    return {
        "policies": count,
        "alike": f"{alike} of {len(asked)}",
        "decide_us": timed(lambda r: decider.decide(r).effect, asked),
        "model_us": timed(lambda r: decide(of, r).effect, asked),
    }


def whole(tools: int) -> dict[str, float]:
    """CPU seconds of each step over `tools` tools with one operation each, and seconds of all."""
    of = scopes(tools, patterns=False, tools=tools)
    began, marks = time.perf_counter(), [time.process_time()]
    policies = compile(of)
    marks.append(time.process_time())
    check(policies)
    marks.append(time.process_time())
    validate(of, policies)
    marks.append(time.process_time())
    steps = [round(b - a, 3) for a, b in pairwise(marks)]
    names = ("compile", "check", "read_and_compare")
    return {**dict(zip(names, steps, strict=True)), "whole": round(time.perf_counter() - began, 3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    calls = parser.parse_args().calls
    print(
        json.dumps(
            {
                "python": platform.python_version(),
                "named": [decisions(count, False, calls) for count in (1, 60, 1000)],
                "patterns": [decisions(count, True, calls) for count in (1, 60, 1000)],
                "seconds": {"tools": 500, **whole(500)},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
