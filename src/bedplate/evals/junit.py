"""Eval results as JUnit XML: a test case a case, with its repeats folded, and a test case a gate.

Reports go in, XML text comes out. The shape is the one CI systems read (Jenkins, GitLab, GitHub reporters):
`testsuites/testsuite/testcase` with `failure`, `error`, `system-out`; `file` and `line` as pytest writes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bedplate.evals.model import GateVerdict, Outcome, Sample
from bedplate.evals.report import CaseSummary, SuiteReport
from bedplate.evals.text import excerpt

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped. An agent's answer may hold any of them."""


def junit(reports: Sequence[SuiteReport]) -> str:
    """The document for one or many suites."""
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    root = Element("testsuites", {"name": "bedplate eval"})
    for report in reports:
        started = datetime.fromtimestamp(report.results.started, UTC).isoformat(timespec="seconds")
        suite = SubElement(root, "testsuite", {"name": _clean(report.results.suite), "timestamp": started})
        for summary in report.cases():
            _case(suite, report.results.suite, summary)
        for verdict in report.verdicts:
            _gate(suite, report.results.suite, verdict)
        _count(suite, report.results.seconds)
    _total(root, sum(report.results.seconds for report in reports))
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)


def _testcase(suite: Element, name: str, classname: str, seconds: float, file: str, line: int) -> Element:
    from xml.etree.ElementTree import SubElement

    place = {"file": file, "line": str(line)} if file else {}
    attributes = {"name": name, "classname": classname, "time": f"{seconds:.3f}", **place}
    return SubElement(suite, "testcase", {key: _clean(value) for key, value in attributes.items()})


def _case(suite: Element, classname: str, summary: CaseSummary) -> None:
    from xml.etree.ElementTree import SubElement

    where = summary.case.where
    case = _testcase(suite, summary.case.name, classname, summary.seconds, where.file, where.line)
    if summary.failing:
        sample = summary.failing
        message = sample.error.message if sample.error else "; ".join(failing_reasons(sample))
        kind = "error" if sample.error else "failure"
        attributes = {"message": _clean(excerpt(message, 300)), "type": sample.error.kind if sample.error else "grade"}
        SubElement(case, kind, attributes).text = _clean(_body(summary, sample))
    SubElement(case, "system-out").text = f"{summary.share} repeats passed"


def failing_reasons(sample: Sample) -> list[str]:
    """What each grader that did not give 1 says."""
    return [f"{grade.name}: {grade.reason}" for grade in sample.grades if grade.score < 1]


def _body(summary: CaseSummary, sample: Sample) -> str:
    got = sample.reply.output if sample.reply else "(no answer)"
    asked = "\n".join(f"asked: {turn}" for turn in summary.case.turns)
    return f"{asked}\nexpected: {summary.case.expected_text or '(see evaluators)'}\ngot: {excerpt(got, 1000)}"


def _gate(suite: Element, classname: str, verdict: GateVerdict) -> None:
    from xml.etree.ElementTree import SubElement

    file, _, line = verdict.gate.where.rpartition(":")
    name = f"gate {verdict.gate.metric} {verdict.threshold}"
    case = _testcase(suite, name, f"{classname}.gates", 0.0, file, int(line) if line.isdigit() else 0)
    message = {"message": _clean(verdict.why)}
    if verdict.outcome is Outcome.FAIL:
        SubElement(case, "failure", {**message, "type": "gate"})
    elif verdict.outcome is Outcome.INVALID:
        SubElement(case, "error", {**message, "type": "invalid"})
    value = "not measured" if verdict.value is None else f"{verdict.value:.4g}"
    SubElement(case, "system-out").text = f"{value} over {verdict.n} samples"


def _count(suite: Element, seconds: float) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", "0")
    suite.set("time", f"{seconds:.3f}")


def _total(root: Element, seconds: float) -> None:
    suites = root.findall("testsuite")
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    root.set("time", f"{seconds:.3f}")
