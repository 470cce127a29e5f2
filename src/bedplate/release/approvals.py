"""Approvals: files in the repository by which somebody agrees to one finding in one stage, for some time.

Goes in: `approvals/<stage>/*.yaml`. Comes out: `Approval` values, and which of them count. A damaged file is an error,
never an approval and never left out in silence. Who approved is as true as the repository's history: files are not
signed. Approvals are not part of a build.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from bedplate.problems import BedplateError, Problem, Where

if TYPE_CHECKING:
    from bedplate.manifest.yamltree import Tree

FOLDER = "approvals"
API_VERSION, KIND = "bedplate.dev/v1", "Approval"
LONGEST = 365 * 86400
"""How long an approval may count, in seconds."""
_KEYS = ("apiVersion", "kind", "stage", "agent", "finding", "says", "approver", "reason", "approved", "expires")
MAX_TEXT = 1000
"""Characters of one value."""
_MAX_BYTES = 64 * 1024
_SKEW = 600
"""Seconds by which the clock of the approver's machine may be ahead of ours."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_FIX = "put it back as it was, or delete it and approve again"
Standing = Literal["counts", "expired", "early", "unmatched"]
"""`early`: dated in the future. `unmatched`: it would count, and no finding of the current plan is what it approves."""


@dataclass(frozen=True)
class Approval:
    """One approver's yes to one finding. `finding` is its digest, `says` the finding in words when it was approved.

    `approved` and `expires` are RFC 3339; `since` and `until` the same as Unix time. `file` is relative to the project.
    """

    stage: str
    agent: str
    finding: str
    says: str
    approver: str
    reason: str
    approved: str
    expires: str
    file: str

    @property
    def since(self) -> float:
        """When it was given, in Unix time."""
        return unix_time(self.approved)

    @property
    def until(self) -> float:
        """From when on it counts for nothing, in Unix time."""
        return unix_time(self.expires)

    def to_json(self) -> dict[str, str]:
        """The approval as JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def standing(approval: Approval, now: float, findings: Collection[str] | None = None) -> Standing:
    """What an approval is worth at `now`. With `findings` (digests) also whether it matches one of them."""
    if now >= approval.until:
        return "expired"
    if now < approval.since - _SKEW:
        return "early"
    return "counts" if findings is None or approval.finding in findings else "unmatched"


def approved(finding: str, approvals: Iterable[Approval], minimum: int, now: float) -> bool:
    """Whether `minimum` different approvers agree to the finding with this digest; none are needed for 0."""
    given = {slug(a.approver) for a in approvals if a.finding == finding and standing(a, now) == "counts"}
    return len(given) >= minimum


def read_approvals(home: Path, stage: str) -> tuple[Approval, ...]:
    """Every approval of a stage in the project's folder `home`, by file name. Raises BP774 for all damaged files."""
    found: list[Approval] = []
    problems: list[Problem] = []
    for path in sorted((home / FOLDER / stage).glob("*.y*ml")):
        try:
            found.append(read_approval(path, home))
        except BedplateError as error:
            problems += error.problems
    if problems:
        raise BedplateError(*problems)
    return tuple(found)


def read_approval(path: Path, home: Path) -> Approval:
    """One file. Raises BP774."""
    file = path.relative_to(home).as_posix()
    if path.is_symlink() or not path.is_file():
        raise BedplateError(damaged("it is no regular file", Where(file)))
    with path.open("rb") as opened:
        data = opened.read(_MAX_BYTES + 1)
    return parse_approval(data, file)


def parse_approval(data: bytes, file: str) -> Approval:
    """An approval from its content; `file` is its path in the project (`approvals/prod/….yaml`). Raises BP774."""
    tree = _tree(data, file)
    problems = list(_keys(tree.data)) or list(_values(tree.data, PurePosixPath(file)))
    if problems:
        raise BedplateError(*(damaged(what, _place(tree, key, file), fix) for key, what, fix in problems))
    return Approval(file=file, **{key: tree.data[key] for key in _KEYS[2:]})


def _tree(data: bytes, file: str) -> Tree:
    from bedplate.manifest.yamltree import read

    if len(data) > _MAX_BYTES:
        raise BedplateError(damaged(f"it is larger than {_MAX_BYTES // 1024} KiB", Where(file)))
    try:
        tree = read(data.decode("utf-8"), file)
        if tree.problems:
            raise BedplateError(*tree.problems)
    except UnicodeDecodeError as error:
        raise BedplateError(damaged("it is not UTF-8", Where(file))) from error
    except BedplateError as error:
        raise BedplateError(*(damaged(p.summary, p.where or Where(file)) for p in error.problems)) from error
    if not isinstance(tree.data, dict):
        raise BedplateError(damaged("it is not a mapping", tree.where(())))
    return tree


def _place(tree: Tree, key: str, file: str) -> Where:
    return tree.where((key,), key=key not in _KEYS) if key else Where(file)


_Wrong = tuple[str, str, str]
"""The key at fault ("" for the whole file), what is wrong, and how to mend it ("" for the usual way)."""


def _keys(data: dict[str, object]) -> Iterator[_Wrong]:
    from bedplate.manifest.words import did_you_mean

    missing = [key for key in _KEYS if key not in data]
    for key in [key for key in data if key not in _KEYS]:
        yield key, f"`{key}` is not a key of an approval", did_you_mean(key, missing or _KEYS)
    for key in missing:
        yield "", f"`{key}` is missing", ""
    for key in [key for key in data if key in _KEYS]:
        if fault := text_fault(data[key]):
            yield key, f"`{key}` {fault}", ""


def text_fault(value: object) -> str:
    """What keeps a value from being one line of plain text; "" for nothing. Such text cannot write over a screen."""
    if not isinstance(value, str):
        return "must be text"
    if not value.strip():
        return "is empty"
    if len(value) > MAX_TEXT:
        return f"is longer than {MAX_TEXT:,} characters"
    return "" if value.isprintable() else "must be one line of printable text"


def _values(data: dict[str, str], file: PurePosixPath) -> Iterator[_Wrong]:
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND), ("stage", file.parent.name)):
        if data[key] != wanted:
            yield key, f"`{key}` is {data[key]}; here it must be {wanted}", ""
    if not _DIGEST.fullmatch(data["finding"]):
        yield "finding", "`finding` is no digest (sha256: and 64 hex digits)", ""
    elif file.name != file_name(data["finding"], data["approver"]):
        yield "", f"what it says belongs into {file_name(data['finding'], data['approver'])}", ""
    wrong = [key for key in ("approved", "expires") if not _is_time(data[key])]
    yield from ((key, f"`{key}` is no time such as 2027-01-31T12:00:00Z", "") for key in wrong)
    if not wrong and not 0 < unix_time(data["expires"]) - unix_time(data["approved"]) <= LONGEST:
        yield "expires", "`expires` must be after `approved`, by at most 365 days", ""


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        unix_time(text)
    except (ValueError, OverflowError):
        return False
    return True


def unix_time(text: str) -> float:
    """An RFC 3339 time as Unix time. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def file_name(finding: str, approver: str) -> str:
    """The name of an approval's file: the finding's first 12 hex digits and the approver."""
    return f"{finding.removeprefix('sha256:')[:12]}.{slug(approver)}.yaml"


def slug(approver: str) -> str:
    """An approver as part of a file's name. Names that differ in case, punctuation or how Unicode writes a letter only
    are one approver."""
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", approver).casefold())
    name = re.sub(r"[\s!-/:-@\[-`{-~]+", "-", name).strip("-") or name
    plain = re.sub(r"[^a-z0-9]+", "-", name).strip("-")
    if plain == name and len(plain) <= 80:
        return plain
    return f"{plain[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def damaged(what: str, where: Where, fix: str = "") -> Problem:
    """BP774."""
    name = PurePosixPath(where.file).name
    return Problem("BP774", f"the approval {name} cannot be used: {what}", where, fix=fix or _FIX)
