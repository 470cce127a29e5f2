"""The reach of a blueprint: what a change of the manifest or of its files means for access."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.access.findings import STATEMENTS, Finding, compare
from bedplate.access.reach import Reach
from bedplate.blueprint.model import Blueprint, from_json, to_json
from bedplate.blueprint.reach import documents, reach
from bedplate.blueprint.resolve import resolve
from bedplate.manifest import load
from manifest_support import CASES, CEILING, example_project, write_files

STAGE = "staging"
TABLE = yaml.safe_load((CASES.parent / "access" / "reach.yaml").read_text("utf-8"))


def edited(folder: Path, edit: dict[str, str], files: dict[str, str]) -> Blueprint:
    """The example in `folder` with some of its text replaced and some files."""
    manifest = example_project(folder)
    text = manifest.read_text()
    for old, new in edit.items():
        assert old in text
        text = text.replace(old, new)
    manifest.write_text(text)
    write_files(folder, files)
    return resolve(load(manifest), STAGE)


def said(f: Finding) -> str:
    """A finding as the cases write it."""
    return " ".join(f"{f.effect}: {f.subject} {f.verb} {f.object} | {f.witness} | {f.reason} | {f.where}".split())


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Blueprint:
    """The example as it is."""
    return edited(tmp_path_factory.mktemp("old"), {}, {})


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["name"])
def test_a_change_gives_the_findings_of_the_case(case: dict[str, Any], old: Blueprint, tmp_path: Path) -> None:
    """Each change of the example gives exactly its findings, with lines, whatever folders the two stand in."""
    new = edited(tmp_path / "elsewhere" / "new", case.get("edit", {}), case.get("files", {}))
    old = edited(tmp_path / "was", case["was"], {}) if "was" in case else old
    found = compare(reach(old), reach(new), documents(new))
    assert [said(f) for f in found] == [" ".join(line.split()) for line in case["find"]]


def test_a_first_release_names_everything_behind_the_agent(tmp_path: Path) -> None:
    """Of the example each tool, secret, data source, the model and the memory appear, and everything is wider."""
    new = edited(tmp_path, {}, {})
    found = compare(None, reach(new), documents(new))
    assert {f.effect for f in found} == {"wider"}
    assert {f.subject for f in found} == {
        *(tool.name for tool in new.tools),
        "memory",
        "model",
        "state",
        "sandbox",
        "accept",
    }
    secrets = {f.object for f in found if f.verb == "uses secret"}
    models = {"anthropic-api-key for anthropic", "openai-api-key for openai"}
    tools = {"tickets-token as TICKETS_TOKEN", "calendar-token as credentials", "orders-key as credentials"}
    assert secrets == models | tools
    assert {f.object for f in found if f.verb == "reads"} == {
        "docs: docs (*.md, *.html; without drafts/*)",
        "tariffs: tariffs",
    }


def test_what_stands_behind_a_tool_is_stated(old: Blueprint) -> None:
    """No screen says of a tool that it may uses a table: the verbs of things and links are statements, all of them."""
    found = reach(old)
    verbs = {thing.verb for thing in found.things if thing.verb} | {link.verb for link in found.links}
    assert {"asks", "uses", "runs"} <= verbs <= set(STATEMENTS)


def test_a_looser_ceiling_is_wider(old: Blueprint, tmp_path: Path) -> None:
    """What a ceiling lets through and did not is a finding with a request, one that is stricter the other way round."""
    strict = CEILING.replace('- {tool: "*", call: "*"}', "- {tool: refunds, call: refund, where: {amount: {max: 500}}}")
    strict = strict.replace('"*.drop_*"', '"*.dro*"')
    tight = reach(edited(tmp_path, {}, {"ceiling.yaml": strict}))
    found = [f for f in compare(tight, reach(old)) if f.subject == "ceiling"]
    assert {(f.effect, f.verb, f.where) for f in found} == {("wider", "lets through", "agent.yaml:239")}
    assert {"tickets call *", "refunds call *", "call *.dro*"} <= {f.object for f in found}
    assert all(" call *" in f.object or f.object == "call *.dro*" for f in found)
    assert any("500.01" in f.witness for f in found)
    back = [f for f in compare(reach(old), tight) if f.subject == "ceiling"]
    assert {(f.effect, f.object) for f in back} == {("narrower", f.object) for f in found}


def test_a_ceiling_that_says_the_same_is_the_same(old: Blueprint, tmp_path: Path) -> None:
    """A ceiling that is written in another order, or applies to a new tool, gives no finding of its own."""
    lines = CEILING.splitlines()
    turned = "\n".join([*lines[:3], *reversed(lines[3:-2]), *lines[-2:]])
    assert compare(reach(old), reach(edited(tmp_path / "a", {}, {"ceiling.yaml": turned}))) == ()
    tool = "  - {name: days, type: mcp, url: 'https://a.example/m', scopes: [{call: a}]}\n"
    more = {"  - name: calendar\n": tool + "  - name: calendar\n"}
    found = compare(reach(old), reach(edited(tmp_path / "b", more, {})))
    assert {f.subject for f in found} == {"days"}


def test_a_stage_that_goes_away_only_narrows(old: Blueprint) -> None:
    """Where nothing is granted any more it widens nothing that the ceiling is gone too."""
    assert {f.effect for f in compare(reach(old), Reach())} == {"narrower"}


def test_a_source_of_one_file_has_that_file_only(tmp_path: Path) -> None:
    """Scopes over a data source that is one file can give that file and nothing else, whatever they say."""
    one = reach(edited(tmp_path, {"    path: tariffs": "    path: tariffs/2026.md"}, {}))
    source = next(source for source in one.sources if source.name == "tariffs")
    assert (source.path, source.include, source.prefix) == ("tariffs/2026.md", ("2026.md",), "tariffs/")


def test_a_reach_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    """Nothing that a reviewer reads or an approval is bound to depends on where the project stands."""
    new = edited(tmp_path, {}, {})
    assert str(tmp_path) not in repr(compare(None, reach(new), documents(new)))


def test_what_is_deployed_has_the_reach_of_its_manifest(tmp_path: Path) -> None:
    """A blueprint that came through JSON without the documents' names, as the gateway has it, gives no finding."""
    new = edited(tmp_path, {}, {})
    stored = from_json(json.loads(json.dumps(to_json(new))))
    stored = replace(stored, lines={}, instructions="", data=tuple(replace(s, files=()) for s in stored.data))
    assert compare(reach(stored), reach(new)) == ()


def test_a_state_of_an_older_version_can_be_compared(tmp_path: Path) -> None:
    """Without the fields that came later the folder stands for the path, and the content of a document is unproved."""
    new = edited(tmp_path, {}, {})
    document = to_json(new)
    for source in document["data"]:
        del source["path"], source["include"], source["exclude"]
    for tool in document["tools"]:
        tool.pop("files", None)
    found = compare(reach(from_json(document)), reach(new))
    assert [(f.effect, f.subject, f.verb) for f in found] == [
        ("unproved", "orders", "connects to"),
        ("narrower", "docs", "reads"),
        ("narrower", "tickets", "reads"),
    ]
    assert "content not recorded" in found[0].reason
