"""Loads a dataset: pydantic-evals YAML or JSON, or JSONL with a case a line.

The file's path goes in, a `Dataset` comes out. BedplateError names every problem of the file at once, each with its
line and column. It opens no other file.

YAML and JSON: https://ai.pydantic.dev/evals/ (`name`, `cases` with `name`, `inputs`, `expected_output`, `metadata`,
`evaluators`, and `evaluators` for all cases). JSONL also takes `input` and `expected`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from bedplate.access import matches
from bedplate.evals.cases import name_in, read_cases
from bedplate.evals.digests import dataset_digest
from bedplate.evals.evaluators import Evaluator, ForbiddenTools, Trajectory
from bedplate.evals.findings import Findings, did_you_mean
from bedplate.evals.located import Spot, read_json, read_yaml
from bedplate.evals.model import Case, Dataset
from bedplate.evals.specs import read_evaluators
from bedplate.problems import BedplateError, Problem, Where

MAX_BYTES = 20_000_000
MAX_CASES = 10_000
ALIASES = {"input": "inputs", "expected": "expected_output"}
"""Other names of keys, in JSONL only."""

Proposed = Literal["refuse", "allow"]


def load_dataset(path: Path, *, file: str | None = None, proposed: Proposed = "refuse") -> Dataset:
    """The dataset at `path`, called `file` in problems and reports. `proposed`: whether unreviewed cases are taken."""
    shown = file or str(path)
    return parse_dataset(_read(path, shown), shown, proposed=proposed)


def parse_dataset(text: str, file: str, *, proposed: Proposed = "refuse") -> Dataset:
    """The dataset written in `text`; the suffix of `file` says how: .yaml, .yml, .json or .jsonl."""
    findings = Findings(file)
    match Path(file).suffix.lower():
        case ".jsonl":
            name, cases = "", _lines(text, file)
            common: tuple[Evaluator, ...] = ()
        case ".json":
            name, cases, common = _document(read_json(text, file), findings)
        case ".yaml" | ".yml":
            name, cases, common = _document(read_yaml(text, file), findings)
        case suffix:
            raise BedplateError(
                Problem(
                    "BP501", f"{file} has the ending `{suffix}`", Where(file), fix="Use .yaml, .yml, .json or .jsonl."
                )
            )
    if len(cases) > MAX_CASES:
        findings.add(
            "BP517", f"{file} has {len(cases)} cases; at most {MAX_CASES} fit", cases[MAX_CASES], fix="Split the file."
        )
        findings.raise_if_any()
    read = read_cases(cases, common, findings, aliases=ALIASES if file.lower().endswith(".jsonl") else {})
    if not cases and not findings.problems:
        findings.add(
            "BP507", f"{file} has no cases", Spot(None, 1, 1), fix="Write one: - {inputs: …, expected_output: …}"
        )
    if proposed == "refuse":
        _refuse_proposed(read, findings)
    findings.raise_if_any()
    return Dataset(name or Path(file).stem, file, read, dataset_digest(read))


def _read(path: Path, shown: str) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            fix = f"A dataset has at most {MAX_BYTES // 1_000_000} MB; split it."
            raise BedplateError(Problem("BP517", f"{shown} has {size / 1e6:.0f} MB", Where(shown), fix=fix))
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        fix = "Save the file as UTF-8."
        raise BedplateError(Problem("BP501", f"{shown} is not UTF-8 text", Where(shown), str(error), fix)) from error
    except OSError as error:
        fix = "Check `dataset` in agent.yaml; it is relative to the project."
        why = error.strerror or str(error)
        raise BedplateError(
            Problem("BP501", f"{shown} cannot be read: {why.lower()}", Where(shown), fix=fix)
        ) from error


def _lines(text: str, file: str) -> list[Spot]:
    """The cases of JSONL. Every malformed line is reported, not only the first."""
    cases: list[Spot] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                cases.append(read_json(line, file, number))
            except BedplateError as error:
                problems += error.problems
    if problems:
        raise BedplateError(*problems)
    return cases


def _document(root: Spot, findings: Findings) -> tuple[str, list[Spot], tuple[Evaluator, ...]]:
    if not isinstance(root.value, dict):
        found = root.value is not None
        fix = "cases:\n  - {inputs: …, expected_output: …}"
        findings.add("BP503" if found else "BP507", f"{findings.file} needs a mapping with `cases`", root, fix=fix)
        return "", [], ()
    keys: dict[str, Spot] = root.value
    # pydantic-evals writes `report_evaluators: []` into every file; only an empty one asks for nothing.
    known = ("$schema", "name", "cases", "evaluators", *(["report_evaluators"] if _empty(keys) else []))
    for key in [key for key in keys if key not in known]:
        findings.add("BP503", f"a dataset has no key `{key}`", keys[key], at_key=True,
                     fix=did_you_mean(key, ("name", "cases", "evaluators")))  # fmt: skip
    cases = keys.get("cases", Spot([], root.line, root.column))
    if not isinstance(cases.value, list):
        findings.add("BP503", "`cases` must be a list", cases)
    common = read_evaluators(keys["evaluators"], findings) if "evaluators" in keys else ()
    name = name_in(keys)
    return name, cases.value if isinstance(cases.value, list) else [], common


def _empty(keys: dict[str, Spot]) -> bool:
    return "report_evaluators" in keys and keys["report_evaluators"].value in ([], None)


def _refuse_proposed(cases: tuple[Case, ...], findings: Findings) -> None:
    proposed = [case for case in cases if str(case.metadata.get("status", "")).casefold() == "proposed"]
    if proposed:
        where = proposed[0].where
        findings.add(
            "BP509",
            f"{len(proposed)} of {len(cases)} cases in {findings.file} are proposed and not reviewed",
            Spot(None, where.line, where.column),
            fix="Read each, mend or delete it, and delete its line `status: proposed`.",
        )


def unknown_tools(dataset: Dataset, operations: Collection[str]) -> tuple[Problem, ...]:
    """A problem (BP518) for each tool that an evaluator names and that is none of `operations` (`tool.operation`)."""
    problems: list[Problem] = []
    for case in dataset.cases:
        named = [glob for e in case.evaluators if isinstance(e, Trajectory | ForbiddenTools) for glob in e.tools]
        for glob in [glob for glob in named if not any(matches(glob, name) for name in operations)]:
            fix = did_you_mean(glob, operations)
            problems.append(Problem("BP518", f"case `{case.name}` names the tool `{glob}`", case.where, fix=fix))
    return tuple(problems)
