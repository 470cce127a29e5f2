"""Differences are said in the manifest's words."""

from __future__ import annotations

import pytest

from bedplate.release.wording import differences

A, B = {"name": "a", "use": "x"}, {"name": "b", "use": "y"}
CASES = [
    ("a field", {"limits": {"tool_calls": 20}}, {"limits": {"tool_calls": 5}}, [("limits.toolCalls", "20", "5")]),
    ("a duration", {"retention": 2592000}, {"retention": 864000}, [("retention", "30d", "10d")]),
    ("a size", {"sandbox": {"memory": 2**29}}, {"sandbox": {"memory": 2**28}}, [("sandbox.memory", "512Mi", "256Mi")]),
    ("order of tools", {"tools": [A, B]}, {"tools": [B, A]}, []),
    ("a new tool", {"tools": [B]}, {"tools": [A, B]}, [("tools.a", "(none)", "added")]),
    ("a removed tool", {"tools": [B]}, {"tools": []}, [("tools.b", "there", "removed")]),
    (
        "a gate",
        {"gates": [{"metric": "contains", "min": 0.8}]},
        {"gates": [{"metric": "contains", "min": 0.1}]},
        [("gates.contains.min", "0.8", "0.1")],
    ),
    ("a whole number as float", {"timeout": 60.0}, {"timeout": 90.0}, [("timeout", "1m", "90s")]),
    ("nothing", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, []),
]


@pytest.mark.parametrize(("_what", "old", "new", "expected"), CASES, ids=[c[0] for c in CASES])
def test_differences(
    _what: str, old: dict[str, object], new: dict[str, object], expected: list[tuple[str, str, str]]
) -> None:
    """Each kind of difference is told by its path and by values as the manifest writes them."""
    assert list(differences(old, new)) == expected


def test_long_texts_show_where_they_differ() -> None:
    """Of two long texts the part that differs is shown, not their common beginning."""
    same = "You answer questions from the documentation and from nothing else. "
    ((_, old, new),) = differences({"text": same + "Be brief."}, {"text": same + "Be kind."})
    assert "brief" in old
    assert "kind" in new
