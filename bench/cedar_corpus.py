"""Cedar's public integration tests through cedarpy and through Bedplate's reader of policies. Prints JSON.

    git clone https://github.com/cedar-policy/cedar-integration-tests     # Apache-2.0
    tar xzf cedar-integration-tests/corpus-tests.tar.gz -C cedar-integration-tests
    python bench/cedar_corpus.py cedar-integration-tests [--every 1]

`requests` and `validation`: how many of the corpus's decisions and verdicts on its schemas the engine gives alike.
`reader`: the corpus is made at random and not in the form that Bedplate compiles to, so the reader has to refuse each
file, by its own error and with a place, and never take one for scopes. Each policy gets the annotations that ours have,
so that it is not refused for these alone. `refused`: by reason.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cedarpy

from bedplate.access.cedar.read import read_texts
from bedplate.problems import BedplateError

SCHEMA = json.dumps({"Bedplate": {"entityTypes": {}, "actions": {}}})
"""No policy of the corpus is about an action of ours, so ours has none."""


@dataclass
class Counts:
    """What was seen."""

    files: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    validation: Counter[str] = field(default_factory=Counter)
    reader: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def cases(root: Path) -> Iterator[dict[str, Any]]:
    """Every test description under `root`."""
    for folder in ("tests", "corpus-tests"):
        for file in sorted((root / folder).rglob("*.json")):
            if not file.name.endswith(".entities.json"):
                yield json.loads(file.read_text("utf-8"))


def run(case: dict[str, Any], root: Path, counts: Counts) -> None:
    """One test: its schema's verdict, its requests, and our reader."""
    text = (root / case["policies"]).read_text("utf-8")
    schema = cedarpy.Schema.from_str((root / case["schema"]).read_text("utf-8"))
    passed = cedarpy.validate_policies(text, schema).validation_passed
    counts.validation["alike" if passed == case["shouldValidate"] else "different"] += 1
    policies = cedarpy.PolicySet.from_str(text)
    entities = cedarpy.Entities.from_json_str((root / case["entities"]).read_text("utf-8"), schema)
    for request in case["requests"]:
        counts.requests["alike" if _alike(request, policies, entities, schema) else "different"] += 1
    counts.reader[_read(text, counts)] += 1


def _alike(request: dict[str, Any], policies: Any, entities: Any, schema: Any) -> bool:
    asked = {name: request[name] for name in ("principal", "action", "resource", "context")}
    checked = schema if request.get("validateRequest", True) else None
    answer = cedarpy.is_authorized(asked, policies, entities, checked)
    same = answer.decision.name.lower() == request["decision"]
    return same and sorted(answer.diagnostics.reasons) == sorted(request["reason"])


def _read(text: str, counts: Counts) -> str:
    """What our reader makes of it, given the annotations that it looks for first, so that it looks further."""
    annotated = json.loads(cedarpy.policies_to_json_str(text))
    for id, policy in (*annotated["staticPolicies"].items(), *annotated["templates"].items()):
        policy["annotations"] = {"id": id, "where": "corpus"}
    try:
        read_texts(cedarpy.policies_from_json_str(json.dumps(annotated)), "", SCHEMA)
    except BedplateError as error:
        reason = str(error.problems[0].summary).rpartition("): ")[2]
        counts.refused[reason if "cannot be parsed" not in reason else "the text cannot be parsed"] += 1
        return "refused"
    return "read"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take each n-th file only")
    chosen = parser.parse_args()
    counts, began = Counts(), time.perf_counter()
    for n, case in enumerate(cases(chosen.path)):
        if n % chosen.every == 0:
            counts.files += 1
            run(case, chosen.path, counts)
    shown = {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(counts).items()}
    print(json.dumps({**shown, "seconds": round(time.perf_counter() - began, 1)}, indent=2))


if __name__ == "__main__":
    main()
