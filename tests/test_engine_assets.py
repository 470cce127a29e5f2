"""Assets and archives: what is in them, their hashes, and how they go over the wire."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.assets import Archive, Asset
from bedplate.engine.contents import hashed
from bedplate.engine.values import Secret, elided, from_struct, to_struct
from engine_cloud import bench_in, refused
from engine_programs import build, write


def _names(archive: Archive) -> dict[str, bytes]:
    return dict(archive.files())


def test_a_program_of_this_process_reads_what_it_was_handed(tmp_path: Path) -> None:
    """A resource type gets the content of texts and files, and the files of an archive by their names."""
    write({"one.txt": "hello", "lib/sub/x.py": "x", "code.zip": {"zip": {"main.py": "y"}}}, tmp_path)
    with tarfile.open(tmp_path / "code.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "lib", "lib")
    assert Asset(text="größe").read() == "größe".encode()
    assert Asset(path=str(tmp_path / "one.txt")).read() == b"hello"
    assert _names(Archive(path=str(tmp_path / "lib"))) == {"sub/x.py": b"x"}
    assert _names(Archive(path=str(tmp_path / "code.tar.gz"))) == {"lib/sub/x.py": b"x"}
    inner = Archive(path=str(tmp_path / "code.zip"))
    whole = Archive(assets={"b": inner, "a": Asset(text="t")})
    assert _names(whole) == {"a": b"t", "b/main.py": b"y"}


# Of archives with the one file named, mode 0600, as Go's archive/tar writes them: the field of 100 characters, both
# fields, records for a longer name, records for a name that is not ASCII, and one that ends in a slash where it is cut.
TARS = {
    "a": "aa69245acd31bae3fa922c6a3f27d167936f84c0cffe4badba08db8b7a510f6f",
    "f" * 100: "84091e19f8146fc924e48a8924440ae2cb42ff6b2e50d8b8374f9d28443f6ea6",
    "d" * 100 + "/" + "f" * 90: "05295d8eb1e98089c01780282096f3ed4ab05385dab652e05ba0393a47d1f2b8",
    "f" * 101: "a8f9a631e986371b8734ea4204f6060db82ea72274974537b7ea431b4fc9c8c6",
    "über/größe.txt": "a73bd31a293f3c80496375e286cec965accdc3c168808af77a43c83566055fe7",
    "b./é": "927b17f6d7e17bba15892e1861bbc7d0c49e88e282d76dffc7c9eb3df9065f9a",
    "d" * 99 + "/é" + "f" * 99: "3dd5f0ab1ef077efe5e5d92036884d5a6b085a99f9c9342e87516a07ae721df6",
}


@pytest.mark.parametrize(("name", "digest"), TARS.items(), ids=range(len(TARS)))
def test_an_archive_has_the_hash_that_pulumi_gives_it(name: str, digest: str) -> None:
    """The hash of a map is that of the tar file which Go's writer makes of it, whatever its names."""
    assert hashed(Archive(assets={name: Asset(text="x")})).hash == digest


def test_an_archive_file_is_hashed_as_it_is(tmp_path: Path) -> None:
    """A file with the name of an archive is not opened to be hashed."""
    (tmp_path / "x.zip").write_bytes(b"anything")
    found = hashed({"deep": [Secret(Archive(path=str(tmp_path / "x.zip")))]})
    assert found["deep"][0].value.hash == hashlib.sha256(b"anything").hexdigest()


@pytest.mark.parametrize(
    "value",
    [
        Asset("1", "text"),
        Asset("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""),
        Asset("1", path="a"),
        Asset("1"),
        Archive("1", path="a"),
        Archive("1", {"a": Asset("2", "t"), "b": Archive("3", {})}),
        Archive("1", uri="file:///a"),
        Archive("1"),
    ],
)
def test_the_wire_keeps_contents(value: Any) -> None:
    """What is sent comes back the same, alone, in a secret and in a list; elided, nothing but the hash is left."""
    sent = {"a": value, "b": Secret(value), "c": [value]}
    assert from_struct(to_struct(sent)) == sent
    bare = type(value)(value.hash)
    assert elided(sent) == {"a": bare, "b": Secret(bare), "c": [bare]}


def test_a_remote_content_is_refused_by_its_address(tmp_path: Path) -> None:
    """Nothing is downloaded: BP202 names the address."""
    bench = bench_in(tmp_path)
    program = build([{"name": "a", "contents": {"doc": {"uri": "https://example.invalid/x"}}}])
    problem = refused(lambda: bench.engine.up(bench.stack, program, {}), "BP202")
    assert "the remote asset https://example.invalid/x" in problem.summary


def test_contents_of_which_only_the_hash_is_known_say_so() -> None:
    """What a provider gets to compare cannot be read, and the error says why."""
    assert "nothing but its hash" in refused(Asset("abc").read, "BP225").summary
    assert "nothing but its hash" in refused(lambda: list(Archive("abc").files()), "BP225").summary


def test_of_two_contents_with_one_name_the_first_counts() -> None:
    """A name that comes twice, by two archives in one, is in the hash once."""
    inner = Archive(assets={"x": Asset(text="first")})
    twice = hashed(Archive(assets={"lib": inner, "lib/x": Asset(text="second")}))
    assert twice.hash == hashed(Archive(assets={"lib": inner})).hash
    assert twice.hash != hashed(Archive(assets={"lib/x": Asset(text="second")})).hash
