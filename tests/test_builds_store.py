"""The store of builds: what is read is what was put in, nothing is half made, and what nothing needs can go."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.problems import BedplateError
from bedplate.release.builds.make import make
from bedplate.release.builds.model import Build
from bedplate.release.builds.store import BuildStore
from bedplate.release.target import open_target
from builds_support import FILES, built, tree_of, write_project

TAMPERED: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases/builds/tamper.yaml").read_text())

characters = st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs",))
names = st.text(characters, min_size=1, max_size=9).filter(lambda n: n[0] != "." and n != "__pycache__")
paths = st.lists(names, min_size=1, max_size=3)
trees = st.dictionaries(paths.map("/".join), st.binary(max_size=40), min_size=1, max_size=8)


@given(trees)
@settings(max_examples=40)
def test_any_tree_of_files_comes_back_as_it_was(files: dict[str, bytes]) -> None:
    """Whatever the files and their order are, the tree holds them byte by byte, and another folder gives the digest."""
    usable = {path: data for path, data in files.items() if not any(other.startswith(f"{path}/") for other in files)}
    whole = {**FILES, **{f"docs/{path}": data for path, data in usable.items() if path not in ("one.md", "deep")}}
    whole = {path: data for path, data in whole.items() if not path.startswith(("docs/one.md/", "docs/deep"))}
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a", Path(folder) / "b" / "deeper and longer"
        write_project(first, whole)
        write_project(second, whole, order=reversed(whole))
        build = built(first)
        assert tree_of(build) == whole
        assert built(second).record() == build.record()


@pytest.mark.parametrize("case", TAMPERED, ids=[case["name"] for case in TAMPERED])
def test_damage_is_found_and_named(tmp_path: Path, case: dict[str, Any]) -> None:
    """Every kind of damage is BP760 that names the file; doing once what the fix says makes the build whole."""
    write_project(tmp_path, FILES)
    build, store = built(tmp_path), BuildStore(tmp_path)
    tamper(place(store, build, case["file"]), build, case)
    with pytest.raises(BedplateError) as error:
        store.open(build.digest)
    (problem,) = error.value.problems
    assert problem.code == "BP760"
    assert case["says"] in problem.summary
    mend(tmp_path, problem.fix)
    assert tree_of(built(tmp_path)) == FILES


OTHER = '{"schema": "bedplate.dev/lock/v1", "models": {}}'


@pytest.mark.parametrize("name", ["docs/one.md", "bedplate.lock"])
def test_a_content_that_the_project_lost_is_said_to_be_lost(tmp_path: Path, name: str) -> None:
    """What cannot be made again is not promised: the fix says so until the file is back, and then mends the build."""
    write_project(tmp_path, FILES)
    build, store = built(tmp_path), BuildStore(tmp_path)
    (tmp_path / name).write_text(OTHER)
    tamper(build.tree / name, build, {"write": "# Other\n"})
    for says in ("was changed", "is missing", "is missing"):
        with pytest.raises(BedplateError) as error:
            store.open(build.digest)
        (problem,) = error.value.problems
        assert problem.summary.endswith(f"the content of {name} {says}")
        assert f"cannot be made again from the project, where {name} is another or gone" in problem.fix
        mend(tmp_path, problem.fix)
        assert tree_of(built(tmp_path)) == {**FILES, name: OTHER.encode()}
    (tmp_path / name).write_bytes(FILES[name])
    with pytest.raises(BedplateError) as error:
        store.open(build.digest)
    assert error.value.problems[0].fix == "`bedplate build` makes it again"
    assert tree_of(built(tmp_path)) == FILES


def place(store: BuildStore, build: Build, name: str) -> Path:
    """The file that a case names."""
    if found := re.fullmatch(r"BLOB\((.*)\)", name):
        return store.blob(build.laid_out()[found[1]].sha256)
    return store.record(build.digest) if name == "RECORD" else build.tree / name.removeprefix("TREE/")


def tamper(path: Path, build: Build, case: dict[str, Any]) -> None:
    text = path.read_text() if path.exists() else ""
    if path.exists():
        path.chmod(0o600)
    if case.get("remove"):
        path.unlink()
    if "write" in case:
        path.write_text(case["write"])
    if "replace" in case:
        assert case["replace"][0] in text
        path.write_text(text.replace(*case["replace"]))
    if "swap" in case:
        one, other = (build.files[name].sha256 for name in case["swap"])
        path.write_text(text.replace(one, "X").replace(other, one).replace("X", other))
    if "link" in case:
        path.symlink_to(case["link"])


def mend(folder: Path, fix: str) -> None:
    """Do what the fix says: delete what it names, if anything."""
    before, found, _ = fix.partition("; ")
    if found and before.startswith("delete "):
        named = [folder / path for path in before.removeprefix("delete ").split(" and ")]
        subprocess.run(["rm", "-r", *named], check=True)


def test_everything_is_private_and_fixed(tmp_path: Path) -> None:
    """Whatever the umask, folders are 0700, files cannot be written, and only what begins like a program can be run."""
    write_project(tmp_path, {**FILES, "docs/run.sh": b"#!/bin/sh\n"})
    before = os.umask(0)
    try:
        build = built(tmp_path)
    finally:
        os.umask(before)
    store = BuildStore(tmp_path)
    for path in store.folder.rglob("*"):
        wanted = {0o700} if path.is_dir() else {0o500} if path.name == "run.sh" else {0o400, 0o500}
        assert stat.S_IMODE(path.stat().st_mode) in wanted, path
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in build.tree.rglob("*") if path.is_file()}
    assert {name for name, mode in modes.items() if mode == 0o500} == {"run.sh"}
    assert (tmp_path / ".bedplate/.gitignore").read_text() == "*\n"


def test_an_unchanged_build_is_copied_by_nobody(tmp_path: Path) -> None:
    """The second build of the same files writes nothing but the time of the record."""
    write_project(tmp_path, FILES)
    build, store = built(tmp_path), BuildStore(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    os.utime(store.record(build.digest), (0, 0))
    assert built(tmp_path).digest == build.digest
    after = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    assert {path for path in before if before[path] != after[path]} == {store.record(build.digest)}
    assert before.keys() == after.keys()


def test_a_link_is_stored_as_its_content(tmp_path: Path) -> None:
    """A document that is a link stands in the tree as a file with the content that it led to."""
    write_project(tmp_path, FILES)
    (tmp_path / "docs/linked.md").symlink_to("one.md")
    build = built(tmp_path)
    assert not (build.tree / "docs/linked.md").is_symlink()
    assert tree_of(build)["docs/linked.md"] == FILES["docs/one.md"]


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, change: str) -> None:
    """A file with another content than the one that was hashed is BP764, and no build of the two states appears."""
    manifest = write_project(tmp_path, FILES)
    target = open_target(manifest, None)
    if change == "edited":
        (tmp_path / "docs/one.md").write_text("# One, edited\n")
    else:
        (tmp_path / "docs/one.md").unlink()
    with pytest.raises(BedplateError) as error:
        make(target)
    assert error.value.problems[0].code == "BP764"
    assert "docs/one.md" in error.value.problems[0].summary
    assert BuildStore(tmp_path).digests() == ()


def test_two_at_once_make_one_build(tmp_path: Path) -> None:
    """Eight threads that make the same build at the same time all get it, and nothing half made is left."""
    write_project(tmp_path, FILES)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(built(tmp_path).digest)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = BuildStore(tmp_path)
    assert len(found) == 8
    assert set(found) == set(store.digests())
    assert list((store.folder / "drafts").iterdir()) == []


def test_the_slower_of_two_leaves_the_tree_of_the_faster(tmp_path: Path) -> None:
    """A tree that is made a second time goes nowhere; where there is no tree in the way, an error is an error."""
    write_project(tmp_path, FILES)
    build, store = built(tmp_path), BuildStore(tmp_path)
    with store.folder_for_drafts() as draft:
        (draft / "other").write_text("")
        store.place(draft, build.tree)
        with pytest.raises(FileNotFoundError):
            store.place(draft, tmp_path / "nowhere" / "tree")
    assert store.open(build.digest) == build
    assert tree_of(build) == FILES


@pytest.mark.parametrize("what", ["make", "collect"])
def test_sigkill_at_every_point_leaves_nothing_wrong(tmp_path: Path, what: str) -> None:
    """What has a record after SIGKILL is whole, the next build gets through, and a collection leaves no rest."""
    script = Path(__file__).parent / "builds_crash.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), what], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > (20 if what == "make" else 5)
    for result in results:
        assert result["whole"], result
        assert result["tree"] == {path: data.decode() for path, data in FILES.items()}
        assert result["blobs"] == len(FILES)
        assert result["trees"]
        assert result["drafts"] == 0


def test_what_is_kept_is_kept_and_the_rest_goes(tmp_path: Path) -> None:
    """A collection removes the builds that it is not told to keep, with the contents that no other build has."""
    write_project(tmp_path, FILES)
    first = built(tmp_path)
    (tmp_path / "docs/one.md").write_text("# One, edited\n")
    second = built(tmp_path)
    store = BuildStore(tmp_path)
    with store.holding():
        assert store.collect(lambda: {second.digest}) is None
    removed = store.collect(lambda: {second.digest})
    assert removed is not None
    assert (removed.builds, removed.bytes) == ((first.digest,), len(FILES["docs/one.md"]))
    assert store.digests() == (second.digest,)
    assert not first.tree.exists()
    assert store.open(second.digest) == second


def test_builds_are_found_by_the_beginning_of_their_digest(tmp_path: Path) -> None:
    """Enough digits name a build; too few or wrong ones are BP761, which names what is near."""
    write_project(tmp_path, FILES)
    build, store = built(tmp_path), BuildStore(tmp_path)
    assert store.find(build.short) == store.find(build.digest) == build.digest
    for prefix, code in (("", None), ("f" * 12, "BP761")):
        if code is None:
            assert store.find(prefix) == build.digest
            continue
        with pytest.raises(BedplateError) as error:
            store.find(prefix)
        assert error.value.problems[0].code == code
        assert build.short in error.value.problems[0].fix
    (tmp_path / "docs/one.md").write_text("# One, edited\n")
    built(tmp_path)
    with pytest.raises(BedplateError, match="2 builds begin with"):
        store.find("")
