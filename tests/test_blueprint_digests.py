"""Digests: what moves them, what does not, and that they are the same everywhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedplate.blueprint.digest import canonical, digest_of
from bedplate.blueprint.files import ProjectFiles
from bedplate.blueprint.model import Digests
from bedplate.blueprint.resolve import resolve_all
from bedplate.manifest import load
from manifest_support import CASES, blueprint_of, searching, small, write_files


def digests(folder: Path, document: Any) -> Digests:
    return blueprint_of(folder, document).digests


CHANGES: dict[str, tuple[dict[str, Any], bool]] = {
    "instructions": ({"instructions": "Answer briefly."}, True),
    "model": ({"model": "openai:gpt-5"}, True),
    "settings": ({"model": {"id": "openai:gpt-5-mini", "settings": {"temperature": 1}}}, True),
    "scope": ({"tools": [{"name": "docs", "type": "search", "use": "docs", "scopes": [{"read": "guide/*"}]}]}, True),
    "tool": ({"tools": [{"name": "find", "type": "search", "use": "docs", "scopes": [{"read": "*"}]}]}, True),
    "never": ({"never": [{"call": "*.open"}]}, True),
    "memory": ({"memory": {"sessions": {"retention": "1d"}}}, True),
    "limits": ({"limits": {"tokens": 5}}, True),
    "port": ({"expose": {"port": 9000}}, False),
    "retention of traces": ({"tracing": {"retention": "1d"}}, False),
    "sandbox": ({"sandbox": {"memory": "256Mi"}}, False),
    "evals": ({"evals": [{"name": "faq", "dataset": "evals/faq.yaml"}]}, False),
    "owner": ({"metadata": {"name": "small", "owner": "me"}}, False),
    "credentials": ({"model": {"id": "openai:gpt-5-mini", "credentials": {"secret": "x"}}}, False),
}


@pytest.mark.parametrize(("sections", "behaviour"), CHANGES.values(), ids=CHANGES)
def test_what_moves_the_digests(tmp_path: Path, sections: dict[str, Any], behaviour: bool) -> None:
    """Every change of the manifest moves the build digest; only what shapes answers moves the behaviour digest."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    base = {**searching(), "model": "openai:gpt-5-mini"}
    before, after = digests(tmp_path, base), digests(tmp_path, {**base, **sections})
    assert before.build != after.build
    assert (before.behaviour != after.behaviour) == behaviour


FILE_CHANGES = {
    "docs/index.md": (True, True),
    "prompts/system.md": (True, True),
    "tools/calc.py": (True, True),
    "openapi.yaml": (True, True),
    "server.js": (True, True),
    "evals/faq.yaml": (True, False),
    "bedplate.lock": (True, False),
    "README.md": (False, False),
}


@pytest.mark.parametrize(("path", "moves"), FILE_CHANGES.items(), ids=FILE_CHANGES)
def test_which_files_move_the_digests(tmp_path: Path, path: str, moves: tuple[bool, bool]) -> None:
    """A changed byte in a file that the manifest names moves the digests it belongs to, another file moves none."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    write_files(tmp_path, {"server.js": "1", "bedplate.lock": '{"schema": "bedplate.dev/lock/v1"}', "README.md": "x"})
    document = searching()
    document["instructions"] = {"file": "prompts/system.md"}
    document["evals"] = [{"name": "faq", "dataset": "evals/faq.yaml"}]
    document["tools"] += [
        {"name": "calc", "type": "python", "entrypoint": "tools.calc:add", "scopes": [{"call": "*"}]},
        {"name": "js", "type": "mcp", "command": ["node", "server.js"], "scopes": [{"call": "*"}]},
        {"name": "api", "type": "http", "openapi": {"file": "openapi.yaml"}, "scopes": [{"get": "https://a.example/"}]},
    ]
    before = digests(tmp_path, document)
    with (tmp_path / path).open("a") as file:
        file.write("\n" if path == "bedplate.lock" else "\n# changed\n")
    after = digests(tmp_path, document)
    assert (before.build != after.build, before.behaviour != after.behaviour) == moves


def test_digests_are_the_same_everywhere(tmp_path: Path) -> None:
    """Folder, times, order of keys, comments and other files change no digest; all stages share the build digest."""
    first, second = tmp_path / "a", tmp_path / "b" / "deeper"
    document = {**searching(), "stages": {"x": {"target": "local"}, "y": {"target": "local", "limits": {"tokens": 9}}}}
    for folder in (first, second):
        shutil.copytree(CASES / "project", folder)
    before = digests(first, document)
    os.utime(second / "docs" / "index.md", (0, 0))
    turned = "# a comment\n" + yaml.safe_dump(dict(reversed(document.items())), sort_keys=False)
    assert blueprint_of(second, turned).digests == before
    x, y = resolve_all(load(second / "agent.yaml"))
    assert x.digests.build == y.digests.build
    assert x.digests.behaviour != y.digests.behaviour


def test_a_stages_own_files_are_in_the_build(tmp_path: Path) -> None:
    """A file that only an overlay names moves the build digest of every stage."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    write_files(tmp_path, {"prompts/other.md": "Other."})
    document = small(
        stages={"x": {"target": "local"}, "y": {"target": "local", "instructions": {"file": "prompts/other.md"}}}
    )
    before = digests(tmp_path, document)
    write_files(tmp_path, {"prompts/other.md": "Another."})
    after = digests(tmp_path, document)
    assert before.build != after.build
    assert before.behaviour == after.behaviour


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_canonical_json_is_json(value: Any) -> None:
    """Canonical JSON reads back as an equal value, and its own canonical form is itself."""
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


@given(values, values)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    """Two values have the same digest only if they are the same JSON."""
    same = canonical(one) == canonical(other)
    assert (digest_of(one) == digest_of(other)) == same


def test_many_files_are_read_once(tmp_path: Path) -> None:
    """Two thousand documents are found and hashed, each once for all stages."""
    write_files(tmp_path, {f"docs/{i % 50}/{i}.md": str(i) for i in range(2000)})
    document = {**searching(), "stages": {"x": {"target": "local"}, "y": {"target": "local", "limits": {"tokens": 9}}}}
    first = blueprint_of(tmp_path, document)
    assert len(first.data[0].files) == 2000
    files = ProjectFiles(tmp_path)
    one = files.one("docs/0/0.md")
    (tmp_path / "docs/0/0.md").write_text("changed")
    assert files.one("docs/0/0.md") is one
