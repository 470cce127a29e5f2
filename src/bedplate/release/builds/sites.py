"""The unpacked packages of a build in the store: `sites/<hash of the requirements file>`, made once and checked.

Goes in: a store and a build. Comes out: the folder for Python's import path, or BP760 naming what is damaged in it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from bedplate.blueprint.model import FileRef
from bedplate.release.builds.model import Build
from bedplate.release.builds.store import BuildStore, write_all
from bedplate.release.builds.verify import damaged, files_below
from bedplate.release.builds.wheels import Member, fetch, hash_of, members, not_named, usable


def wheels_for(store: BuildStore, requirements: FileRef, folder: Path) -> tuple[FileRef, ...]:
    """The wheels of a requirements file: those of an earlier build, else fetched into `folder`. Raises BP763."""
    for build in store.records():
        known = requirements.sha256 in {ref.sha256 for ref in build.files.values()}
        if known and build.wheels and usable(build.wheels) and _there(store, build.wheels):
            return build.wheels
    return fetch(store.home / requirements.path, folder)


def _there(store: BuildStore, wheels: tuple[FileRef, ...]) -> bool:
    return all(store.blob(wheel.sha256).exists() for wheel in wheels)


def site(store: BuildStore, build: Build, requirements: FileRef) -> Path:
    """The folder of the build's packages, unpacked where it is not there yet. Raises BP760, BP763."""
    text = store.blob(requirements.sha256).read_text("utf-8-sig")
    if stranger := not_named(build.wheels, text):
        raise damaged(store, build.digest, f"{requirements.path} does not name {stranger}", store.record(build.digest))
    path = store.site_path(requirements.sha256)
    wanted = members((wheel.path, store.blob(wheel.sha256)) for wheel in build.wheels)
    if path.is_dir():
        _check(store, build, path, wanted)
    else:
        _unpack(store, path, wanted)
    return path


def _unpack(store: BuildStore, path: Path, wanted: dict[str, Member]) -> None:
    with store.draft() as draft:
        draft.mkdir(mode=0o700)
        for place, member in wanted.items():
            for folder in _folders(draft, place):
                folder.mkdir(mode=0o700, exist_ok=True)
            write_all(draft / place, io.BytesIO(member.read()), None)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        store.place(draft, path)


def _folders(root: Path, place: str) -> Iterator[Path]:
    """The folders below `root` that a file needs, the outermost first."""
    return reversed([folder for folder in (root / place).parents if folder.is_relative_to(root)])


def _check(store: BuildStore, build: Build, path: Path, wanted: dict[str, Member]) -> None:
    left = dict(wanted)
    for place, entry in files_below(path):
        member = left.pop(place, None)
        if member is None or entry.is_symlink() or hash_of(member.hash, Path(entry.path).read_bytes()) != member.hash:
            raise damaged(store, build.digest, f"{place} of its packages was changed", path)
    for place in left:
        raise damaged(store, build.digest, f"{place} of its packages is missing", path)
