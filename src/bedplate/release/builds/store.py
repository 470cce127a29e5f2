"""The store of builds of one project: contents by their hashes, records by build digests, trees to run from.

Goes in: builds, and a way to read their contents. Comes out: builds that were verified, or BP760 naming what is
damaged. It lives in `.bedplate/_builds` and knows nothing of stages. Everything in it is made under another name and
renamed, so that a process that is killed leaves nothing half made; it is private to its owner.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bedplate.blueprint.model import FileRef
from bedplate.problems import BedplateError, Problem
from bedplate.release.builds import verify
from bedplate.release.builds.model import PREFIX, Build
from bedplate.release.folders import make_home

Reader = Callable[[FileRef], IO[bytes]]
"""Opens the content of a file."""
_CHUNK = 1024 * 1024
_WRITERS = 8  # most of the time is waiting for the disk
_PROGRAM = (b"#!", b"\x7fELF")


@dataclass(frozen=True)
class Collected:
    """What a collection removed: builds by digest, and how many bytes nothing needed any more."""

    builds: tuple[str, ...]
    bytes: int


class BuildStore:
    """The builds of the project whose folder is `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / ".bedplate" / "_builds"
        self._blobs = os.fspath(self.folder / "blobs")

    def blob(self, sha256: str) -> Path:
        """Where the content with this hash stands."""
        return Path(self.blob_name(sha256))

    def blob_name(self, sha256: str) -> str:
        """The same as text: asked several times for every file of a build, and paths take long to make."""
        return f"{self._blobs}/{sha256[:2]}/{sha256[2:]}"

    def record(self, digest: str) -> Path:
        """Where the record of a build stands."""
        return self.folder / "records" / f"{digest.removeprefix(PREFIX)}.json"

    def tree_path(self, digest: str) -> Path:
        """Where a build is laid out as a project, whether it is or not."""
        return self.folder / "trees" / digest.removeprefix(PREFIX)

    def site_path(self, requirements: str) -> Path:
        """Where the packages of a requirements file with this hash are unpacked, whether they are or not."""
        return self.folder / "sites" / requirements

    # making

    def put(self, build: Build, read: Reader) -> Build:
        """Store what is missing of a build and lay it out; returns it verified.

        Raises BP760 where what is there already is damaged, and BP764 where `read` gives another content than the build
        says.
        """
        self._make_folders()
        missing = {ref.sha256: ref for ref in build.contents() if not self._holds(ref)}
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(lambda ref: self._store(ref, read), missing.values()))
        record = self.record(build.digest)
        if recorded := self._recorded(build):
            os.utime(record)  # the newest build is the one made last
            return self._verified(recorded)
        with self.draft() as draft:
            write_all(draft, io.BytesIO(build.record()), 0o400)
            draft.replace(record)
        return self.open(build.digest)

    def _recorded(self, build: Build) -> Build | None:
        """What is on record for this build: it may have the manifest in another text, with the same meaning."""
        if not self.record(build.digest).exists():
            return None
        found = verify.read_record(self, build.digest)
        return found if found.wheels == build.wheels and self._holds(found.manifest) else None

    def _holds(self, ref: FileRef) -> bool:
        return os.path.exists(self.blob_name(ref.sha256))  # noqa: PTH110 (one call a file, hot)

    def _make_folders(self) -> None:
        make_home(self.home)
        for folder in (self.folder, *(self.folder / name for name in ("blobs", "records", "trees", "drafts"))):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _store(self, ref: FileRef, read: Reader) -> None:
        blob = self.blob(ref.sha256)
        try:
            with read(ref) as content, self.draft() as draft:
                if write_all(draft, content, None) != (ref.sha256, ref.size):
                    raise _changed(ref)
                blob.parent.mkdir(mode=0o700, exist_ok=True)
                draft.replace(blob)
        except FileNotFoundError as error:
            raise _changed(ref) from error

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A name for something that is being made; what still has it afterwards is removed."""
        path = self.folder / "drafts" / secrets.token_hex(16)
        try:
            yield path
        finally:
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)

    @contextmanager
    def folder_for_drafts(self) -> Iterator[Path]:
        """A folder for what is on its way into the store."""
        self._make_folders()
        with self.draft() as folder:
            folder.mkdir(mode=0o700)
            yield folder

    def _lay_out(self, build: Build) -> None:
        """Make the tree of a build that has none."""
        with self.draft() as draft:
            draft.mkdir(mode=0o700)
            for path, ref in build.laid_out().items():
                for folder in reversed((draft / path).parents):
                    if folder.is_relative_to(draft):
                        folder.mkdir(mode=0o700, exist_ok=True)
                _link(self.blob(ref.sha256), draft / path)
            self.place(draft, build.tree)

    def place(self, draft: Path, folder: Path) -> None:
        """Give a folder that is whole its name. Where another process was faster, its folder stays."""
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise

    # reading

    def open(self, digest: str) -> Build:
        """A build, verified and laid out. Raises BP760 where it is damaged, BP761 where there is none."""
        return self._verified(self.recorded(digest))

    def _verified(self, build: Build) -> Build:
        verify.check_contents(self, build)
        if build.tree.exists():
            verify.check_tree(self, build)
        else:
            self._lay_out(build)
        return build

    def recorded(self, digest: str) -> Build:
        """A build as its record tells, its contents unread. Raises BP760 for a damaged record, BP761 for none."""
        if not self.record(digest).exists():
            raise self._unknown(digest)
        return verify.read_record(self, digest)

    def tree(self, digest: str) -> Path:
        """The folder of a build as a project, verified. Raises as `open` does."""
        return self.open(digest).tree

    def digests(self) -> tuple[str, ...]:
        """The digests of all builds, the newest first."""
        found = list((self.folder / "records").glob("*.json"))
        return tuple(PREFIX + p.stem for p in sorted(found, key=lambda p: (-p.stat().st_mtime_ns, p.stem)))

    def made(self, digest: str) -> float:
        """When a build was made last (Unix time)."""
        return self.record(digest).stat().st_mtime

    def records(self) -> tuple[Build, ...]:
        """All builds, the newest first; their contents are not read. Raises BP760 for a damaged record."""
        return tuple(verify.read_record(self, digest) for digest in self.digests())

    def find(self, prefix: str) -> str:
        """The digest that begins with some hex digits. Raises BP761 where none or several do."""
        found = [digest for digest in self.digests() if digest.removeprefix(PREFIX).startswith(_hex(prefix))]
        if len(found) != 1:
            raise self._unknown(prefix)
        return found[0]

    def _unknown(self, wanted: str) -> BedplateError:
        from bedplate.manifest.words import suggest

        known = [digest.removeprefix(PREFIX)[:12] for digest in self.digests()]
        several = [name for name in known if name.startswith(_hex(wanted))]
        near = several or [name for name in [suggest(_hex(wanted)[:12], known)] if name] or known[:3]
        summary = f"{len(several)} builds begin with {wanted}" if len(several) > 1 else f"there is no build {wanted}"
        fix = f"one of {', '.join(near)}" if near else "make one: `bedplate build`"
        return BedplateError(Problem("BP761", summary, fix=fix))

    # removing

    @contextmanager
    def holding(self) -> Iterator[None]:
        """While this holds, nothing is collected: for what makes a build and has not yet said that it uses it."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody holds the store; if so, nobody does until this ends."""
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        path = self.folder / "lock"
        while True:
            self._make_folders()
            with path.open("a") as file:
                fcntl.flock(file, kind)
                if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    yield
                    return  # else the last stage was destroyed in the meantime, and the store with it

    def collect(self, needed: Callable[[], Collection[str]]) -> Collected | None:
        """Remove every build but those that `needed` tells, and what no build needs. None where others hold the store.

        `needed` is asked once nobody can make a build any more. Raises BP760 where the record of a build to keep is
        damaged: what it needs is then unknown.
        """
        if not self.folder.is_dir():
            return Collected((), 0)
        with self.alone() as alone:
            return self._collect(set(needed())) if alone else None

    def _collect(self, keep: set[str]) -> Collected:
        removed = [digest for digest in self.digests() if digest not in keep]
        kept = [verify.read_record(self, digest) for digest in self.digests() if digest in keep]
        needed = {self.blob(ref.sha256) for build in kept for ref in build.contents()}
        for digest in removed:
            self.record(digest).unlink()
        contents = {ref.sha256 for build in kept for ref in build.files.values()}
        trees = [tree for tree in self.folder.glob("trees/*") if not self.record(tree.name).exists()]
        for folder in (*trees, *(site for site in self.folder.glob("sites/*") if site.name not in contents)):
            with self.draft() as draft:
                folder.rename(draft)  # gone at once: half of it would be taken for damage
        for draft in self.folder.glob("drafts/*"):  # of processes that were killed
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
        spare = [blob for blob in (self.folder / "blobs").glob("*/*") if blob not in needed]
        size = sum(blob.stat().st_size for blob in spare)
        for blob in spare:
            blob.unlink()
        return Collected(tuple(removed), size)


def _hex(text: str) -> str:
    return text.removeprefix(PREFIX).lower()


def write_all(path: Path, content: IO[bytes], mode: int | None) -> tuple[str, int]:
    """Write a file that stays as it is, durably; its hash and size. Without a mode, programs can be run and others not.

    What a program is, its first bytes say: a build's digest does not cover the modes of files, so they mean nothing.
    """
    digest, size, program = hashlib.sha256(), 0, False
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while chunk := content.read(_CHUNK):
            program = chunk.startswith(_PROGRAM) if size == 0 else program
            digest.update(chunk)
            size += file.write(chunk)
        os.fchmod(file.fileno(), mode or (0o500 if program else 0o400))
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def _link(blob: Path, path: Path) -> None:
    """One more name for a content; a copy where the file system knows no second names."""
    try:
        path.hardlink_to(blob)
    except OSError:
        shutil.copy(blob, path)


def _changed(ref: FileRef) -> BedplateError:
    fix = "run the command again when nothing writes to it"
    return BedplateError(Problem("BP764", f"{ref.path} changed while the build was made", fix=fix))
