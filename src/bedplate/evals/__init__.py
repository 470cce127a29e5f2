"""Evals: ask the agent the questions of a dataset, grade the answers, judge the gates, report.

Goes in: a dataset file, a suite of the blueprint, and an `ask` function that reaches the agent. Comes out: `Results`,
`GateVerdict`s, and reports as text, JSON, JUnit XML and annotations; `generate` proposes cases from documents. It does
not know how the agent is reached, prints nothing, and imports nothing of runtime, release or cli.
"""

from bedplate.evals.dataset import load_dataset, parse_dataset, unknown_tools
from bedplate.evals.gates import check_gates, exit_of, gate_problems, judge, judge_all
from bedplate.evals.generate import Candidate, check_retrieval, propose, write_candidates
from bedplate.evals.graders import grade, grade_all
from bedplate.evals.junit import junit
from bedplate.evals.model import (
    Ask,
    AskFailed,
    AskReply,
    AskRequest,
    Case,
    Dataset,
    GateVerdict,
    Grade,
    Outcome,
    Results,
    RunInfo,
    Sample,
    SampleError,
    ToolCallSeen,
)
from bedplate.evals.report import SCHEMA, SuiteReport, dumps, to_json
from bedplate.evals.runner import Progress, run
from bedplate.evals.table import github_annotations, render

__all__ = [
    "SCHEMA",
    "Ask",
    "AskFailed",
    "AskReply",
    "AskRequest",
    "Candidate",
    "Case",
    "Dataset",
    "GateVerdict",
    "Grade",
    "Outcome",
    "Progress",
    "Results",
    "RunInfo",
    "Sample",
    "SampleError",
    "SuiteReport",
    "ToolCallSeen",
    "check_gates",
    "check_retrieval",
    "dumps",
    "exit_of",
    "gate_problems",
    "github_annotations",
    "grade",
    "grade_all",
    "judge",
    "judge_all",
    "junit",
    "load_dataset",
    "parse_dataset",
    "propose",
    "render",
    "run",
    "to_json",
    "unknown_tools",
    "write_candidates",
]
