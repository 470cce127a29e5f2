"""All problems of a manifest in one run: none hides another, none follows from another."""

from __future__ import annotations

import copy
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedplate.blueprint.resolve import drafts, resolve
from bedplate.manifest import examine, load
from bedplate.problems import BedplateError, Problem
from bedplate.release.check import open_checked, open_deployable, validate
from bedplate.release.target import open_target
from manifest_support import CASES, EXAMPLE, Path_, example_project, written_fields

MUTATIONS = [
    (section, old, new, codes) for section, old, new, codes in yaml.safe_load((CASES / "mutations.yaml").read_text())
]
Found = set[tuple[str, int, str]]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example_project(tmp_path_factory.mktemp("example"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    return tmp_path


def found(manifest: Path, text: str) -> Found:
    """Code, line and summary of every problem of form and meaning."""
    manifest.write_text(text)
    return {(p.code, p.where.line if p.where else 0, p.summary) for d in drafts(examine(manifest)) for p in d.problems}


def refused(check: Any, *arguments: Any) -> tuple[Problem, ...]:
    with pytest.raises(BedplateError) as caught:
        check(*arguments)
    return caught.value.problems


def written(project: Path, text: str) -> Path:
    (project / "agent.yaml").write_text(text)
    return project / "agent.yaml"


def mutated(text: str, *mutations: tuple[str, str, str, list[str]]) -> str:
    for _, old, new, _ in mutations:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@cache
def alone(manifest: Path, index: int) -> Found:
    return found(manifest, mutated(EXAMPLE.read_text(), MUTATIONS[index]))


@pytest.mark.parametrize("index", range(len(MUTATIONS)), ids=lambda i: f"{MUTATIONS[i][0]}-{MUTATIONS[i][2].strip()}")
def test_two_mistakes_are_reported_as_each_alone(example: Path, index: int) -> None:
    """A mistake gives its own codes, and with one in another section just what both give alone: no less, no more."""
    first = MUTATIONS[index]
    assert sorted(code for code, _, _ in alone(example, index)) == first[3]
    # a third of all pairs, so that it takes seconds
    for other, second in list(enumerate(MUTATIONS[:index]))[index % 3 :: 3]:
        if second[0] != first[0]:
            both = found(example, mutated(EXAMPLE.read_text(), first, second))
            assert both == alone(example, index) | alone(example, other), (first, second)


MIXED = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: mixed}
intent: script
model: {id: "anthropic:claude-sonnet-4-5", setings: {seed: 1}}
instructions: {file: prompts/sytem.md}
data:
  - {name: docs, type: files, path: docs}
tools:
  - {name: docs, type: search, use: docs, scopes: [{read: "*"}]}
  - {name: t, type: mcp, command: [x], env: {A: {secret: some-token}}, scopes: [{call: "*"}]}
evals:
  - {name: faq, dataset: evals/faq.yaml, gates: [{metric: regex, min: 0.5}]}
  - {name: bad, dataset: evals/bad.yaml}
"""


def test_model_datasets_and_gates_are_checked_beside_typos(project: Path) -> None:
    """What only the model, a dataset or a gate shows is reported with a typo, by file and line."""
    (project / "evals" / "bad.yaml").write_text("cases:\n  - {inputs: x}\n  - {nme: x}\n")
    problems = refused(validate, written(project, MIXED))
    places = [(p.code, p.where.file, p.where.line) for p in problems if p.where]
    assert places[:4] == [
        ("BP472", "agent.yaml", 5),
        ("BP012", "agent.yaml", 5),
        ("BP104", "agent.yaml", 6),
        ("BP511", "agent.yaml", 13),
    ]
    assert {file for _, file, _ in places[4:]} == {"evals/bad.yaml"}
    assert [(file, line) for _, file, line in places] == sorted((file, line) for _, file, line in places)


def test_every_command_is_refused_with_the_same(project: Path) -> None:
    """What stops `validate` stops whatever opens a stage, with the same problems; `up` also names missing secrets."""
    manifest = written(project, MIXED.replace('"anthropic:claude-sonnet-4-5"', "bedplate:extractive"))
    (project / "evals" / "bad.yaml").write_text("cases: []\n")
    said = refused(validate, manifest)
    assert refused(open_checked, manifest, None) == said
    assert set(refused(open_deployable, manifest, None, {})) - set(said) == {
        p for p in refused(open_deployable, manifest, None, {}) if p.code == "BP751"
    }
    assert "BP751" in {p.code for p in refused(open_deployable, manifest, None, {})}
    for check in (lambda: open_target(manifest, None), lambda: load(manifest), lambda: resolve(examine(manifest))):
        assert "BP012" in {p.code for p in refused(check)}


@pytest.mark.parametrize(
    ("tool", "codes"),
    [
        ("{name: t, type: mpc, command: [x], scopes: [{call: '*'}]}", ["BP013"]),
        ("{name: t, type: mcp, comand: [x], scopes: [{call: '*'}]}", ["BP012"]),
        ("{name: t, type: http, openapi: {file: nope.yaml}, scopes: [{get: 'https://a.example/*'}]}", ["BP104"]),
    ],
)
def test_a_dataset_may_name_a_tool_that_is_at_fault(project: Path, tool: str, codes: list[str]) -> None:
    """A tool that is left out for its own problem is not unknown to the datasets that name it; without it, it is."""
    case = "cases:\n  - {inputs: x, evaluators: [{ForbiddenTools: {tools: [t.run]}}]}\n"
    (project / "evals" / "tools.yaml").write_text(case)
    text = MIXED.replace('{id: "anthropic:claude-sonnet-4-5", setings: {seed: 1}}', "bedplate:extractive")
    text = text.replace("prompts/sytem.md", "prompts/system.md").split("  - {name: t,")[0]
    evals = "evals: [{name: tools, dataset: evals/tools.yaml}]\n"
    assert [p.code for p in refused(validate, written(project, f"{text}  - {tool}\n{evals}"))] == codes
    assert [p.code for p in refused(validate, written(project, text + evals))] == ["BP518"]


def test_a_stage_that_does_not_exist_is_told_beside_typos(project: Path) -> None:
    """An unknown --stage and the problems of the file come together; a stage that is at fault is not unknown."""
    manifest = written(project, MIXED.split("evals:")[0] + "stages: {one: {target: local}, two: 5}\n")
    codes = [p.code for p in refused(open_checked, manifest, "on")]
    assert sorted(codes) == ["BP010", "BP012", "BP115"]
    assert "BP115" not in {p.code for p in refused(open_checked, manifest, "two")}


@pytest.mark.parametrize("link", ["tools/elsewhere.py", "bedplate.lock"])
def test_a_link_out_of_the_project_is_told_beside_typos(project: Path, tmp_path_factory: Any, link: str) -> None:
    """A link in the project's code or as its lock that leads elsewhere is a problem like others."""
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.write_text("")
    (project / link).unlink(missing_ok=True)
    (project / link).symlink_to(outside)
    text = MIXED.split("evals:")[0].replace('id: "anthropic:claude-sonnet-4-5"', "id: bedplate:extractive")
    codes = [p.code for p in refused(validate, written(project, text))]
    assert sorted(codes) == ["BP012", "BP104", "BP105"]


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["docs", "local", "staging"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_DOCUMENT = yaml.safe_load(EXAMPLE.read_text())
_PATHS = sorted({path for _, path, _ in written_fields(_DOCUMENT)}, key=str)


def replaced(document: Any, path: Path_, value: Any) -> None:
    """Replace what is at a path, if that path is still there."""
    for part in path[:-1]:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(document, dict):
        document[path[-1]] = value


@given(st.lists(st.tuples(st.sampled_from(_PATHS), junk), min_size=1, max_size=4))
def test_junk_anywhere_is_told_in_order(example: Path, changes: list[tuple[Path_, Any]]) -> None:
    """Whatever stands in place of parts of a manifest, each problem has a place and speaks of nothing made up."""
    document = copy.deepcopy(_DOCUMENT)
    for path, value in changes:
        replaced(document, path, value)
    example.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    loaded = examine(example)
    problems = [problem for draft in drafts(loaded) for problem in draft.problems]
    assert all(problem.where and problem.fix and problem.code.startswith(("BP0", "BP1", "BP8")) for problem in problems)
    assert "unnamed" not in str(problems)
    assert set(loaded.problems) <= set(problems)
