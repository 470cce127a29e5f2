"""What comparing two sets of scopes takes, one search for a witness in the worst forms, and proofs. Prints JSON.

    python bench/access.py [--runs 9] [--pairs 500]

Each figure is a median of processor milliseconds in this process, after a run that does not count; `ratio` is against
starting a bare interpreter in the same run. `grants_*` compare 200 grants with 200: the same, each a little wider, all
replaced by others, and half split into parts beside a `never` that is gone. `boxes_*` prove that many grants together
cover one. `prove` are random pairs of 12 scopes with conditions, asks and pinned operations, one scope being changed:
each in milliseconds by the clock, at first sight, with the share undecided after 5 s. `cedar_500_tools` compiles
500 tools to Cedar policies with their schema, checks them in the engine, reads them back and compares them.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from bedplate.access import (
    Argument,
    Ask,
    Claim,
    Condition,
    Grant,
    Never,
    Operation,
    ScopeSet,
    Spans,
    Subset,
    Texts,
)
from bedplate.access.answers import Same, Unproved
from bedplate.access.automata import TooManyStates, witness
from bedplate.access.findings import compare
from bedplate.access.prove import widens
from bedplate.access.reach import Reach

GRANTS = 200
HOST = "https://api.example.com/v1/customers"
WORDS = ("orders", "invoices", "notes", "contacts", "returns", "subscriptions", "payments", "tickets", "addresses")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=500)
    runs, pairs = parser.parse_args().runs, parser.parse_args().pairs
    bare = statistics.median(bare_python() for _ in range(runs))
    figures = {name: median(measured, runs, bare) for name, measured in comparisons().items()}
    figures |= {name: median(measured, runs, bare) for name, measured in (searches() | proven() | compiled()).items()}
    figures |= {"prove": proofs(pairs)}
    print(json.dumps({"bare_python_ms": round(bare, 1), **figures}, indent=2))


def comparisons() -> dict[str, Callable[[], object]]:
    """Comparisons of whole reaches."""
    old = reach("*", never=("*.delete_*", "*.drop"))
    cases = {
        "grants_same": reach("*", never=("*.delete_*", "*.drop")),
        "grants_each_wider": reach("", never=("*.delete_*", "*.drop")),
        "grants_replaced": reach("*", shift=GRANTS, never=("*.delete_*", "*.drop")),
        "grants_split_never_gone": split(old),
    }
    return {name: (lambda new=new: compare(old, new)) for name, new in cases.items()}


def searches() -> dict[str, Callable[[], object]]:
    """Searches that look at many states: no witness exists, or it is long, or the search is given up."""
    parts = [f"*{a}*{b}*" for a in WORDS for b in WORDS]
    return {
        "witness_long": lambda: witness([f"*{word}*" for word in WORDS[:4]], [f"{HOST}*"]),
        "witness_none": lambda: witness(["*orders*", "*notes*"], [p for p in parts if p not in {"*orders*orders*"}]),
        "witness_given_up": lambda: gives_up(["*" + "*".join("ab" * 120) + "*", "*" + "*".join("aab" * 80) + "*b"]),
    }


def proven() -> dict[str, Callable[[], object]]:
    """One grant that many cover together: boxes that fill a cube."""
    return {f"boxes_{k**3}": (lambda k=k: boxes(k)) for k in (3, 5, 8)}


def boxes(k: int) -> object:
    """Prove that k * k * k boxes cover a cube."""

    def box(name: str, *spans: tuple[int, int]) -> Grant:
        tests = (Condition((p,), "integer", Spans((s,))) for p, s in zip("abc", spans, strict=True))
        return Grant(name, "t", "call", "pay", "", tuple(tests))

    sides = [(i * 10, i * 10 + 9) for i in range(k)]
    tiles = [box(f"{a}{b}{c}", a, b, c) for a in sides for b in sides for c in sides]
    cube = box("cube", *((0, k * 10 - 1) for _ in "abc"))
    answer = widens(ScopeSet(tuple(tiles)), ScopeSet((cube,)), spent=lambda: False)
    assert isinstance(answer, Same), answer
    return answer


def compiled() -> dict[str, Callable[[], object]]:
    """500 tools of one scope each to Cedar and back."""
    rnd = random.Random(5)
    scopes = [scope(rnd, f"tool{i}", f"s{i}") for i in range(500)]
    operations = tuple(operation for i in range(500) for operation in schemas(f"tool{i}"))
    whole = ScopeSet(tuple(scopes), (Never("*.delete_*"),), operations)
    return {"cedar_500_tools": lambda: cedar(whole)}


def cedar(scopes: ScopeSet) -> None:
    """Compile, check and read back."""
    from bedplate.access.cedar.emit import compile as to_cedar
    from bedplate.access.cedar.evaluate import check
    from bedplate.access.cedar.read import validate

    policies = to_cedar(scopes)
    check(policies)
    assert not validate(scopes, policies)


def proofs(pairs: int) -> dict[str, float | int]:
    """Times of single proofs, each of a pair that was not seen before."""
    rnd = random.Random(7)
    taken, unproved = [], 0
    for _ in range(pairs):
        old, new = pair(rnd)
        started = time.perf_counter()
        answer = widens(old, new, spent=lambda: time.perf_counter() - started > 5)  # noqa: B023 (called at once)
        taken.append((time.perf_counter() - started) * 1000)
        unproved += isinstance(answer, Unproved)
    taken.sort()
    share = round(unproved / pairs, 4)
    named = {"median_ms": taken[pairs // 2], "p99_ms": taken[int(pairs * 0.99)], "worst_ms": taken[-1]}
    return {"pairs": pairs, **{name: round(ms, 2) for name, ms in named.items()}, "undecided": share}


def pair(rnd: random.Random) -> tuple[ScopeSet, ScopeSet]:
    """Twelve scopes of three tools, and the same in another order with one of them drawn anew."""
    tools = ("refunds", "crm", "mail")
    operations = tuple(operation for tool in tools for operation in schemas(tool))
    grants = [scope(rnd, rnd.choice(tools), f"s{i}") for i in range(12)]
    other = list(grants)
    at = rnd.randrange(12)
    other[at] = scope(rnd, other[at].tool, other[at].id)
    rnd.shuffle(other)
    return ScopeSet(tuple(grants), (), operations), ScopeSet(tuple(other), (), operations)


def schemas(tool: str) -> tuple[Operation, ...]:
    """The pinned operations of a tool."""
    arguments = (
        Argument(("amount",), "decimal", required=True),
        Argument(("currency",), "string", values=("EUR", "GBP", "USD")),
        Argument(("to",), "string"),
        Argument(("customer",), None),
        Argument(("customer", "id"), "string", required=True),
        Argument(("tags",), "strings"),
    )
    names = ("create_refund", "get_refund", "list_refunds", "delete_refund")
    return tuple(Operation(tool, name, arguments, closed=True, pin="sha256:00") for name in names)


def scope(rnd: random.Random, tool: str, name: str) -> Grant:
    """A scope as people write them."""
    most = rnd.choice([50, 100, 200, 500]) * 10_000
    tests = [
        Condition(("amount",), "decimal", Spans(((None, most),))),
        Condition(("currency",), "string", Texts(tuple(rnd.sample(["EUR", "GBP", "USD"], 2)))),
        Condition(("to",), "string", Texts((f"*@{rnd.choice(WORDS)}.example", "*@a.example"))),
        Condition(("customer", "id"), "string", Claim("customer")),
        Condition(("tags",), "strings", Subset(tuple(rnd.sample(WORDS, 3)))),
    ]
    chosen = tuple(sorted(rnd.sample(tests, rnd.randrange(4)), key=lambda c: c.path))
    over = Condition(("amount",), "decimal", Spans(((most // 2, None),)))
    ask = rnd.choice([None, None, Ask((over,)), Ask(always=True)])
    return Grant(
        name, tool, "call", rnd.choice(["*_refund", "get_*", "create_refund", "list_refunds"]), "", chosen, None, ask
    )


def gives_up(patterns: list[str]) -> bool:
    """Whether the search meets its bound."""
    try:
        witness(patterns, [])
    except TooManyStates:
        return True
    return False


def reach(tail: str, shift: int = 0, never: tuple[str, ...] = ()) -> Reach:
    """Half the grants are for an HTTP API, half for the operations of a server; `tail` ends each pattern."""
    half = range(shift, shift + GRANTS // 2)
    last = tail or "*/more*"
    urls = [Grant(f"u{i}", "api", "get", f"{HOST}/{i}/{WORDS[i % len(WORDS)]}/{last}") for i in half]
    calls = [Grant(f"c{i}", "crm", "call", f"get_{WORDS[i % len(WORDS)]}_{i}_{tail}") for i in half]
    if not tail:
        urls = [Grant(g.id, g.tool, g.verb, g.pattern.replace("/*/more*", "*")) for g in urls]
        calls = [Grant(g.id, g.tool, g.verb, g.pattern.rstrip("_") + "*") for g in calls]
    return Reach(ScopeSet((*urls, *calls), tuple(map(Never, never))))


def split(old: Reach) -> Reach:
    """Every other grant beside a part of it; no `never`."""
    parts = [Grant(f"{g.id}p", g.tool, g.verb, f"{g.pattern}part*") for g in old.scopes.grants[::2]]
    return Reach(ScopeSet((*old.scopes.grants[: GRANTS // 2], *parts, *old.scopes.grants[GRANTS // 2 :])))


def median(measured: Callable[[], object], runs: int, bare: float) -> dict[str, float]:
    """The median of several runs after one that does not count."""
    measured()
    samples = [timed(measured) for _ in range(runs)]
    taken = statistics.median(samples)
    return {"cpu_ms": round(taken, 2), "ratio": round(taken / bare, 2)}


def timed(measured: Callable[[], object]) -> float:
    """Processor milliseconds of one call."""
    started = time.process_time()
    measured()
    return (time.process_time() - started) * 1000


def bare_python() -> float:
    """Processor milliseconds of an interpreter that does nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


if __name__ == "__main__":
    main()
