"""Eval results as text for a terminal, and as annotations for a GitHub pull request.

A report goes in, text comes out; nothing is printed here. Gates stand first, then the cases that failed with their
place; those that passed are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from bedplate.evals.junit import failing_reasons
from bedplate.evals.model import GateVerdict, Outcome
from bedplate.evals.report import CaseSummary, SuiteReport
from bedplate.evals.text import excerpt


def render(report: SuiteReport, *, limit: int | None = 20, width: int = 100) -> str:
    """The report of one suite, at most `limit` failing cases of it (None: all), lines cut near `width`."""
    summaries = report.cases()
    failing = [summary for summary in summaries if summary.failing]
    shown = failing if limit is None else failing[:limit]
    lines = [_head(report), *_gates(report.verdicts), ""]
    if failing:
        lines += [f"{_cases(len(failing))} of {len(summaries)} failed"]
        lines += [line for summary in shown for line in _failing(summary, width)]
        if len(shown) < len(failing):
            lines += [f"  … and {len(failing) - len(shown)} more; --json lists them all"]
        lines += [""]
    lines += [f"{_cases(len(summaries) - len(failing))} passed"]
    return "\n".join(lines)


def _cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"


def _head(report: SuiteReport) -> str:
    results, info = report.results, report.info
    times = f" × {results.repeats}" if results.repeats > 1 else ""
    ran = f"{_cases(len(results.dataset.cases))}{times} · {results.seconds:.1f} s"
    return f"{report.outcome.value}  {results.suite} · {ran} · stage {info.stage} · {info.model}"


def _gates(verdicts: Sequence[GateVerdict]) -> list[str]:
    if not verdicts:
        return ["  no gates"]
    rows = [(v.outcome.value, v.gate.metric, _value(v), v.threshold, f"n={v.n}", v.why) for v in verdicts]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    padded = [[cell.ljust(width) for cell, width in zip(row[:5], widths, strict=True)] + [row[5]] for row in rows]
    return ["  " + "  ".join(cells).rstrip() for cells in padded]


def _value(verdict: GateVerdict) -> str:
    return "–" if verdict.value is None else f"{verdict.value:.4g}"


def _failing(summary: CaseSummary, width: int) -> list[str]:
    case, sample = summary.case, summary.failing
    if sample is None:
        return []
    lines = [f"  {case.where.file}:{case.where.line}  {excerpt(case.name, 60)}  {summary.share}"]
    if sample.error:
        return [*lines, f"      no answer ({sample.error.kind}): {excerpt(sample.error.message, width)}"]
    if case.expected_text:
        lines.append(f"      expected  {excerpt(case.expected_text, width)}")
    lines.append(f"      got       {excerpt(sample.reply.output, width) if sample.reply else ''}".rstrip())
    lines += [f"      {excerpt(reason, width + 10)}" for reason in failing_reasons(sample)]
    return lines


def github_annotations(report: SuiteReport, *, limit: int = 10) -> tuple[str, ...]:
    """GitHub workflow commands: an error for each gate that did not pass, then the failing cases, at most `limit`.

    A failing case is an error where a gate did not pass and a warning where all did.
    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    bad = [verdict for verdict in report.verdicts if verdict.outcome is not Outcome.PASS]
    lines = [_gate_annotation(report.results.suite, verdict) for verdict in bad]
    level = "warning" if report.outcome is Outcome.PASS else "error"
    for summary in [summary for summary in report.cases() if summary.failing]:
        lines.append(_case_annotation(level, summary))
    return tuple(lines[:limit])


def _gate_annotation(suite: str, verdict: GateVerdict) -> str:
    file, _, line = verdict.gate.where.rpartition(":")
    place = {"file": file, "line": line} if file and line.isdigit() else {}
    return _command("error", place, f"gate {verdict.gate.metric} of {suite}", f"{verdict.outcome.value}: {verdict.why}")


def _case_annotation(level: str, summary: CaseSummary) -> str:
    case, sample = summary.case, summary.failing
    reasons = failing_reasons(sample) if sample else []
    message = sample.error.message if sample and sample.error else "\n".join(reasons)
    place = {"file": case.where.file, "line": str(case.where.line)}
    return _command(level, place, f"{case.name} ({summary.share})", message)


def _command(level: str, place: dict[str, str], title: str, message: str) -> str:
    properties = ",".join(f"{key}={_property(value)}" for key, value in {**place, "title": title}.items())
    return f"::{level} {properties}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
