"""Reads the cases of IAM policies that tests share."""

from pathlib import Path
from typing import Any

import yaml

from bedplate.access.iam.document import Rules
from bedplate.access.iam.reading import Kind, read_rules

CASES = Path(__file__).parent / "cases" / "iam"


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of one file."""
    found: list[dict[str, Any]] = yaml.safe_load((CASES / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def named(case: dict[str, Any]) -> str:
    """What a case is called."""
    return str(case.get("name") or f"{case.get('test') or case.get('place')} {case.get('values', '')}")


def document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    """A policy document out of statements in short form."""
    return {"Version": "2012-10-17", "Statement": [_statement(s) for s in statements]}


def _statement(short: dict[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in short.items() if key not in ("allow", "deny", "to")}
    for effect in ("allow", "deny"):
        if effect in short:
            made |= {"Effect": effect.title(), "Action": short[effect]}
    return made | ({"Resource": short["to"]} if "to" in short else {})


def side(case: dict[str, Any], name: str) -> Rules:
    """The rules of one side of a case."""
    kind: Kind = case.get("kind", "identity")
    limit = case.get(f"{name}_boundary")
    return read_rules([document(case[name])], None if limit is None else [document(limit)], kind)


def never() -> bool:
    """No time limit."""
    return False
