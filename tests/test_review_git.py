"""Revisions are read as data: any name, any link, any configuration, and nothing of them is ever run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.problems import BedplateError
from bedplate.review.compare import Request, review
from bedplate.review.git import MAX_FILE, Repository, check_names
from review_support import commit, git, repository, write

CASES = yaml.safe_load((Path(__file__).parent / "cases/review/hostile.yaml").read_text())
FILES = CASES["files"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo", FILES)


def _code(error: pytest.ExceptionInfo[BedplateError]) -> str:
    return error.value.problems[0].code


def _read(folder: Path, into: Path, revision: str = "HEAD") -> Path:
    found = Repository(folder)
    into.mkdir()
    found.materialise(found.commit(revision), found.prefix, into)
    return into


def test_a_revision_is_written_as_it_is_in_the_repository(base: Path, tmp_path: Path) -> None:
    """Contents come out byte for byte, whatever attributes say of line ends, and links with their target."""
    raw = b"\x00\xff\r\nno end"
    (base / "raw.bin").write_bytes(raw)
    write(base, {".gitattributes": "*.bin text eol=crlf ident\n"})
    (base / "link").symlink_to("prompts")
    commit(base, "raw")
    blob = subprocess.run(["git", "cat-file", "blob", "HEAD:raw.bin"], cwd=base, capture_output=True, check=True).stdout
    read = _read(base, tmp_path / "into")
    assert (read / "raw.bin").read_bytes() == blob
    assert os.readlink(read / "link") == "prompts"  # noqa: PTH115
    assert (read / "agent.yaml").read_text() == FILES["agent.yaml"]


def test_only_the_manifests_folder_is_read(tmp_path: Path) -> None:
    """An agent in a folder of a large repository is read alone, and told by its path."""
    folder = repository(tmp_path / "repo", {**{f"agents/a/{n}": t for n, t in FILES.items()}, "other/x": "x"})
    read = _read(folder / "agents/a", tmp_path / "into")
    assert sorted(p.name for p in read.iterdir()) == sorted({name.partition("/")[0] for name in FILES})
    assert review(Request(folder / "agents/a/agent.yaml", "HEAD")).file == "agents/a/agent.yaml"


@pytest.mark.parametrize("name", CASES["names"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    """A path that leaves the folder, belongs to git or meets another is BP793, before anything is written."""
    with pytest.raises(BedplateError) as error:
        check_names(["plain", "Docs/a.md", name], "0" * 40)
    assert _code(error) == "BP793"


def test_a_tree_that_git_would_not_write_is_refused(base: Path, tmp_path: Path) -> None:
    """A commit whose tree has an entry `..` is refused, and nothing appears outside."""
    blob = git(base, "hash-object", "-w", "--stdin", data=b"x")
    inner = _tree(base, b"100644 escaped\0" + bytes.fromhex(blob))
    outer = _tree(base, b"40000 ..\0" + bytes.fromhex(inner))
    made = git(base, "commit-tree", "-m", "evil", outer)
    with pytest.raises(BedplateError) as error:
        _read(base, tmp_path / "into", made)
    assert _code(error) == "BP793"
    assert not (tmp_path / "escaped").exists()


def test_a_name_that_is_a_link_and_a_folder_is_refused(base: Path, tmp_path: Path) -> None:
    """A tree in which `a` is a link and a folder as well cannot write through the link."""
    blob = git(base, "hash-object", "-w", "--stdin", data=str(tmp_path).encode())
    inner = _tree(base, b"120000 through\0" + bytes.fromhex(blob))
    outer = _tree(base, b"120000 a\0" + bytes.fromhex(blob) + b"40000 a\0" + bytes.fromhex(inner))
    made = git(base, "commit-tree", "-m", "evil", outer)
    with pytest.raises(BedplateError) as error:
        _read(base, tmp_path / "into", made)
    assert _code(error) == "BP793"
    assert not (tmp_path / "through").is_symlink()


def _tree(folder: Path, data: bytes) -> str:
    return git(folder, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", data=data)


def test_a_huge_file_is_told_and_not_read(base: Path) -> None:
    """More than 50 MB in one file is BP793 with its name."""
    with (base / "huge.bin").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    commit(base, "huge")
    with pytest.raises(BedplateError) as error:
        review(Request(base / "agent.yaml", "HEAD^"))
    assert _code(error) == "BP793"
    assert "huge.bin" in error.value.problems[0].summary


@pytest.mark.parametrize("revision", ["-", "--all", "--output=x", "nowhere", "", "HEAD:agent.yaml", "a\0b"])
def test_what_is_no_revision_is_told(base: Path, revision: str) -> None:
    """An option, a file or an unknown name in the place of a revision is BP792, and no option to git."""
    with pytest.raises(BedplateError) as error:
        review(Request(base / "agent.yaml", revision))
    assert _code(error) == "BP792"


def test_a_folder_without_a_repository_is_told(tmp_path: Path) -> None:
    """Outside of a repository it is BP791."""
    write(tmp_path, FILES)
    with pytest.raises(BedplateError) as error:
        review(Request(tmp_path / "agent.yaml", "HEAD"))
    assert _code(error) == "BP791"


def test_a_shallow_clone_says_how_to_get_the_rest(base: Path, tmp_path: Path) -> None:
    """In a clone of depth 1 the base is BP792 with `fetch-depth: 0`."""
    commit(base, "second")
    git(tmp_path, "clone", "-q", "--depth", "1", base.as_uri(), "shallow")
    with pytest.raises(BedplateError) as error:
        review(Request(tmp_path / "shallow/agent.yaml", "HEAD^"))
    assert _code(error) == "BP792"
    assert "fetch-depth: 0" in error.value.problems[0].fix


@pytest.mark.parametrize("lacks", ["blob:none", "tree:0"])
@pytest.mark.parametrize("folder", ["", "agents/a/"])
def test_files_that_a_filtered_clone_lacks_are_not_fetched(tmp_path: Path, lacks: str, folder: str) -> None:
    """In a clone without blobs or folders the missing ones are BP792: neither fetched nor taken as gone."""
    base = repository(tmp_path / "repo", {folder + name: text for name, text in FILES.items()})
    git(base, "config", "uploadpack.allowFilter", "true")
    write(base, {f"{folder}prompts/system.md": "Another.\n"})
    commit(base, "second")
    git(tmp_path, "clone", "-q", f"--filter={lacks}", base.as_uri(), "filtered")
    with pytest.raises(BedplateError) as error:
        review(Request(tmp_path / "filtered" / folder / "agent.yaml", "HEAD^"))
    assert _code(error) == "BP792"


def test_the_comparison_is_with_where_the_change_left_the_base(base: Path) -> None:
    """What the base gained in the meantime is no part of the change, as on a pull request."""
    git(base, "checkout", "-q", "-b", "feature")
    write(base, {"prompts/system.md": "On the branch.\n"})
    commit(base, "branch")
    git(base, "checkout", "-q", "main")
    write(base, {"agent.yaml": FILES["agent.yaml"].replace("requests: 6", "requests: 7")})
    commit(base, "main moved")
    found = review(Request(base / "agent.yaml", "main", "feature"))
    text = str(found.stages)
    assert "instructions" in text
    assert "limits.requests" not in text
    assert found.base.commit == git(base, "rev-parse", "main^")


def test_a_manifest_that_is_new_is_compared_with_nothing(base: Path) -> None:
    """Where the base has no manifest of that name everything is new, and a note says so."""
    git(base, "mv", "agent.yaml", "moved.yaml")
    commit(base, "moved")
    found = review(Request(base / "moved.yaml", "HEAD^"))
    assert (found.stages[0].kind, found.stages[0].baseline) == ("added", "new stage")
    assert any("compared with nothing" in note for note in found.notes)


def test_the_working_tree_is_compared_where_asked(base: Path) -> None:
    """With --working-tree files that nobody has committed count."""
    write(base, {"prompts/system.md": "Not committed.\n"})
    assert review(Request(base / "agent.yaml", "HEAD")).line.endswith("as before")
    found = review(Request(base / "agent.yaml", "HEAD", working_tree=True))
    assert (found.head.label, found.stages[0].behaviour) == ("working tree", "changed")


def test_a_submodule_is_left_out_with_a_note(base: Path) -> None:
    """A submodule's files are not in the repository: that is said."""
    commit_id = git(base, "rev-parse", "HEAD")
    git(base, "update-index", "--add", "--cacheinfo", f"160000,{commit_id},vendor")
    git(base, "commit", "-q", "-m", "submodule")
    assert "submodule vendor is left out" in review(Request(base / "agent.yaml", "HEAD^")).notes


@pytest.mark.parametrize("case", CASES["forks"], ids=lambda case: str(case["name"]))
def test_nothing_of_a_forks_revision_is_executed(base: Path, tmp_path: Path, case: dict[str, Any]) -> None:
    """A review of hostile files, in their checkout, with a configuration that includes theirs, runs nothing of them."""
    canary = tmp_path / "canary"
    for name, text in {**CASES["traps"], **case.get("files", {})}.items():
        (base / name).unlink(missing_ok=True)
        write(base, {name: text.replace("CANARY", str(canary))})
    for name, target in case.get("links", {}).items():
        (base / name).parent.mkdir(exist_ok=True, parents=True)
        (base / name).unlink(missing_ok=True)
        (base / name).symlink_to(target)
    for hook in ("post-checkout", "pre-commit", "post-index-change", "reference-transaction"):
        write(base, {f"hooks/{hook}": f"#!/bin/sh\ntouch {canary}\n"})
        (base / "hooks" / hook).chmod(0o755)
    commit(base, "from a fork")
    git(base, "config", "include.path", "../.gitconfig")
    ran = subprocess.run(
        [Path(sys.executable).parent / "bedplate", "review", "--base", "HEAD^", "--format", "github"],
        cwd=base,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"},
    )
    assert not canary.exists(), ran.stderr
    assert ran.returncode == case["exit"], ran.stdout + ran.stderr
    assert case["says"] in ran.stdout + ran.stderr
    assert "root:" not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_links_that_nobody_judges_are_not_followed(base: Path, tmp_path: Path) -> None:
    """Approvals behind a link are none, and a manifest that is a link is refused, wherever it leads."""
    write(tmp_path, {"outside/prototype/x.yaml": "damaged", "outside/agent.yaml": FILES["agent.yaml"]})
    (base / "approvals").symlink_to(tmp_path / "outside")
    commit(base, "approvals")
    assert int(review(Request(base / "agent.yaml", "HEAD^")).exit) == 0
    (base / "agent.yaml").unlink()
    (base / "agent.yaml").symlink_to(tmp_path / "outside/agent.yaml")
    commit(base, "manifest")
    assert review(Request(base / "agent.yaml", "HEAD^")).problems[0].summary == "agent.yaml is a link"


def test_the_traps_do_catch_an_ordinary_command(base: Path, tmp_path: Path) -> None:
    """The configuration that the reviews above survive is live: plain `git status` runs its program."""
    canary = tmp_path / "canary"
    write(base, {name: text.replace("CANARY", str(canary)) for name, text in CASES["traps"].items()})
    commit(base, "from a fork")
    git(base, "config", "include.path", "../.gitconfig")
    subprocess.run(["git", "status"], cwd=base, capture_output=True, check=False)
    assert canary.exists()
