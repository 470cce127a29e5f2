"""What comparing two sets of scopes takes, and one search for a witness in the worst forms. Prints JSON.

    python bench/access.py [--runs 9]

Each figure is a median of processor milliseconds in this process, after a run that does not count; `ratio` is against
starting a bare interpreter in the same run. `grants_*` compare 200 grants with 200: the same, each a little wider, all
replaced by others, and half split into parts beside a `never` that is gone.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from bedplate.access import Grant, Never, ScopeSet
from bedplate.access.automata import TooManyStates, witness
from bedplate.access.findings import compare
from bedplate.access.reach import Reach

GRANTS = 200
HOST = "https://api.example.com/v1/customers"
WORDS = ("orders", "invoices", "notes", "contacts", "returns", "subscriptions", "payments", "tickets", "addresses")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    bare = statistics.median(bare_python() for _ in range(runs))
    figures = {name: median(measured, runs, bare) for name, measured in comparisons().items()}
    figures |= {name: median(measured, runs, bare) for name, measured in searches().items()}
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
