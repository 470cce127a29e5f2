"""What is read from the store of builds is what was put in: the record, each content, the tree. BP760 where it is not.

Goes in: a store's paths and a build. Comes out: the build, or an error that names the damaged file and how to mend it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from bedplate.blueprint.model import FileRef
from bedplate.problems import BedplateError, Problem
from bedplate.release.builds.model import Build, NoRecord, from_record

_BUILT_AGAIN = "`bedplate build` makes it again where the project still has it"
_LAID_OUT = "whatever uses the build next makes it again"


class Places(Protocol):
    """Where a store keeps what."""

    home: Path

    def blob(self, sha256: str) -> Path: ...
    def blob_name(self, sha256: str) -> str: ...
    def record(self, digest: str) -> Path: ...
    def tree_path(self, digest: str) -> Path: ...


def read_record(places: Places, digest: str) -> Build:
    """The build that a record tells. Only `check_contents` shows that it is the one with this digest."""
    path = places.record(digest)
    try:
        build = from_record(path.read_bytes(), places.tree_path(digest))
        if build.digest != digest:
            raise NoRecord(f"it is of {build.digest}")
    except NoRecord as error:
        raise damaged(places, digest, "its record was changed", path, detail=str(error)) from error
    return build


def check_contents(places: Places, build: Build) -> None:
    """The record belongs to its digest, and each content has its hash and size."""
    _check_content(places, build, build.manifest)
    if build.digest_with(_document(places, build)) != build.digest:
        raise damaged(places, build.digest, "its record was changed", places.record(build.digest))
    for ref in build.contents():
        if ref is not build.manifest:
            _check_content(places, build, ref)


def _check_content(places: Places, build: Build, ref: FileRef) -> None:
    blob = places.blob_name(ref.sha256)
    try:
        unchanged = _is(blob, ref)
    except FileNotFoundError as error:
        raise content_damaged(places, build, ref) from error
    if not unchanged:
        raise content_damaged(places, build, ref)


def check_tree(places: Places, build: Build) -> None:
    """The tree holds each file of the build, and nothing else."""
    left = build.laid_out()
    for path, entry in files_below(build.tree):
        ref = left.pop(path, None)
        if ref is None:
            raise damaged(
                places, build.digest, f"{path} is no file of it", build.tree / path, again="nothing else is wrong there"
            )
        stat = entry.stat(follow_symlinks=False)
        same = os.path.samestat(stat, os.stat(places.blob_name(ref.sha256)))  # noqa: PTH116 (one call a file, hot)
        if not same and (entry.is_symlink() or not _is(entry.path, ref)):
            raise damaged(places, build.digest, f"{path} was changed in its tree", build.tree, again=_LAID_OUT)
    for path in left:
        raise damaged(places, build.digest, f"{path} is missing in its tree", build.tree, again=_LAID_OUT)


def _document(places: Places, build: Build) -> dict[str, object]:
    from bedplate.manifest.yamltree import read

    text = places.blob(build.manifest.sha256).read_bytes().decode("utf-8-sig")
    document: dict[str, object] = read(text, build.manifest.path).data
    return document


def _is(path: str, ref: FileRef) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123 (one call a file, hot)
        return hashlib.file_digest(file, "sha256").hexdigest() == ref.sha256 and file.tell() == ref.size


def files_below(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything below a folder that is no folder, with its relative path."""
    pending = [("", os.fspath(folder))]
    while pending:
        prefix, path = pending.pop()
        with os.scandir(path) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    yield f"{prefix}{entry.name}", entry


def content_damaged(places: Places, build: Build, ref: FileRef) -> BedplateError:
    """BP760 of a content that is missing or was changed. The tree goes with it: what it holds are the same files."""
    blob = places.blob(ref.sha256)
    what = f"the content of {ref.path} {'was changed' if blob.exists() else 'is missing'}"
    there = [path for path in (blob, build.tree) if path.exists()]
    return damaged(places, build.digest, what, *there, again=_content_again(places, build, ref))


def _content_again(places: Places, build: Build, ref: FileRef) -> str:
    """What brings a content back, or that nothing here does. Of wheels and the manifest only `build` can tell."""
    if ref is build.manifest or ref in build.wheels:
        return _BUILT_AGAIN
    try:
        same = _is(os.fspath(places.home / ref.path), ref)
    except OSError:
        same = False
    if same:
        return "`bedplate build` makes it again"
    back = f"put back {ref.path} as it was and run `bedplate build`, or bring up what the project has now"
    return f"it cannot be made again from the project, where {ref.path} is another or gone: {back}"


def damaged(
    places: Places, digest: str, what: str, *paths: Path, again: str = _BUILT_AGAIN, detail: str = ""
) -> BedplateError:
    """BP760: what is damaged, the files or folders to delete, and what makes them again."""
    shown = " and ".join(path.relative_to(places.home).as_posix() for path in paths)
    fix = f"delete {shown}; {again}" if shown else again
    return BedplateError(Problem("BP760", f"build {digest[7:19]} is damaged: {what}", detail=detail, fix=fix))
