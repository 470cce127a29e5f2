"""The releases of a stage: `.bedplate/<stage>/releases.jsonl`, append-only, verified whenever it is read.

Goes in: what a release was made of, as JSON values. Comes out: `Entry` values and `ReleaseRecord`s. A release is two
lines: `started`, and `applied`, `failed` or `interrupted`. No line is ever changed.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bedplate.engine.files import fsync_folder, write_all
from bedplate.engine.state import timestamp
from bedplate.release.chain import Chain, Entry, Head, broken, entry_of, next_line, parse_head, verify

LOG, HEAD, LOCK = "releases.jsonl", "releases.head", "releases.lock"
Kind = Literal["started", "applied", "failed", "interrupted"]
Status = Literal["running", "applied", "failed", "interrupted"]


@dataclass(frozen=True)
class ReleaseRecord:
    """One release: what was applied, on what grounds, by whom.

    `plan` is `{"access": [finding…], "changes": [change…], "unchanged": n}`, `verdict` what `Verdict.to_json` says,
    `evals` and `approvals` the evidence it rested on. `override` is the reason for going on against the verdict,
    `problem` why it failed; both "" for none. `from_release` is the release of `from_stage` that was promoted, 0 for
    none. Times are RFC 3339 in UTC; `finished` is "" while it runs.
    """

    number: int
    status: Status
    stage: str
    agent: str
    build: str
    behaviour: str
    tool_version: str
    started: str
    finished: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    evals: Sequence[Mapping[str, Any]] = ()
    approvals: Sequence[Mapping[str, Any]] = ()
    override: str = ""
    problem: str = ""
    who: Mapping[str, str] = field(default_factory=dict)
    from_stage: str = ""
    from_release: int = 0

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, as its lines hold them."""
        values = {written: getattr(self, name) for name, written in _BODY.items()}
        lists = {"evals": list(self.evals), "approvals": list(self.approvals)}
        return {"number": self.number, "status": self.status, **values, **lists}


_CAMEL = {"tool_version": "toolVersion", "from_stage": "fromStage", "from_release": "fromRelease"}
_OF_THE_LINES = {"number", "status"}
"""What follows from the lines themselves."""
_BODY = {name: _CAMEL.get(name, name) for name in ReleaseRecord.__dataclass_fields__ if name not in _OF_THE_LINES}


@dataclass(frozen=True)
class ReleaseLog:
    """The log at `path` (`releases.jsonl` in the stage's folder). `clock` tells Unix time."""

    path: Path
    clock: Callable[[], float] = time.time

    @contextmanager
    def hold(self, purpose: str) -> Iterator[None]:
        """Be the one release that is under way, from its plan to its end. Raises BP210 (exit 6) where another is.

        Inside, a release that a process left behind without an end is recorded as interrupted.
        """
        from bedplate.engine.lock import held

        with held(self.path.with_name(LOCK), purpose, self.clock):
            if left := self._unfinished():
                self.append("interrupted", left, {})
            yield

    def append(self, kind: Kind, release: int, body: Mapping[str, Any]) -> Entry:
        """Write one line and wait until it is on disk; call it while holding the log.

        `body` holds the fields of `ReleaseRecord` in camelCase; those of the end replace those of the start. Raises
        BP770 for a damaged log, OSError where it cannot be written, ValueError for a line out of order.
        """
        chain = self._read()
        self._require_order(chain.entries, kind, release)
        line = next_line(chain.head, kind, release, timestamp(int(self.clock())), _checked(body))
        created = not self.path.exists()
        self._mend(chain)
        self._write(line, chain.size)
        if created:
            fsync_folder(self.path.parent)
        entry = entry_of(line[:-1], chain.head.seq + 1, self.path)
        self._write_head(Head(entry.seq, entry.digest))
        return entry

    def entries(self) -> tuple[Entry, ...]:
        """Every line, verified. Raises BP770."""
        return self._read().entries

    def releases(self) -> tuple[ReleaseRecord, ...]:
        """Every release, first to last; one without an end runs, or was interrupted if nobody holds the log."""
        merged = _merged(self.entries(), self.path)
        if merged and merged[-1].status == "running" and not self._is_held():
            # Looked at again: it may have ended between reading it and looking at the lock.
            merged = _merged(self.entries(), self.path)
            if merged[-1].status == "running":
                return (*merged[:-1], replace(merged[-1], status="interrupted"))
        return merged

    def last_applied(self) -> ReleaseRecord | None:
        """What is deployed as the record has it; None where nothing was ever applied."""
        return next((r for r in reversed(self.releases()) if r.status == "applied"), None)

    def next_number(self) -> int:
        """The number of the next release, from 1."""
        return _next_number(self.entries())

    def _unfinished(self) -> int:
        return _open_release(self.entries())

    def _require_order(self, entries: Sequence[Entry], kind: Kind, release: int) -> None:
        under_way = _open_release(entries)
        expected = under_way
        if kind == "started":
            expected = 0 if under_way else _next_number(entries)
        if not expected or release != expected:
            raise ValueError(f"`{kind} {release}` is out of order")

    def _read(self) -> Chain:
        """Both files as they belong together: read again while a writer is between the two."""
        head_path = self.path.with_name(HEAD)
        while True:
            head, data = _bytes(head_path), _bytes(self.path) or b""
            if _bytes(head_path) == head:
                return verify(data, parse_head(head, head_path), self.path)

    def _mend(self, chain: Chain) -> None:
        """Drop half a line and move the head to the last whole one, as a writer that died would have done next."""
        if chain.entries and _bytes(self.path.with_name(HEAD)) != chain.head.to_bytes():
            self._write_head(chain.head)
        if self.path.exists() and self.path.stat().st_size > chain.size:
            os.truncate(self.path, chain.size)

    def _write(self, line: bytes, size: int) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            write_all(fd, line)
            os.fsync(fd)
        except OSError as error:
            os.ftruncate(fd, size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            os.close(fd)

    def _write_head(self, head: Head) -> None:
        write_file(self.path.with_name(HEAD), head.to_bytes(), mode=0o600)

    def _is_held(self) -> bool:
        # The lock's file is there only while it is held, or after a crash; only then this shared lock is ever given.
        try:
            with self.path.with_name(LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def require_fitting(log: ReleaseLog, running: str) -> None:
    """Raises BP770 where the record does not know the build that runs (its digest; "" where nothing does).

    Whoever rewrites the whole chain can still cut off releases of the same build: only signed evidence would tell.
    """
    if running and running not in {release.build for release in log.releases()}:
        what = f"it does not know build {running.removeprefix('sha256:')[:12]}, which runs"
        raise broken(log.path, 0, what)


def who(environment: Mapping[str, str]) -> dict[str, str]:
    """Who releases: `user` of the operating system; in GitHub's and GitLab's CI also `ci`, `actor` and `run` (URL).

    Variables: GitHub's "Variables reference" and GitLab's "Predefined CI/CD variables".
    """
    found = {"user": os_user()}
    if environment.get("GITHUB_ACTIONS") == "true":
        server, repository = environment.get("GITHUB_SERVER_URL", ""), environment.get("GITHUB_REPOSITORY", "")
        run = f"{server}/{repository}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}"
        found |= {"ci": "github", "actor": environment.get("GITHUB_ACTOR", ""), "run": run}
    elif environment.get("GITLAB_CI") == "true":
        actor, run = environment.get("GITLAB_USER_LOGIN", ""), environment.get("CI_JOB_URL", "")
        found |= {"ci": "gitlab", "actor": actor, "run": run}
    return found


def os_user() -> str:
    """The user by the process's id: variables such as LOGNAME say what one likes."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file as a whole and make it durable: after a crash it is the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        write_all(fd, data)
        os.fsync(fd)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(fd)
    fsync_folder(path.parent)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _checked(body: Mapping[str, Any]) -> Mapping[str, Any]:
    if unknown := sorted(body.keys() - (set(_BODY.values()) - {"started", "finished"})):
        raise ValueError(f"no fields of a release: {', '.join(unknown)}")
    return body


def _next_number(entries: Sequence[Entry]) -> int:
    return entries[-1].release + 1 if entries else 1


def _open_release(entries: Sequence[Entry]) -> int:
    """The release that has started and not ended; 0 for none."""
    return entries[-1].release if entries and entries[-1].kind == "started" else 0


def _merged(entries: Sequence[Entry], path: Path) -> tuple[ReleaseRecord, ...]:
    records: list[ReleaseRecord] = []
    start: Entry | None = None
    for entry in entries:
        if entry.kind == "started" and start is None:
            start = entry
        elif entry.kind in {"applied", "failed", "interrupted"} and start and start.release == entry.release:
            records.append(_record(start, entry, path))
            start = None
        else:
            raise broken(path, entry.seq, f"line {entry.seq} ({entry.kind} {entry.release}) is out of order")
    return (*records, _record(start, None, path)) if start else tuple(records)


def _record(start: Entry, end: Entry | None, path: Path) -> ReleaseRecord:
    body = {**start.body, **(end.body if end else {})}
    status: Any = end.kind if end else "running"
    times = {"started": start.time, "finished": end.time if end else ""}
    try:
        fields = {name: body[written] for name, written in _BODY.items() if written in body}
        return ReleaseRecord(number=start.release, status=status, **{**fields, **times})
    except TypeError as error:
        raise broken(path, start.seq, f"release {start.release} lacks a field: {error}") from error
