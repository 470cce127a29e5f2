"""Reports: JSON that fits its schema, JUnit XML that CI systems read, text and annotations that people read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bedplate.blueprint.model import Gate
from bedplate.evals import (
    AskFailed,
    AskReply,
    AskRequest,
    Results,
    SuiteReport,
    ToolCallSeen,
    dumps,
    github_annotations,
    judge_all,
    junit,
    render,
    to_json,
)
from evals_support import INFO, dataset, echo, failing, results, suite

SCHEMA = Path(__file__).parents[1] / "docs" / "schema" / "eval-results.v1.json"
ROWS = [
    {"name": "good", "inputs": "alpha", "expected_output": "alpha"},
    {"name": "wrong", "inputs": "beta", "expected_output": "gamma"},
    {"name": "lost", "inputs": "lost", "expected_output": "lost"},
    {"name": "sometimes", "inputs": "odd", "expected_output": "odd"},
]
GATES = (Gate("contains", min=0.9, where="agent.yaml:40"), Gate("latencyP95", max=8.0, where="agent.yaml:41"))


async def _ask(request: AskRequest) -> AskReply:
    if request.input == "lost":
        raise AskFailed("agent", "it stopped")
    repeat = int(request.session.split("-")[3])
    said = "even" if request.input == "odd" and repeat % 2 == 0 else request.input
    return AskReply(said, "f" * 32, 0.25, 10, 5, (ToolCallSeen("docs.search", {"query": "private"}),), ("a.md#x",))


def _report(done: Results, *gates: Gate) -> SuiteReport:
    return SuiteReport(done, judge_all(suite(*gates), done), INFO)


@pytest.fixture
async def report() -> SuiteReport:
    """Four cases three times: one right, one wrong, one unanswered, one right two times of three."""
    return _report(await results(dataset(ROWS), _ask, repeats=3), *GATES)


def _problems(document: Any) -> list[str]:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema).iter_errors(document)]


async def test_json_fits_the_published_schema(report: SuiteReport) -> None:
    """Failing, passing and invalid runs all give JSON that fits docs/schema/eval-results.v1.json."""
    passing = _report(await results(dataset(ROWS[:1])), Gate("contains", min=1.0))
    invalid = _report(await results(dataset(ROWS), failing(lambda _: True, "infrastructure")), *GATES)
    for one, outcome in ((report, "FAIL"), (passing, "PASS"), (invalid, "INVALID")):
        document = json.loads(dumps(one))
        assert _problems(document) == []
        assert document["outcome"] == outcome


async def test_the_schema_refuses_what_is_no_record(report: SuiteReport) -> None:
    """The schema is strict: a missing digest, a score of 2 and an unknown key are each refused."""
    for spoil in (
        lambda d: d.pop("buildDigest"),
        lambda d: d.update(extra=1),
        lambda d: d["cases"][0]["samples"][0]["grades"][0].update(score=2),
    ):
        document = to_json(report)
        spoil(document)
        assert _problems(document)


async def test_json_holds_every_sample(report: SuiteReport) -> None:
    """The record has every sample with scores, error, latency, tokens and trace, and no tool arguments."""
    document = to_json(report)
    samples = {case["name"]: case["samples"] for case in document["cases"]}
    assert [len(each) for each in samples.values()] == [3, 3, 3, 3]
    assert samples["lost"][0]["error"] == {"kind": "agent", "message": "it stopped"}
    assert samples["good"][0]["traceIds"] == ["f" * 32]
    assert samples["good"][0]["reply"]["latency"] == 0.25
    assert document["metrics"]["contains"] == {"value": pytest.approx(5 / 12, abs=1e-6), "n": 12}
    assert "private" not in dumps(report)


async def test_a_long_answer_is_cut_and_says_so() -> None:
    """An answer of a million characters is kept in part, and the record says that there was more."""

    async def ask(_: AskRequest) -> AskReply:
        return AskReply("x" * 1_000_000)

    document = to_json(_report(await results(dataset(ROWS[:1]), ask)))
    reply = document["cases"][0]["samples"][0]["reply"]
    assert reply["outputTruncated"]
    assert len(reply["output"]) == 20_000


async def test_junit_counts(report: SuiteReport) -> None:
    """JUnit has a test case a case and a gate, and its counts are those of its elements."""
    root = ElementTree.fromstring(junit([report, report]))
    suites = root.findall("testsuite")
    assert (root.tag, len(suites)) == ("testsuites", 2)
    for each in suites:
        assert each.get("tests") == str(len(each.findall("testcase"))) == "6"
        assert each.get("failures") == str(len(each.findall("testcase/failure"))) == "4"
        assert each.get("errors") == str(len(each.findall("testcase/error"))) == "1"
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("12", "8", "2")


async def test_junit_names_places_and_folds_repeats(report: SuiteReport) -> None:
    """Each JUnit test case has suite, name, file and line, and says how many repeats passed."""
    root = ElementTree.fromstring(junit([report]))
    cases = {case.get("name"): case for case in root.iter("testcase")}
    some = cases["sometimes"]
    assert (some.get("classname"), some.get("file")) == ("faq", "evals/faq.yaml")
    assert int(some.get("line") or 0) == report.results.dataset.cases[3].where.line
    assert "2/3" in (some.findtext("system-out") or "")
    gate = cases["gate contains min 0.9"]
    assert (gate.get("file"), gate.get("line")) == ("agent.yaml", "40")
    assert gate.find("failure") is not None
    assert cases["gate latencyP95 max 8"].find("failure") is not None


@given(st.text())
async def test_junit_holds_any_answer(output: str) -> None:
    """Whatever the agent answers, control characters included, the XML is well-formed."""

    async def ask(_: AskRequest) -> AskReply:
        return AskReply(output)

    ElementTree.fromstring(junit([_report(await results(dataset(ROWS), ask), *GATES)]).encode())


async def test_text_shows_gates_then_failing_cases(report: SuiteReport) -> None:
    """The text has the verdicts, then each failing case with place, expected and got; passing ones are counted."""
    text = render(report)
    lines = text.splitlines()
    assert lines[0].startswith("FAIL  faq · 4 cases × 3")
    assert lines[1].split()[:4] == ["FAIL", "contains", "0.4167", "min"]
    line = report.results.dataset.cases[1].where.line
    at = lines.index(f"  evals/faq.yaml:{line}  wrong  0/3")
    assert [part.strip() for part in lines[at + 1 : at + 3]] == ["expected  gamma", "got       beta"]
    assert "no answer (agent): it stopped" in text
    assert "good" not in text
    assert lines[-1] == "1 case passed"


async def test_text_is_bounded() -> None:
    """Of many failing cases the first twenty are shown and the rest counted."""
    rows = [{"inputs": f"w{i}", "expected_output": "other"} for i in range(50)]
    text = render(_report(await results(dataset(rows), echo)))
    assert text.count("evals/faq.yaml:") == 20
    assert "30 more" in text


async def test_annotations_point_at_lines(report: SuiteReport) -> None:
    """GitHub annotations name file and line of failed gates and cases, gates first, a line each."""
    lines = github_annotations(report)
    assert lines[0].startswith("::error file=agent.yaml,line=40,title=gate contains of faq::FAIL")
    assert [line.split("::")[1].split(",title")[0] for line in lines[2:]] == [
        f"error file=evals/faq.yaml,line={case.where.line}" for case in report.results.dataset.cases[1:]
    ]
    assert all("\n" not in line for line in lines)
    assert "2/3" in lines[-1]


async def test_annotations_warn_where_the_gates_pass() -> None:
    """A failing case is a warning where every gate passes."""
    report = _report(await results(dataset(ROWS[:2])), Gate("contains", min=0.5))
    (line,) = github_annotations(report)
    assert line.startswith("::warning file=evals/faq.yaml,line=")


async def test_annotations_keep_to_one_line() -> None:
    """Line breaks, colons and commas of names and messages cannot end an annotation or begin another."""
    rows = [{"name": "a:b,c\n::error::x", "inputs": "q\nr", "expected_output": "s\n::warning::t"}]
    (line,) = github_annotations(_report(await results(dataset(rows))))
    assert "\n" not in line
    assert line.startswith("::warning file=evals/faq.yaml,line=2,title=a%3Ab%2Cc%0A%3A%3Aerror%3A%3Ax (0/1)::Contains")
