"""Revisions of a git repository, read as data.

Goes in: a folder of a repository and revisions. Comes out: commits, and their files written into an empty folder. Only
plumbing commands that read are run (rev-parse, symbolic-ref, merge-base, ls-tree, cat-file), with everything off by
which a repository's configuration could run a program or reach the network. Nothing is checked out.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bedplate.problems import BedplateError, Problem

MAX_FILE = 50 * 1024 * 1024
"""Bytes of one file."""
MAX_TOTAL = 1024 * 1024 * 1024
"""Bytes of all files of a revision."""
MAX_FILES = 200_000
_LINK, _SUBMODULE = b"120000", b"160000"
_CHUNK = 1024 * 1024
_OURS = ("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL")
"""What git may know of this process: where it is installed, and the owner's configuration (`safe.directory`)."""
_HARD = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # whatever protocol.*.allow the repository has: a missing object is never fetched
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_LITERAL_PATHSPECS": "1",
}
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.alternateRefsCommand=",
    "protocol.allow=never",
    "safe.bareRepository=explicit",  # a folder of the tree that looks like a repository is none
)
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True)
class Entry:
    """One file of a revision. `path` is relative to the folder asked for."""

    path: str
    mode: bytes
    object: str
    size: int


class Repository:
    """The repository that `folder` stands in. Raises BP791 where there is none, or no git."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        given = os.environ if environment is None else environment
        self._environment = {**{name: given[name] for name in _OURS if name in given}, **_HARD}
        ran = self._git("rev-parse", "--show-prefix", "--is-shallow-repository")
        if ran.returncode:
            raise _no_repository(folder, ran.stderr.decode("utf-8", "replace"))
        prefix, shallow = os.fsdecode(ran.stdout).split("\n")[:2]
        self.prefix = prefix
        """The folder's path in the repository: "" or `agents/support/`."""
        self._shallow = shallow == "true"
        self._written: dict[str, Path] = {}

    def commit(self, revision: str) -> str:
        """The commit's full id. Raises BP792 where there is no such revision."""
        if revision.startswith("-") or not revision or "\0" in revision:
            raise _unknown(revision, "a revision is a branch, a tag or a commit")
        ran = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        found = ran.stdout.decode("utf-8", "replace").strip()
        if ran.returncode or not _COMMIT.fullmatch(found):
            raise _unknown(revision, self._fetch(f"git fetch origin {revision}"))
        return found

    def merge_base(self, one: str, other: str) -> str:
        """The commit where two commits parted. Raises BP792 where none is known."""
        ran = self._git("merge-base", one, other)
        found = ran.stdout.decode("utf-8", "replace").split("\n")[0]
        if ran.returncode or not _COMMIT.fullmatch(found):
            what = f"{one[:12]} and {other[:12]} have no common commit here"
            raise BedplateError(Problem("BP792", what, fix=self._fetch("name a base that the head grew from")))
        return found

    def default_branch(self) -> str | None:
        """The branch that the remote `origin` says is its own; None where this clone does not know it."""
        ran = self._git("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        return ran.stdout.decode("utf-8", "replace").strip().removeprefix("origin/") or None

    def history(self, commit: str, file: str, most: int) -> list[str]:
        """The commits from `commit` back along its first parents that changed a file of the folder, newest first."""
        ran = self._git("rev-list", "--first-parent", f"--max-count={most}", commit, "--", file)
        return ran.stdout.decode().split()

    def materialise(self, commit: str, folder: str, into: Path, plain: Sequence[str] = ()) -> tuple[str, ...]:
        """Write the files of `folder` at `commit` below `into`, which exists; returns the submodules left out.

        A folder that is not there at that commit has no files. Links are written last, and none for names in `plain`
        and what is below them, which are read by what judges no links. Raises BP793 for names that no
        file may have and for more bytes than a review reads, BP792 for objects that are not here.
        """
        tree = self._tree(commit, folder.rstrip("/"))
        if tree is None:
            return ()
        entries = list(self._entries(tree, commit))
        check_names([entry.path for entry in entries], commit)
        files = [e for e in entries if e.mode not in (_LINK, _SUBMODULE)]
        links = [e for e in entries if e.mode == _LINK and e.path.partition("/")[0] not in plain]
        _check_sizes([*files, *links], commit)
        self._write([*files, *links], into, commit)
        return tuple(e.path for e in entries if e.mode == _SUBMODULE)

    def _tree(self, commit: str, folder: str) -> str | None:
        """The tree of a folder; None where the commit has none. Raises BP792 where this clone cannot tell."""
        if not folder:
            return commit
        ran = self._git("ls-tree", "-z", "-d", "--full-tree", commit, "--", folder)
        if ran.returncode:
            raise self._missing(commit, ran.stderr)
        return ran.stdout.split(b"\t")[0].split()[2].decode() if ran.stdout else None

    def _entries(self, tree: str, commit: str) -> Iterator[Entry]:
        ran = self._git("ls-tree", "-r", "-z", "--long", "--full-tree", tree)
        if ran.returncode:
            raise self._missing(commit, ran.stderr)
        for line in filter(None, ran.stdout.split(b"\0")):
            head, _, name = line.partition(b"\t")
            mode, _, object_id, size = head.split()
            yield Entry(os.fsdecode(name), mode, object_id.decode(), int(size) if size != b"-" else 0)

    def _write(self, entries: Sequence[Entry], into: Path, commit: str) -> None:
        """All contents through one `cat-file`, without filters: as they are in the repository."""
        with self._start("cat-file", "--batch") as process:
            assert process.stdin
            assert process.stdout
            for entry in entries:
                path = into / entry.path
                path.parent.mkdir(parents=True, exist_ok=True)
                if entry.mode != _LINK and (same := self._written.get(entry.object)):
                    os.link(same, path)
                    continue
                process.stdin.write(f"{entry.object}\n".encode())
                process.stdin.flush()
                self._write_one(entry, process.stdout, path, commit)
            process.stdin.close()

    def _write_one(self, entry: Entry, source: IO[bytes], path: Path, commit: str) -> None:
        answer = source.readline().split()
        if answer[1:] != [b"blob", str(entry.size).encode()]:
            raise self._missing(commit, b" ".join(answer))
        if entry.mode == _LINK:
            os.symlink(os.fsdecode(source.read(entry.size)), path)  # noqa: PTH211 (the target as it is, of any form)
        else:
            with path.open("xb") as file:
                for size in _pieces(entry.size):
                    file.write(source.read(size))
            self._written[entry.object] = path
        source.read(1)

    def _missing(self, commit: str, said: bytes) -> BedplateError:
        what = f"files of {commit[:12]} are not in this clone"
        fix = "clone without a filter (no `--filter`, no `--depth`); in GitHub Actions: `fetch-depth: 0`"
        return BedplateError(Problem("BP792", what, detail=said.decode("utf-8", "replace").strip(), fix=fix))

    def _fetch(self, otherwise: str) -> str:
        """How to get what is not here."""
        if self._shallow:
            return "this clone is shallow: `git fetch --unshallow`, or in CI `fetch-depth: 0` (GitHub), `GIT_DEPTH: 0`"
        return otherwise

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                self._command(arguments),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise _no_repository(self._folder, "there is no git on this machine") from error

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._command(arguments), env=self._environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )

    def _command(self, arguments: Sequence[str]) -> list[str]:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        return ["git", "--no-pager", *settings, "-C", os.fspath(self._folder), *arguments]


def _pieces(size: int) -> Iterator[int]:
    for start in range(0, size, _CHUNK):
        yield min(_CHUNK, size - start)


def check_names(paths: Sequence[str], commit: str) -> None:
    """Raises BP793 for a path that leads elsewhere, that is git's own, or that another is on some disks."""
    folded: dict[str, str] = {}
    folders: set[str] = set()
    for path in paths:
        parts = path.split("/")
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\0" in path:
            raise _refused(commit, f"a file is named `{path}`", "rename it")
        whole = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        folders.update(whole[:-1])
        for part in whole:
            if folded.setdefault(part.casefold(), part) != part:
                raise _refused(commit, f"`{part}` and `{folded[part.casefold()]}` differ by case only", "rename one")
    if len(set(paths)) < len(paths) or not folders.isdisjoint(paths):
        raise _refused(commit, "a name stands for two things", "write the commit with git itself")


def _check_sizes(entries: Sequence[Entry], commit: str) -> None:
    if len(entries) > MAX_FILES:
        raise _refused(
            commit, f"it has {len(entries):,} files", f"a review reads {MAX_FILES:,}; give the agent a folder"
        )
    for entry in entries:
        if entry.size > MAX_FILE:
            what, fix = f"`{entry.path}` has {entry.size:,} bytes", f"a review reads files up to {MAX_FILE:,} bytes"
            raise _refused(commit, what, f"{fix}; keep it elsewhere, or give the agent a folder without it")
    if (total := sum(entry.size for entry in entries)) > MAX_TOTAL:
        fix = f"a review reads {MAX_TOTAL:,}; give the agent a folder of its own"
        raise _refused(commit, f"its files have {total:,} bytes", fix)


def _refused(commit: str, summary: str, fix: str) -> BedplateError:
    return BedplateError(Problem("BP793", f"{commit[:12]} cannot be read: {summary}", fix=fix))


def _no_repository(folder: Path, said: str) -> BedplateError:
    fix = "run it inside a git repository; where git says `dubious ownership`, do what it says there"
    return BedplateError(Problem("BP791", f"{folder} stands in no git repository", detail=said.strip(), fix=fix))


def _unknown(revision: str, fix: str) -> BedplateError:
    return BedplateError(Problem("BP792", f"there is no revision `{revision}` here", fix=fix))
