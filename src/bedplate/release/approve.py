"""Approving: a finding is chosen, a time and a reason are checked, and a file is written.

Goes in: the findings of the current plan, and what somebody typed. Comes out: an `Approval`, and its file. It never
changes an approval that counts.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bedplate.access.findings import STATEMENTS, Finding
from bedplate.engine.state import timestamp
from bedplate.problems import BedplateError, Problem, Where
from bedplate.release.approvals import (
    API_VERSION,
    FOLDER,
    KIND,
    LONGEST,
    MAX_TEXT,
    Approval,
    damaged,
    file_name,
    read_approval,
    standing,
    text_fault,
)

_PREFIX = re.compile(r"(sha256:)?[0-9a-f]{6,64}")
_DURATION = re.compile(r"[0-9]{1,4}[dh]")


def choose(wanted: str, findings: Sequence[Finding], agent: str, stage: str) -> tuple[str, Finding]:
    """The finding that `A1` or the beginning of a digest names, with its `A…`. Raises BP777."""
    named = {f"A{number}": finding for number, finding in enumerate(findings, 1)}
    chosen = [(name, f) for name, f in named.items() if _names(wanted, name, f.digest(agent, stage))]
    match chosen:
        case [(name, finding)] if finding.effect == "narrower":
            raise _refused(f"{name} makes access narrower and needs no approval")
        case [one]:
            return one
        case []:
            open_ones = [f"{n} ({words(f)})" for n, f in named.items() if f.effect != "narrower"]
            fix = f"choose one of {', '.join(open_ones)}" if open_ones else "nothing in this plan needs an approval"
            raise _refused(f"the plan of {agent} → {stage} has no finding {wanted}", fix)
        case _:
            raise _refused(f"{wanted} names {', '.join(name for name, _ in chosen)}", "write more digits, or A1")


def _names(wanted: str, name: str, digest: str) -> bool:
    if _PREFIX.fullmatch(wanted):
        return digest.removeprefix("sha256:").startswith(wanted.removeprefix("sha256:"))
    return wanted.upper() == name


def words(finding: Finding) -> str:
    """A finding as an approval says it, in one line."""
    may = "" if finding.verb in STATEMENTS else "may "
    said = f"{finding.subject} {may}{finding.verb} {finding.object}"
    notes = ", ".join(note for note in (finding.behind, finding.reason) if note)
    doubt = "unproved: " if finding.effect == "unproved" else ""
    line = " ".join((doubt + said + (f" ({notes})" if notes else "")).split())
    plain = "".join(c if c.isprintable() else "?" for c in line)
    return plain if len(plain) <= MAX_TEXT else f"{plain[: MAX_TEXT - 1]}…"


def require_honest(approvals: Iterable[Approval], findings: Iterable[Finding], agent: str, stage: str) -> None:
    """Raises BP774 where an approval says something else than the finding that it approves: people read the words."""
    said = {finding.digest(agent, stage): words(finding) for finding in findings}
    problems = [
        damaged(f"it says “{a.says}”, and what it approves is “{said[a.finding]}”", Where(a.file))
        for a in approvals
        if a.says != said.get(a.finding, a.says)
    ]
    if problems:
        raise BedplateError(*problems)


def new_approval(
    finding: Finding, *, agent: str, stage: str, approver: str, reason: str, expires: str, now: float
) -> Approval:
    """The approval, not written yet. Raises BP777 where reason, approver or time cannot be."""
    for option, value in (("--reason", reason), ("--as", approver)):
        if fault := text_fault(value):
            raise _refused(f"{option} {fault}")
    digest = finding.digest(agent, stage)
    return Approval(
        stage=stage,
        agent=agent,
        finding=digest,
        says=words(finding),
        approver=approver,
        reason=reason,
        approved=timestamp(int(now)),
        expires=timestamp(int(expiry(expires, now))),
        file=f"{FOLDER}/{stage}/{file_name(digest, approver)}",
    )


def expiry(text: str, now: float) -> float:
    """When `30d`, `12h` or a date (to the end of that day, UTC) is over, in Unix time. Raises BP777."""
    until = _until(text, now)
    if until is None:
        raise _refused(f"--expires {text} is no time", "write a number of days such as 30d, or a date: 2027-01-31")
    if not until - now >= 1:
        raise _refused(f"--expires {text} is over already")
    if until - int(now) > LONGEST:
        last = datetime.fromtimestamp(now + LONGEST, UTC).date() - timedelta(days=1)
        raise _refused(f"--expires {text} is more than 365 days away", f"write at most 365d, or {last}")
    return until


def _until(text: str, now: float) -> float | None:
    if _DURATION.fullmatch(text):
        return int(now) + int(text[:-1]) * (86400 if text.endswith("d") else 3600)
    try:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + 86400
    except ValueError:
        return None


def approver_name(home: Path, given: str | None) -> str:
    """Who approves: as given, else git's `user.email` in the project, else the user of the operating system."""
    if given is not None:
        return given
    from bedplate.release.records import os_user

    try:
        asked = subprocess.run(
            ["git", "config", "user.email"], cwd=home, capture_output=True, text=True, check=False, timeout=10
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return os_user()
    return asked.stdout.strip() or os_user()


def write_approval(home: Path, approval: Approval, now: float) -> Path:
    """Write the file. Raises BP775 where the same approver's approval still counts, BP774 where it is damaged."""
    from bedplate.release.records import write_file

    path = home / approval.file
    if path.exists() or path.is_symlink():
        before = read_approval(path, home)
        if standing(before, now) != "expired":
            summary = f"{before.approver} has approved this until {before.expires}"
            raise BedplateError(Problem("BP775", summary, fix=f"nothing is to do; or delete {approval.file} first"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content(approval).encode())
    return path


def content(approval: Approval) -> str:
    """The file's text: what was typed in quotes, so that no YAML reader takes it for anything but text."""
    import yaml

    lines = [f"apiVersion: {API_VERSION}", f"kind: {KIND}"]
    for key, value in approval.to_json().items():
        if key != "file":
            quoted = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10_000)
            lines.append(f"{key}: {quoted.rstrip()}")
    return "\n".join(lines) + "\n"


def _refused(summary: str, fix: str = "") -> BedplateError:
    return BedplateError(Problem("BP777", summary, fix=fix))
