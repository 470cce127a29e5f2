"""Resolving: every field has a place, grants and lines, files, overlays that narrow, digests."""

from __future__ import annotations

import copy
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.access import Request, decide
from bedplate.blueprint.model import Blueprint, Digests, McpTool, PythonTool, from_json, secrets_of, to_json
from bedplate.blueprint.reading import readable_documents
from bedplate.blueprint.resolve import resolve, stages
from bedplate.manifest import load
from bedplate.problems import BedplateError
from manifest_support import (
    CASES,
    EXAMPLE_FILES,
    Path_,
    blueprint_of,
    example_project,
    schema_fields,
    search_tool,
    searching,
    small,
    write_files,
    written_fields,
)

ONE_MEANING = {
    # One value only today, or two that mean the same on the local target; a change is refused or changes nothing.
    *("Manifest.apiVersion", "Manifest.kind", "FilesData.type", "Auth.type", "Stage.target", "Accept.risk"),
    *("PostgresData.type", "S3Data.type", "DynamodbData.type", "SqlTool.type"),
    "Runtime.type",
    # The table of the source, which is named there.
    *("DataScope.get", "DataScope.query", "DataScope.put", "DataScope.update"),
    *("SearchTool.type", "PythonTool.type", "McpTool.type", "HttpTool.type"),
    *("Sessions.store", "Sessions.per", "LongTerm.store", "LongTerm.per", "Tracing.sink"),
}
URL = "https://orders.example.com/v1/orders/other"
NO_PATHS = "openapi: 3.1.0\ninfo: {title: Orders, version: '1'}\npaths: {}\n"
OTHER: dict[str, Any] = {
    "Metadata.name": "other",
    "Runtime.requirements": "other-requirements.txt",
    "Manifest.intent": "script",
    "Manifest.model": "bedplate:extractive",
    "Model.id": "other:model",
    "Model.fallback": [],
    "Model.baseUrl": "https://other.example.com/v1",
    "Settings.temperature": 1,
    "Settings.topP": 0.5,
    "FileName.file": ["prompts/other.md", "openapi/other.yaml"],
    "FilesData.name": "renamed",
    "FilesData.path": "other",
    "FilesData.include": ["*.md"],
    "FilesData.exclude": ["guide/*"],
    "SearchTool.use": "tariffs",
    "SqlTool.use": "copy",
    "DataUse.use": "docs",
    "ReadScope.read": "other*",
    "CallScope.call": "other*",
    **{f"EgressScope.{verb}": URL for verb in ("get", "post", "put", "patch", "delete", "head", "options")},
    **{f"HttpScope.{verb}": URL for verb in ("get", "head")},
    "HttpScope.options": "https://orders.example.com/v1/orders",
    "HttpScope.post": "https://orders.example.com/v1/orders/7/notes",
    "HttpScope.put": "https://orders.example.com/v1/orders/7/address",
    "HttpScope.patch": "https://orders.example.com/v1/orders/7/contact",
    "HttpScope.delete": "https://orders.example.com/v1/orders/7/notes/7",
    **{f"{scope}.ask": True for scope in ("CallScope", "HttpScope", "SqlScope")},
    **{f"{scope}.only": False for scope in ("CallScope", "HttpScope")},
    **{f"SqlScope.{verb}": "crm.other" for verb in ("read", "insert", "update", "delete")},
    "ArgumentTest.equals": "USD",
    "ArgumentTest.in": ["USD"],
    "ArgumentTest.glob": "other *",
    "ArgumentTest.subset": ["other"],
    "ArgumentTest.cidr": ["10.1.0.0/16"],
    "ArgumentTest.present": False,
    **{f"ArgumentTest.{word}": "2026-06-01T00:00:00Z" for word in ("from", "until", "after", "before")},
    "Limit.calls": "5/1h",
    "Limit.per": "stage",
    "DataScope.keys": ["other*"],
    "DataScope.attributes": ["other"],
    "S3Data.prefix": "other/",
    "Accept.until": "2027-02-01",
    "PythonTool.entrypoint": "tools.quote:other",
    "McpTool.command": ["other"],
    "McpTool.url": "https://other.example.com/mcp",
    "McpTool.env": {"OTHER": {"secret": "other"}},
    "HttpTool.baseUrl": "https://orders.example.com:443/v1",
    "Never.call": "*.other",
    "LongTerm.write": "tool",
    "LongTerm.redact": [],
    "Eval.dataset": "evals/other.yaml",
    "Gate.metric": ["exact", "latencyP50", "tokens"],
    "Gate.min": 0.5,
    "Gate.max": [0, 1],
    "Tracing.sampleRatio": 0.5,
    "Tracing.content": "none",
    "Expose.protocols": ["mcp"],
}
OTHER_FILES = {
    "prompts/other.md": "You decline.",
    "openapi/other.yaml": EXAMPLE_FILES["openapi/orders.yaml"],
    "other/guide/x.md": "# Other",
    "tools/quote.py": EXAMPLE_FILES["tools/quote.py"] + "\n\ndef other() -> None:\n    pass\n",
    "evals/other.yaml": "cases: []\n",
    "other-requirements.txt": f"harbour==2.0 --hash=sha256:{'0' * 64}\n",
}


def alternatives(field: str, value: Any) -> list[Any]:
    """Other values that the field could have."""
    if field in OTHER:
        other = OTHER[field]
        return other if isinstance(other, list) and field in {"FileName.file", "Gate.metric", "Gate.max"} else [other]
    match value:
        case int() | float() if not isinstance(value, bool):
            return [value + 1]
        case str() if value[0].isdigit():
            number = "".join(ch for ch in value if ch.isdigit())
            return [f"{int(number) + 1}{value[len(number) :]}"]
        case str():
            return [f"{value}2"]
        case _:
            return [value[:-1]] if isinstance(value, list) else []


def changed(document: Any, path: Path_, value: Any) -> Any:
    """The document with another value at a path; what used a renamed thing uses it still."""
    result = copy.deepcopy(document)
    parent = result
    for part in path[:-1]:
        parent = parent[part]
    old, parent[path[-1]] = parent[path[-1]], value
    if path == ("metadata", "name"):
        result["state"] = {"plan": {"read": [value, "planner"], "write": [value]}}
    if path[0] == "data" and path[-1] == "table":
        for used in (used for tool in result["tools"] for used in tool.get("data", ()) if used["use"] == "bookings"):
            used["scopes"] = [
                {verb: value if word == old else word for verb, word in s.items()} for s in used["scopes"]
            ]
    if path[0] == "data" and path[-1] == "name":
        for tool in result["tools"]:
            for user in (tool, *tool.get("data", ())):
                if user.get("use") == old:
                    user["use"] = value
    return result


def facts(blueprint: Blueprint) -> Blueprint:
    """The blueprint without digests and lines, which every change of the text changes."""
    text = json.dumps(to_json(replace(blueprint, digests=Digests("", ""), lines={})))
    return from_json(json.loads(text))


@pytest.fixture
def example(tmp_path: Path) -> tuple[Path, Any]:
    """The example's project with files for every change, and its document without overlays."""
    example_project(tmp_path)
    write_files(tmp_path, OTHER_FILES)
    document = yaml.safe_load((tmp_path / "agent.yaml").read_text())
    document["tools"] += [search_tool("more-docs", "docs"), search_tool("more-tariffs", "tariffs")]
    next(tool for tool in document["tools"] if tool["name"] == "quote")["scopes"] = [{"id": "prices", "call": "*"}]
    tables = next(source for source in document["data"] if source["name"] == "crm")["tables"]
    tables["crm.other"] = tables["crm.tickets"]
    document["data"].append({"name": "copy", "type": "postgres", "database": "copy", "tables": tables})
    reading = {"type": "sql", "scopes": [{"read": "crm.tickets"}]}
    document["tools"] += [{"name": f"more-{use}", "use": use, **reading} for use in ("crm", "copy")]
    staging = {"target": "local", "from": "prototype", "approvals": {"minimum": 1}}
    document["stages"] = {"prototype": {"target": "local"}, "staging": staging}
    return tmp_path, document


def test_every_field_that_validates_has_a_place(example: tuple[Path, Any]) -> None:
    """For each field of the schema, some other value of it changes the blueprint (beyond digests and lines)."""
    folder, document = example
    base = facts(blueprint_of(folder, document, "staging"))
    placed: set[str] = set()
    for field, path, value in written_fields(document):
        for other in [] if field in placed or field in ONE_MEANING else alternatives(field, value):
            try:
                if facts(blueprint_of(folder, changed(document, path, other), "staging")) != base:
                    placed.add(field)
            except BedplateError:
                continue
    sections = {field for field in schema_fields() if field.startswith("Manifest.")}
    lists = {f"{kind}Tool.scopes" for kind in ("Search", "Python", "Mcp", "Http", "Sql")} | {"DataUse.scopes"}
    lists |= {f"{kind}Tool.{name}" for kind in ("Python", "Mcp") for name in ("data", "egress")}
    lists |= {f"{kind}Scope.{name}" for kind in ("Call", "Http") for name in ("where", "limit")}
    lists |= {"SqlScope.rows", "SqlScope.set", "SqlScope.limit", "Limit.sum", "PostgresData.tables"}
    parts = {"McpTool.credentials", "HttpTool.openapi", "Model.settings", "HttpTool.credentials"}
    wholes = {
        "Model.credentials",
        "Memory.sessions",
        "Memory.longTerm",
        "Expose.auth",
        "Eval.gates",
        "Stage.from",
        "Stage.approvals",
    }
    assert schema_fields() - placed - ONE_MEANING - sections - lists - parts - wholes == set()


def test_where_a_stage_comes_from_is_known(example: tuple[Path, Any]) -> None:
    """`from` stands in the blueprint, and a first stage has none."""
    folder, document = example
    assert blueprint_of(folder, document, "staging").promoted_from == "prototype"
    assert blueprint_of(folder, document).promoted_from is None


def test_a_blueprint_survives_json(example: tuple[Path, Any]) -> None:
    """A blueprint written as JSON and read back is the same."""
    blueprint = blueprint_of(*example)
    assert from_json(json.loads(json.dumps(to_json(blueprint)))) == blueprint


def test_stages_are_in_order_and_the_first_is_the_default(tmp_path: Path) -> None:
    """Stages come in the order written; without a name the first is resolved; another name is refused with a hint."""
    loaded = load(example_project(tmp_path))
    assert stages(loaded) == ("prototype", "staging", "prod")
    assert resolve(loaded).stage == "prototype"
    with pytest.raises(BedplateError) as caught:
        resolve(loaded, "stagin")
    assert caught.value.problems[0].code == "BP115"
    assert "`staging`" in caught.value.problems[0].fix


def test_grants_say_where_they_stand(tmp_path: Path) -> None:
    """Each grant names tool, verb, pattern and its line; data of python tools is `source/path`; memory has its own."""
    blueprint = resolve(load(example_project(tmp_path)), "staging")
    text = (tmp_path / "agent.yaml").read_text().splitlines()
    grants = {(g.tool, g.verb, g.pattern): g for g in blueprint.scopes.grants}
    narrowed = grants[("docs", "read", "guide/*")]
    assert '{name: docs, scopes: [{read: "guide/*"}]}' in text[int(narrowed.where.split(":")[1]) - 1]
    assert ("docs", "read", "*.html") not in grants
    assert ("quote", "read", "tariffs/*") in grants
    assert grants[("orders", "get", "https://orders.example.com/v1/orders/*")].id == "look-up"
    assert {g.id for g in blueprint.scopes.grants if g.tool == "memory"} == {"memory.read", "memory.write"}
    assert "longTerm" in text[int(grants[("memory", "read", "*")].where.split(":")[1]) - 1]
    assert blueprint.lines["limits.cost"] > blueprint.lines["sandbox.memory"]
    assert blueprint.lines["tools.docs.scopes"] == int(narrowed.where.split(":")[1])


def test_resolved_scopes_decide(tmp_path: Path) -> None:
    """The decider answers by the resolved scopes: what the manifest grants, and nothing that `never` forbids."""
    scopes = resolve(load(example_project(tmp_path))).scopes
    assert decide(scopes, Request("docs", "open", "read", "guide/start.md")).allowed
    assert not decide(scopes, Request("docs", "open", "read", "internal/x.md")).allowed
    assert decide(scopes, Request("tickets", "get_open", "call", "get_open")).allowed
    assert not decide(scopes, Request("tickets", "get_deleted", "call", "get_deleted")).allowed
    assert not decide(scopes, Request("tickets", "close", "call", "close")).allowed
    note = {"order": "7", "body": {"text": "Customer called"}}
    at = "https://orders.example.com/v1/orders/7"
    assert decide(scopes, Request("orders", "note", "post", f"{at}/notes", args=note)).allowed
    assert not decide(scopes, Request("orders", "note", "post", at, args=note)).allowed
    refund = {"customer": "c1", "amount": 20, "currency": "EUR", "note": "refund 7", "paid": "2026-05-01T10:00:00Z"}
    session = {"customer": "c1"}
    asked = [
        decide(
            scopes, Request("refunds", "refund", "call", "refund", args={**refund, **change}, session=session)
        ).effect
        for change in ({}, {"amount": 60}, {"amount": 200}, {"customer": "c2"}, {"note": "gift"}, {"tags": ["x"]})
    ]
    assert [effect.word for effect in asked] == ["allow", "ask", "deny", "deny", "deny", "deny"]


def test_urls_of_scopes_are_normalised(tmp_path: Path) -> None:
    """A URL pattern is kept in the form in which requests are matched."""
    write_files(tmp_path, {"o.yaml": NO_PATHS})
    document = small(tools=[http("https://Orders.Example.com:443"), http("https://a.example/ä/*", name="b")])
    patterns = [grant.pattern for grant in blueprint_of(tmp_path, document).scopes.grants]
    assert patterns == ["https://orders.example.com/", "https://a.example/%C3%A4/*"]


def http(url: str, name: str = "a") -> dict[str, Any]:
    return {"name": name, "type": "http", "openapi": {"file": "o.yaml"}, "scopes": [{"get": url}]}


def test_secrets_are_known_by_name(tmp_path: Path) -> None:
    """Every secret that the manifest names is found, with the variable that holds it."""
    found = secrets_of(resolve(load(example_project(tmp_path)), "staging"))
    assert set(found) >= {"anthropic-api-key", "tickets-token", "calendar-token", "orders-key"}
    assert found["orders-key"].variable == "ORDERS_KEY"


def test_documents_are_chosen_by_globs(tmp_path: Path) -> None:
    """Documents by default, else what `include` says without `exclude`; hidden files and folders never count."""
    names = ["a.md", "b.rst", "c.py", "d/e.html", "d/f.txt", ".hidden.md", ".git/g.md", "node_modules/h.md"]
    write_files(tmp_path, {f"docs/{name}": name for name in names})

    def paths(**data: Any) -> list[str]:
        return [file.path for file in blueprint_of(tmp_path, searching(**data)).data[0].files]

    assert paths() == ["docs/a.md", "docs/b.rst", "docs/d/e.html", "docs/d/f.txt"]
    assert paths(include=["d/*", "*.py"]) == ["docs/c.py", "docs/d/e.html", "docs/d/f.txt"]
    assert paths(exclude=["*.html"]) == ["docs/a.md", "docs/b.rst", "docs/d/f.txt"]
    assert paths(path="docs/c.py") == ["docs/c.py"]
    assert blueprint_of(tmp_path, searching(path="docs/a.md")).data[0].root == str(tmp_path / "docs")


@pytest.mark.parametrize("link", ["docs/out.md", "docs/out", "docs"], ids=["file", "folder", "the-source-itself"])
def test_links_out_of_the_project_are_refused(tmp_path: Path, link: str) -> None:
    """A link that leaves the project is refused, be it a file, a folder, or the data's path itself."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    write_files(tmp_path, {"outside/secret.md": "x"})
    if link != "docs":
        write_files(project, {"docs/a.md": "a"})
    project.mkdir(exist_ok=True)
    (project / link).symlink_to(outside / "secret.md" if link.endswith(".md") else outside)
    with pytest.raises(BedplateError) as caught:
        blueprint_of(project, searching())
    assert [problem.code for problem in caught.value.problems] == ["BP105"]


def test_links_within_the_project_are_read(tmp_path: Path) -> None:
    """A link to a file of the project counts with the content it points to; a link in a circle is refused."""
    write_files(tmp_path, {"docs/a.md": "a"})
    (tmp_path / "docs" / "b.md").symlink_to(tmp_path / "docs" / "a.md")
    first, second = blueprint_of(tmp_path, searching()).data[0].files
    assert first.sha256 == second.sha256
    (tmp_path / "docs" / "loop").symlink_to(tmp_path / "docs")
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, searching())
    assert caught.value.problems[0].code == "BP105"


@pytest.mark.parametrize(
    ("link", "leads_to", "said"),
    [
        ("docs/out.md", "../prompts/system.md", "`docs/out.md` is a link out of `docs`"),
        ("docs/deep/out.md", "../out.html/../../prompts/system.md", "`docs/deep/out.md` is a link out of `docs`"),
        ("docs/env.md", "../.env", "`docs/env.md` is a link out of `docs`"),
        ("docs/env.md", ".env", "`docs/env.md` leads to `.env`"),
        ("docs/env.md", ".env.local", "`docs/env.md` leads to `.env.local`"),
        ("docs/none.md", "gone.md", "`docs/none.md` is a link to no regular file"),
        ("docs/pipe.md", "pipe", "`docs/pipe.md` is a link to no regular file"),
    ],
)
def test_links_out_of_a_data_source_are_refused(tmp_path: Path, link: str, leads_to: str, said: str) -> None:
    """A link that leads out of its data source, to `.env`, or to no file is refused; `exclude` leaves it out."""
    write_files(tmp_path, dict.fromkeys(("docs/a.md", "docs/deep/b.md", "prompts/system.md", ".env"), "x"))
    write_files(tmp_path, {"docs/.env": "x", "docs/.env.local": "x", "docs/out.html/c.md": "x"})
    os.mkfifo(tmp_path / "docs/pipe")
    (tmp_path / link).symlink_to(leads_to)
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, searching())
    assert caught.value.problems[0].summary.startswith(said)
    left = blueprint_of(tmp_path, searching(exclude=[link.removeprefix("docs/")])).data[0].files
    assert {file.path for file in left} == {"docs/a.md", "docs/deep/b.md", "docs/out.html/c.md"}


@pytest.mark.parametrize("private", [".env", ".env.local", ".bedplate/local/secrets/key"])
def test_a_hard_link_to_secrets_is_refused(tmp_path: Path, private: str) -> None:
    """A second name of a private file is refused like a symbolic link; one of another file is read."""
    write_files(tmp_path, {"docs/a.md": "a", "other.md": "x", private: "A=secret"})
    (tmp_path / "docs/other.md").hardlink_to(tmp_path / "other.md")
    assert len(blueprint_of(tmp_path, searching()).data[0].files) == 2
    (tmp_path / "docs/env.md").hardlink_to(tmp_path / private)
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, searching())
    said = f"`docs/env.md` leads to `{private.partition('/')[0]}`, which holds secrets"
    assert [(problem.code, problem.summary) for problem in caught.value.problems] == [("BP105", said)]


def test_all_bad_links_of_a_folder_are_told_at_once(tmp_path: Path) -> None:
    """Every link of a data source that cannot be used is told in one run, up to a number."""
    write_files(tmp_path, {"docs/a.md": "a", ".env": "A=secret"})
    links = {"self": ".", "rootdir": "/root", "loop": "loop", "env.md": "../.env", "pw.md": "/etc/passwd"}
    for name, leads_to in links.items():
        (tmp_path / "docs" / name).symlink_to(leads_to)
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, searching())
    said = "\n".join(problem.summary for problem in caught.value.problems)
    assert (len(caught.value.problems), [name for name in links if f"docs/{name}`" not in said]) == (5, [])
    for number in range(30):
        (tmp_path / "docs" / f"more{number}.md").symlink_to("gone")
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, searching())
    assert [problem.summary for problem in caught.value.problems][20:] == ["… and 15 more"]


@pytest.mark.parametrize("path", [".env", "settings", ".bedplate/local/secrets", "docs/settings.md"])
def test_what_holds_secrets_is_no_data(tmp_path: Path, path: str) -> None:
    """Neither `.env` nor a stage's folder is a data source, by its name or a link's; nor do they count below one."""
    write_files(tmp_path, {".env": "A=secret", "docs/a.md": "x", "b.md": "x", ".bedplate/local/secrets/k.md": "secret"})
    assert [
        file.path for file in blueprint_of(tmp_path, searching(path=".", include=["*.md", "*env*"])).data[0].files
    ] == [
        "b.md",
        "docs/a.md",
    ]
    (tmp_path / "settings").symlink_to(".bedplate")
    (tmp_path / "docs/settings.md").symlink_to("../.env")
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, searching(path=path))
    assert [problem.code for problem in caught.value.problems] == ["BP105"]
    assert "which holds secrets" in caught.value.problems[0].summary


def test_files_that_cannot_be_named_or_followed_are_refused(tmp_path: Path) -> None:
    """A link to itself and a name that is not UTF-8 are told as troubles of a file, with a name that can be printed."""
    for case in ("loop", "name"):
        write_files(tmp_path / case, {"docs/a.md": "a"})
    (tmp_path / "loop" / "docs" / "self.md").symlink_to("self.md")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/name/docs/\xff.md")).write_text("x")
    for case, said in (("loop", "docs/self.md"), ("name", "\\udcff.md")):
        with pytest.raises(BedplateError) as caught:
            blueprint_of(tmp_path / case, searching())
        assert caught.value.problems[0].code in {"BP105", "BP119"}
        assert said in caught.value.problems[0].summary


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A folder without permission to read is told as a trouble of that folder."""
    write_files(tmp_path, {"docs/a.md": "a", "docs/shut/b.md": "b"})
    (tmp_path / "docs" / "shut").chmod(0)
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, searching())
    assert caught.value.problems[0].code == "BP119"


def test_a_project_reached_by_a_link_is_the_same(tmp_path: Path) -> None:
    """A project resolves through a link to its folder as well, with the same digests."""
    write_files(tmp_path / "real", {"docs/a.md": "a"})
    direct = blueprint_of(tmp_path / "real", searching())
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert resolve(load(tmp_path / "link" / "agent.yaml")).digests == direct.digests


def test_an_entrypoint_is_never_imported(tmp_path: Path) -> None:
    """Resolving parses the tool's file, which would raise if it were imported."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    tool = {"name": "c", "type": "python", "entrypoint": "tools.calc:other", "scopes": [{"call": "*"}]}
    blueprint = blueprint_of(tmp_path, small(tools=[tool]))
    assert [file.path for file in blueprint.code] == ["tools/calc.py", "tools/pay.py"]


NARROWER = {
    "a narrower pattern": {"tools": [{"name": "docs", "scopes": [{"read": "guide/*"}]}]},
    "the same, split": {"tools": [{"name": "docs", "scopes": [{"read": ["a*", "b*", "*"]}]}]},
    "one more never": {"never": [{"call": "*.open"}, {"call": "docs.search"}]},
    "a wider never": {"never": [{"call": "*"}]},
    "fewer documents": {"data": [{"name": "docs", "exclude": ["guide/*"]}]},
    "no long-term memory": {"memory": {"longTerm": None}},
    "another description": {"tools": [{"name": "docs", "description": "Search."}]},
    "another model and limits": {"model": "openai:gpt-5-mini", "limits": {"tokens": 10}},
}


@pytest.mark.parametrize("overlay", NARROWER.values(), ids=NARROWER)
def test_an_overlay_may_narrow(tmp_path: Path, overlay: dict[str, Any]) -> None:
    """What takes nothing beyond the base is accepted."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    document = searching()
    document["never"] = [{"call": "*.open"}]
    document["memory"] = {"longTerm": {"retention": "1d"}}
    document["stages"] = {"a": {"target": "local", **overlay}}
    assert blueprint_of(tmp_path, document).stage == "a"


MCP = {"name": "t", "type": "mcp", "command": ["x"], "env": {"A": {"secret": "a"}}, "scopes": [{"call": "*"}]}
REMOTE = {"name": "t", "type": "mcp", "url": "https://a.example/mcp", "scopes": [{"call": "*"}]}
HTTP = {"name": "t", "type": "http", "openapi": {"file": "o.yaml"}, "scopes": [{"get": "https://a.example/*"}]}
REDIRECTED = {
    "command": (MCP, {"command": ["y"]}),
    "env": (MCP, {"env": {"B": {"secret": "a"}}}),
    "url": (REMOTE, {"url": "https://b.example/mcp"}),
    "openapi": (HTTP, {"openapi": {"file": "p.yaml"}}),
    "baseUrl": (HTTP, {"baseUrl": "https://b.example"}),
}


@pytest.mark.parametrize("field", REDIRECTED)
def test_an_overlay_may_not_redirect_a_tool(tmp_path: Path, field: str) -> None:
    """A stage cannot point a tool at another program, address, document or variable than a reviewer of the base saw."""
    write_files(tmp_path, {"o.yaml": NO_PATHS, "p.yaml": NO_PATHS})
    tool, change = REDIRECTED[field]
    stages = {"a": {"target": "local", "tools": [{"name": "t", **change}]}}
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, small(tools=[tool], stages=stages))
    assert [problem.code for problem in caught.value.problems] == ["BP113"]
    assert f"changes `{field}` of tool `t`" in caught.value.problems[0].summary


def test_an_overlay_may_name_another_secret(tmp_path: Path) -> None:
    """Which secret a tool uses may differ from stage to stage."""
    for tool, change in ((MCP, {"env": {"A": {"secret": "b"}}}), (REMOTE, {"credentials": {"secret": "b"}})):
        stages = {"a": {"target": "local", "tools": [{"name": "t", **change}]}}
        assert "b" in secrets_of(blueprint_of(tmp_path, small(tools=[tool], stages=stages)))


@pytest.mark.parametrize(
    ("base", "overlay", "name"),
    [
        ({"tokens": 10}, {"tokens": 11}, "tokens"),
        ({"tokens": 10}, {"tokens": None}, "tokens"),
        ({"cost": 0.5}, {"cost": None}, "cost"),
        ({"timeout": "9s"}, {"timeout": "1m"}, "timeout"),
        ({}, {"toolCalls": 21}, "toolCalls"),
        ({"requests": 3}, None, "requests"),
    ],
)
def test_an_overlay_may_not_raise_a_limit(tmp_path: Path, base: Any, overlay: Any, name: str) -> None:
    """A stage's limits are at most the base's; removing one counts as raising it."""
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, small(limits=base, stages={"a": {"target": "local", "limits": overlay}}))
    assert [problem.code for problem in caught.value.problems] == ["BP113"]
    assert f"the limit `{name}`" in caught.value.problems[0].summary


globs = st.text("ab*", min_size=1, max_size=4).filter(lambda text: "**" not in text)


@settings(max_examples=60)
@given(st.lists(globs, min_size=1, max_size=3, unique=True), st.lists(globs, min_size=1, max_size=3, unique=True))
def test_an_accepted_overlay_allows_nothing_new(
    tmp_path_factory: pytest.TempPathFactory, base: list[str], overlay: list[str]
) -> None:
    """Whenever an overlay is accepted, no request is allowed in the stage that the base denies."""
    folder = tmp_path_factory.mktemp("project")
    tool = {"name": "t", "type": "mcp", "command": ["x"], "scopes": [{"call": base}]}
    document = small(tools=[tool], stages={"a": {"target": "local"}})
    before = blueprint_of(folder, document).scopes
    document["stages"] = {"a": {"target": "local", "tools": [{"name": "t", "scopes": [{"call": overlay}]}]}}
    try:
        after = blueprint_of(folder, document).scopes
    except BedplateError as error:
        assert {problem.code for problem in error.problems} == {"BP113"}  # noqa: PT017 (both outcomes are right)
        return
    for text in ("", "a", "b", "c", "ab", "ba", "aab", "abc", "cab", "bcb", "aca"):
        request = Request("t", text, "call", text)
        assert decide(after, request).effect <= decide(before, request).effect


def test_a_python_tool_reads_what_its_data_scopes_grant(tmp_path: Path) -> None:
    """Of each source only the documents that match the scopes written for this very tool are readable."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    tool = {"name": "calc", "type": "python", "entrypoint": "tools.calc:add", "scopes": [{"call": "*"}]}
    document = searching()
    document["tools"].append({**tool, "data": [{"use": "docs", "scopes": [{"read": "guide/*"}]}]})
    document["tools"].append({**tool, "name": "blind"})
    blueprint = blueprint_of(tmp_path, document)
    readers = {t.name: readable_documents(blueprint, t) for t in blueprint.tools if isinstance(t, PythonTool)}
    assert readers == {"calc": (tmp_path / "docs/guide/install.md",), "blind": ()}
    forbidden = blueprint_of(tmp_path, {**document, "never": [{"call": "calc.*"}]})
    assert readable_documents(forbidden, next(t for t in forbidden.tools if isinstance(t, PythonTool))) == ()


def test_an_mcp_command_brings_its_code(tmp_path: Path) -> None:
    """The files that a command names, and the project's Python files, are its code; a server at a URL has none."""
    write_files(tmp_path, {"server.js": "1", "lib/part.py": "", "other.js": "2"})
    tool = {"name": "t", "type": "mcp", "scopes": [{"call": "*"}]}
    started = blueprint_of(tmp_path, small(tools=[{**tool, "command": ["node", "server.js"]}]))
    assert [file.path for file in started.code] == ["lib/part.py", "server.js"]
    assert blueprint_of(tmp_path, small(tools=[{**tool, "url": "https://a.example/mcp"}])).code == ()


def test_where_a_stage_of_aws_is_deployed_is_known(tmp_path: Path) -> None:
    """Target, region and account of a stage stand in its blueprint; other stages have none."""
    loaded = load(example_project(tmp_path))
    prod, first = resolve(loaded, "prod"), resolve(loaded)
    assert (prod.target, prod.region, prod.account) == ("aws", "eu-west-1", "111122223333")
    assert (first.target, first.region, first.account) == ("local", "", "")


def test_an_mcp_command_reads_what_its_data_scopes_grant(tmp_path: Path) -> None:
    """Of the sources under `data` a server's process may read the documents that its scopes name, and no others."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    tool = {"name": "t", "type": "mcp", "command": ["python", "server.py"], "scopes": [{"call": "*"}]}
    document = searching()
    document["tools"].append({**tool, "data": [{"use": "docs", "scopes": [{"read": "guide/*"}]}]})
    blueprint = blueprint_of(tmp_path, document)
    server = next(tool for tool in blueprint.tools if isinstance(tool, McpTool))
    assert readable_documents(blueprint, server) == (tmp_path / "docs/guide/install.md",)
