"""Datasets: what is read, and what is said about what cannot be read."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedplate.evals import load_dataset, parse_dataset, unknown_tools
from bedplate.evals.evaluators import Contains, ContainsExpected, Exact, Latency
from bedplate.problems import BedplateError, explain
from evals_support import cases, dataset

YAML = """\
# yaml-language-server: $schema=x.json
name: faq
evaluators: [{Latency: 8s}]
cases:
  - name: gateway
    inputs: What is the gateway?
    expected_output: holds credentials
    metadata: {topic: runtime}
  - inputs: {input: "What is 4.50?"}
    expected_output: 4.50
  - inputs: [My name is Ada., {input: "What is my name?"}]
    expected_output: Ada
    evaluators: [Exact]
"""


PYDANTIC_EVALS = """\
name: null
cases:
- name: null
  inputs: which one?
  metadata: null
  expected_output: s
  evaluators:
  - Contains: z
  - Contains:
      value: Q
      case_sensitive: false
evaluators:
- MaxDuration: 3
report_evaluators: []
"""


@pytest.mark.parametrize("row", cases("broken.yaml"), ids=lambda row: row["name"])
def test_problems(row: dict[str, Any]) -> None:
    """A broken dataset is refused with all its problems at once, each with code, line and column."""
    with pytest.raises(BedplateError) as caught:
        parse_dataset(row["text"], row.get("file", "evals/x.yaml"))
    found = [
        f"{p.code} {p.where.line}:{p.where.column}" if p.where.line else p.code
        for p in caught.value.problems
        if p.where
    ]
    assert found == row["problems"], [p.summary for p in caught.value.problems]
    assert row.get("fix", "") in caught.value.problems[0].fix
    assert all(explain(problem.code) for problem in caught.value.problems)


def test_a_dataset_is_read() -> None:
    """Names, turns, expectations, places and evaluators of a YAML dataset come out as written."""
    data = parse_dataset(YAML, "evals/faq.yaml")
    first, second, third = data.cases
    assert (data.name, [case.name for case in data.cases]) == ("faq", ["gateway", "what-is-4-50", "what-is-my-name"])
    assert first.evaluators == (ContainsExpected(), Latency(8.0))
    assert (first.where.line, second.where.line, third.where.line) == (5, 9, 11)
    assert second.expected_text == "4.50"
    assert third.turns == ("My name is Ada.", "What is my name?")
    assert third.evaluators == (Exact(), Latency(8.0))
    assert first.metadata == {"topic": "runtime"}


def test_the_same_cases_in_three_forms() -> None:
    """The same cases written as YAML, JSON and JSONL are the same dataset, to the digest."""
    document = yaml.safe_load(YAML)
    document["cases"][1]["expected_output"] = "4.50"
    lines = [dict(case, evaluators=case.get("evaluators", []) + document["evaluators"]) for case in document["cases"]]
    as_json = parse_dataset(json.dumps(document, indent=1), "evals/faq.json")
    as_lines = parse_dataset("\n".join(json.dumps(line) for line in lines), "evals/faq.jsonl")
    as_yaml = parse_dataset(YAML.replace("output: 4.50", "output: '4.50'"), "evals/faq.yaml")
    assert as_json.digest == as_lines.digest == as_yaml.digest
    assert [case.where.line for case in as_lines.cases] == [1, 2, 3]


def test_a_file_that_pydantic_evals_wrote() -> None:
    """What pydantic-evals writes for a dataset, with its nulls and empty lists, is read as it was meant."""
    (case,) = parse_dataset(PYDANTIC_EVALS, "evals/x.yaml").cases
    assert case.name == "which-one"
    assert case.metadata == {}
    assert case.evaluators == (Contains("z"), Contains("Q", case_sensitive=False), Latency(3.0))


def test_an_explicit_comparison_replaces_the_default() -> None:
    """`expected_output` is compared by containment only where no evaluator says how to compare."""
    (case,) = dataset(
        [{"inputs": "q", "expected_output": "long reference", "evaluators": [{"Contains": "short"}]}]
    ).cases
    assert case.evaluators == (Contains("short"),)


def test_yaml_words_that_look_like_values_stay_words() -> None:
    """`no`, a date and a time expected in YAML mean the words that are written."""
    data = parse_dataset(
        "cases:\n"
        + "".join(f"  - {{inputs: q{i}, expected_output: {w}}}\n" for i, w in enumerate(["no", "2024-01-31", "12:30"])),
        "x.yaml",
    )
    assert [case.expected_text for case in data.cases] == ["no", "2024-01-31", "12:30"]


def test_proposed_cases_load_where_they_are_allowed() -> None:
    """A file of proposed cases is refused as a gate's dataset and can be read when asked for."""
    text = "cases: [{inputs: q, expected_output: a, metadata: {status: proposed}}]"
    with pytest.raises(BedplateError):
        parse_dataset(text, "x.yaml")
    assert len(parse_dataset(text, "x.yaml", proposed="allow").cases) == 1


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"name": "other"}, True),
        ({"metadata": {"a": 1}}, True),
        ({"inputs": "r"}, False),
        ({"expected_output": "b"}, False),
        ({"evaluators": ["Exact"]}, False),
        ({"evaluators": [{"Contains": "b"}]}, False),
    ],
)
def test_case_digest(change: dict[str, Any], same: bool) -> None:
    """A case's digest changes with what is asked and how it is graded, and with nothing else."""
    base = {"inputs": "q", "expected_output": "a"}
    assert (dataset([base]).cases[0].digest == dataset([{**base, **change}]).cases[0].digest) is same


@given(st.randoms(use_true_random=False))
def test_dataset_digest_ignores_order(shuffler: random.Random) -> None:
    """The order of cases in the file does not change the dataset's digest."""
    rows = [{"name": f"c{i}", "inputs": f"q{i}", "expected_output": "a"} for i in range(6)]
    before = dataset(rows).digest
    shuffler.shuffle(rows)
    assert dataset(rows).digest == before


def test_an_alias_bomb_is_refused() -> None:
    """A small YAML file that unfolds into billions of values is refused and does not fill the memory."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(BedplateError) as caught:
        parse_dataset(bomb, "x.yaml")
    assert caught.value.problems[0].code == "BP502"


@pytest.mark.parametrize("suffix", ["yaml", "json"])
@pytest.mark.parametrize("opening", ["[", "- ", "? ", '{"a": '])
def test_depth_is_bounded(suffix: str, opening: str) -> None:
    """Values that stand a hundred thousand deep inside each other are a problem of the file, not a crash."""
    with pytest.raises(BedplateError) as caught:
        parse_dataset(opening * 100_000, f"x.{suffix}")
    assert caught.value.problems[0].code == "BP502"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, another encoding and a huge file are each named with what to do."""
    (tmp_path / "latin.yaml").write_bytes(b"cases: \xff")
    (tmp_path / "folder.yaml").mkdir()
    with (tmp_path / "huge.yaml").open("wb") as huge:
        huge.truncate(30_000_000)
    for name, code in {"no.yaml": "BP501", "latin.yaml": "BP501", "folder.yaml": "BP501", "huge.yaml": "BP517"}.items():
        with pytest.raises(BedplateError) as caught:
            load_dataset(tmp_path / name, file=f"evals/{name}")
        assert [p.code for p in caught.value.problems] == [code]
        assert caught.value.problems[0].fix


def test_too_many_cases() -> None:
    """A dataset beyond ten thousand cases is refused at its first case too many."""
    with pytest.raises(BedplateError) as caught:
        parse_dataset('{"input": "q", "expected": "a"}\n' * 10_001, "x.jsonl")
    (problem,) = caught.value.problems
    assert (problem.code, problem.where and problem.where.line) == ("BP517", 10_001)


def test_tools_that_do_not_exist() -> None:
    """A forbidden tool that the agent does not have is reported, because it could never be called."""
    data = dataset([{"inputs": "q", "evaluators": [{"ForbiddenTools": ["docs.serch", "docs.*"]}]}])
    (problem,) = unknown_tools(data, ["docs.search", "docs.open"])
    assert problem.code == "BP518"
    assert "docs.search" in problem.fix


@given(st.text(max_size=200), st.sampled_from(["yaml", "json", "jsonl"]))
def test_any_text_is_read_or_refused(text: str, suffix: str) -> None:
    """Whatever a file holds, the loader gives a dataset or a BedplateError."""
    with contextlib.suppress(BedplateError):
        assert parse_dataset(text, f"x.{suffix}").cases


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_json_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    """The reader that keeps places gives the same values as `json.loads`."""
    from bedplate.evals.located import read_json

    for text in (json.dumps(value), json.dumps(value, indent=2)):
        assert read_json(text, "x.json").plain() == json.loads(text)
