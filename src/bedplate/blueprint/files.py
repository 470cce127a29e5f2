"""The project's files: which ones the manifest names, and what is in them.

Goes in: the project's folder and paths as the manifest writes them. Comes out: `FileRef`s, or `FileTrouble`. It never
reads outside the project, nor `.env` and the folders of stages, whatever name a link gives them. Each is read once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bedplate.access import matches
from bedplate.blueprint.model import FileRef

DOCUMENTS = ("*.md", "*.markdown", "*.rst", "*.html", "*.htm", "*.txt")
"""What counts as a document where `include` is not written."""
_SKIPPED = {"__pycache__", "node_modules"}
MOST_TOLD = 20
"""Troubles of one folder that are told one by one."""
_SECRETS, _STAGES = ".env", ".bedplate"

_TAKE_AWAY = "take it away; secrets are named in the manifest as `{secret: name}`"


@dataclass(frozen=True)
class FileTrouble(Exception):
    """A path that cannot be used: the code, what is wrong, how to mend it. Of a folder it may have `more`."""

    code: str
    summary: str
    fix: str
    more: tuple[FileTrouble, ...] = ()

    def each(self) -> Iterator[FileTrouble]:
        """Itself and the others, the first 20 one by one."""
        yield self
        yield from self.more[: MOST_TOLD - 1]
        if left := self.more[MOST_TOLD - 1 :]:
            yield FileTrouble(left[0].code, f"… and {len(left)} more", "mend these first")


class ProjectFiles:
    """Reads and hashes files of one project, each once."""

    def __init__(self, project: Path) -> None:
        self.project = Path(os.path.abspath(project))  # noqa: PTH100 (lexical: links are judged one by one)
        self._real = os.path.realpath(project)
        self._refs: dict[str, FileRef] = {}
        self._chosen: dict[tuple[object, ...], tuple[Path, list[FileRef]]] = {}

    def locate(self, path: str) -> Path:
        """The absolute path of something that exists inside the project. Raises FileTrouble (BP104, BP105)."""
        fix = "name something inside the folder of agent.yaml, by a relative path"
        if path.startswith(("/", "~")) or "\\" in path or (len(path) > 1 and path[1] == ":"):
            raise FileTrouble("BP105", f"`{path}` is not a relative path with forward slashes", fix)
        joined = os.path.normpath(os.path.join(self.project, path))  # noqa: PTH118 (lexical, before any link is followed)
        if not _inside(joined, os.fspath(self.project)):
            raise FileTrouble("BP105", f"`{path}` leaves the project", fix)
        if not _inside(os.path.realpath(joined), self._real):
            raise FileTrouble(
                "BP105", f"`{path}` is a link out of the project", "copy what it points to into the project"
            )
        self._refuse_private(joined, path)
        if not os.path.lexists(joined):
            raise FileTrouble("BP104", f"there is no `{path}`", _near(Path(joined), path))
        return Path(joined)

    def one(self, path: str) -> FileRef:
        """One file. Raises FileTrouble where it is none, cannot be read or stands outside."""
        full = self.locate(path)
        if full.is_dir():
            raise FileTrouble("BP104", f"`{path}` is a folder, not a file", "name the file in it")
        if not full.is_file():
            raise FileTrouble("BP119", f"`{path}` is no regular file", "name a regular file")
        return self._ref(full)

    def text(self, path: str) -> str:
        """The text of one file. Raises FileTrouble where it is not UTF-8 as well."""
        self.one(path)
        try:
            return self.locate(path).read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileTrouble("BP119", f"`{path}` is not UTF-8 text", "save it as UTF-8") from error

    def documents(self, path: str, include: Sequence[str] | None, exclude: Sequence[str]) -> tuple[Path, list[FileRef]]:
        """The folder and the files below it that count, sorted by path. A single file has its folder as root."""
        key = (path, tuple(include or DOCUMENTS), tuple(exclude))
        if key not in self._chosen:
            self._chosen[key] = self._documents(*key)
        return self._chosen[key]

    def _documents(self, path: str, wanted: Sequence[str], exclude: Sequence[str]) -> tuple[Path, list[FileRef]]:
        full = self.locate(path)
        if not full.is_dir():
            return full.parent, [self.one(path)]
        return full, self._below(full, lambda p: _any(wanted, p) and not _any(exclude, p))

    def code(self) -> list[FileRef]:
        """Every Python file of the project, sorted by path; virtual environments and hidden folders are left out."""
        return self._below(self.project, lambda path: path.endswith(".py"))

    def _below(self, root: Path, counts: Callable[[str], bool]) -> list[FileRef]:
        """The files below `root` that count, sorted by path. Raises FileTrouble with everything that is wrong there."""
        troubles: list[FileTrouble] = []
        refs: list[FileRef] = []
        for _, entry in sorted(found for found in self._walk(root, troubles) if counts(found[0])):
            try:
                refs.append(self._within(entry, root))
            except FileTrouble as trouble:
                troubles.append(trouble)
        if troubles:
            first, *more = sorted(troubles, key=lambda trouble: trouble.summary)
            raise FileTrouble(first.code, first.summary, first.fix, tuple(more))
        return refs

    def in_environment(self, path: str) -> bool:
        """Whether a path is in a virtual environment: made on this machine for it, and part of no build."""
        return any((parent / "pyvenv.cfg").exists() for parent in (self.project / path).parents)

    def _within(self, entry: str, root: Path) -> FileRef:
        """A file found below `root`. Raises FileTrouble where it is a link that leads out of `root`, or to no file."""
        if os.path.islink(entry):  # noqa: PTH114 (one call a file, hot)
            shown = self._shown(entry)
            if not _inside(os.path.realpath(entry), os.path.realpath(root)):
                left = "the project" if root == self.project else f"`{self._shown(os.fspath(root))}`"
                raise FileTrouble("BP105", f"`{shown}` is a link out of {left}", "remove it or copy what it points to")
            self._refuse_private(entry, shown)
            if not Path(entry).is_file():
                raise FileTrouble("BP119", f"`{shown}` is a link to no regular file", "remove it")
        return self._ref(Path(entry))

    def _refuse_private(self, full: str, shown: str) -> None:
        """Raises FileTrouble where a path leads to secrets: no build holds them, and no agent may read them."""
        for part in Path(os.path.relpath(os.path.realpath(full), self._real)).parts:
            if part == _STAGES or _holds_secrets(part):
                raise FileTrouble("BP105", f"`{shown}` leads to `{part}`, which holds secrets", _TAKE_AWAY)

    def _refuse_private_file(self, found: os.stat_result, shown: str) -> None:
        """Raises FileTrouble where a file has a second name that is private: a hard link, which no path tells."""
        if found.st_nlink > 1 and (name := self._private.get((found.st_dev, found.st_ino))):
            raise FileTrouble("BP105", f"`{shown}` leads to `{name}`, which holds secrets", _TAKE_AWAY)

    @cached_property
    def _private(self) -> Mapping[tuple[int, int], str]:
        """Device and inode of every file whose name makes it private: `.env`, `.env.*`, and all in `.bedplate`."""
        found: dict[tuple[int, int], str] = {}
        beside = [path for path in self.project.glob(f"{_SECRETS}*") if _holds_secrets(path.name)]
        for path in (*beside, *(self.project / _STAGES).rglob("*")):
            try:
                entry = path.lstat()
            except FileNotFoundError:  # a stage that runs makes and removes files
                continue
            found[entry.st_dev, entry.st_ino] = path.relative_to(self.project).parts[0]
        return found

    def _walk(self, root: Path, troubles: list[FileTrouble]) -> Iterator[tuple[str, str]]:
        """Regular files and links below `root` with their relative path; hidden names are left out."""
        pending = [("", os.fspath(root))]
        while pending:
            prefix, folder = pending.pop()
            for entry in self._entries(folder, troubles):
                if entry.is_dir(follow_symlinks=False):
                    if not os.path.exists(f"{entry.path}/pyvenv.cfg"):  # noqa: PTH110 (one call a folder, hot)
                        pending.append((f"{prefix}{entry.name}/", entry.path))
                elif entry.is_symlink() or entry.is_file():
                    yield f"{prefix}{entry.name}", entry.path

    def _entries(self, folder: str, troubles: list[FileTrouble]) -> Iterator[os.DirEntry[str]]:
        """What counts in one folder; what cannot be read, named or followed is added to `troubles` instead."""
        try:
            with os.scandir(folder) as found:
                entries = [e for e in found if not e.name.startswith(".") and e.name not in _SKIPPED]
        except OSError as error:
            fix = "make it readable, or move it out of the project"
            what = f"cannot read the folder `{self._shown(folder)}`: {error.strerror}"
            troubles.append(FileTrouble("BP119", what, fix))
            return
        for entry in entries:
            try:
                self._refuse_unusable(entry)
            except FileTrouble as trouble:
                troubles.append(trouble)
                continue
            yield entry

    def _shown(self, path: str) -> str:
        """The path within the project; bytes that are not UTF-8 as escapes."""
        return os.path.relpath(path, self.project).encode("utf-8", "backslashreplace").decode()

    def _refuse_unusable(self, entry: os.DirEntry[str]) -> None:
        """Raises FileTrouble for a name that is not UTF-8 and for a link to a folder or to itself."""
        if entry.name.isascii() and not entry.is_symlink():
            return
        shown = self._shown(entry.path)
        if not _is_text(entry.name):
            raise FileTrouble("BP119", f"the name `{shown}` is not UTF-8", "rename the file")
        if not entry.is_symlink():
            return
        try:
            folder = entry.is_dir()
        except OSError as error:
            raise FileTrouble("BP119", f"cannot follow the link `{shown}`: {error.strerror}", "remove it") from error
        if folder:
            raise FileTrouble("BP105", f"`{shown}` is a link to a folder", "name the folder itself as a data source")

    def _ref(self, full: Path) -> FileRef:
        relative = full.relative_to(self.project).as_posix()
        if relative not in self._refs:
            try:
                with full.open("rb") as file:
                    self._refuse_private_file(os.fstat(file.fileno()), relative)
                    digest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
            except OSError as error:
                fix = "make it readable, or leave it out with `exclude`"
                raise FileTrouble("BP119", f"cannot read `{relative}`: {error.strerror}", fix) from error
            self._refs[relative] = FileRef(relative, digest, size)
        return self._refs[relative]


def _holds_secrets(name: str) -> bool:
    return name == _SECRETS or name.startswith(f"{_SECRETS}.")


def _any(patterns: Sequence[str], path: str) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


def _is_text(name: str) -> bool:
    return not any(0xDC80 <= ord(ch) <= 0xDCFF for ch in name)  # how Python keeps bytes that are not UTF-8


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _near(full: Path, path: str) -> str:
    from bedplate.manifest.words import suggest

    folder = full.parent
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    meant = suggest(full.name, names)
    return f"did you mean `{path[: len(path) - len(full.name)]}{meant}`?" if meant else "create it or mend the path"
