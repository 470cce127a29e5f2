"""The packages of a build: fetched once as wheels, kept like every content, unpacked for tools to import.

Goes in: a requirements file with hashes. Comes out: wheels, and a folder for Python's import path. Wheels are unpacked
as https://packaging.python.org/en/latest/specifications/binary-distribution-format/ says, but for scripts, headers and
data, which no import needs; nothing of a package runs while that is done.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bedplate.blueprint.model import FileRef
from bedplate.blueprint.requirements import requirements_of
from bedplate.problems import BedplateError, Problem

_LAST = 8  # lines of pip
_TIMEOUT = 900  # seconds
_IMPORTED = ("purelib", "platlib")


@dataclass(frozen=True)
class Member:
    """A file of a wheel: its name there, its place below the import path, and its hash as the wheel's RECORD says."""

    wheel: Path
    name: str
    place: str
    hash: str

    def read(self) -> bytes:
        """Its content. Raises BP763 where it is not what RECORD says."""
        with zipfile.ZipFile(self.wheel) as archive:
            content = archive.read(self.name)
        if hash_of(self.hash, content) != self.hash:
            raise _broken(self.wheel.name, f"{self.name} is not what its RECORD says")
        return content


def fetch(file: Path, folder: Path) -> tuple[FileRef, ...]:
    """Download a wheel for each package of the requirements file into `folder`. Raises BP763 where pip cannot."""
    if importlib.util.find_spec("pip") is None:
        fix = f"install it beside Bedplate: `{Path(sys.executable).name} -m ensurepip`"
        raise BedplateError(Problem("BP763", f"fetching the packages of {file.name} needs pip", fix=fix))
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--dest", str(folder), "-r", str(file)]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise _broken(file.name, f"pip did not end within {_TIMEOUT} seconds") from error
    if done.returncode:
        raise _broken(file.name, "\n".join(done.stderr.strip().splitlines()[-_LAST:]))
    return tuple(_ref(path) for path in sorted(folder.iterdir()))


def _ref(path: Path) -> FileRef:
    with path.open("rb") as file:
        return FileRef(path.name, hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def _broken(what: str, detail: str) -> BedplateError:
    fix = "mend the requirements file, or what pip says"
    return BedplateError(Problem("BP763", f"the packages of {what} cannot be fetched", detail=detail, fix=fix))


def usable(wheels: Iterable[FileRef]) -> bool:
    """Whether this Python can import wheels that were fetched for the one that ran then; names tell the Python."""
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    tags = [wheel.path.removesuffix(".whl").split("-")[-3:] for wheel in wheels]
    return all("py3" in python.split(".") or here in python.split(".") or abi == "abi3" for python, abi, _ in tags)


def not_named(wheels: Iterable[FileRef], requirements: str) -> str:
    """The first wheel whose hash does not stand in the requirements file; "" where all do."""
    allowed = {digest for requirement in requirements_of(requirements) for digest in requirement.hashes}
    return next((wheel.path for wheel in wheels if wheel.sha256 not in allowed), "")


def members(wheels: Iterable[tuple[str, Path]]) -> dict[str, Member]:
    """What the wheels put below the import path, by place; each is the wheel's name and its file.

    Raises BP763 where a wheel is none, or two have different files for one place.
    """
    found: dict[str, Member] = {}
    for name, path in wheels:
        try:
            own = {member.place: member for member in _members(path)}
        except (zipfile.BadZipFile, ValueError, StopIteration) as error:
            raise _broken(name, f"it is no wheel: {error}") from error
        twice = [place for place in own if place in found and found[place].hash != own[place].hash]
        if twice:
            raise _broken(name, f"another package has a different {twice[0]}")
        found.update(own)
    return found


def _members(wheel: Path) -> Iterator[Member]:
    with zipfile.ZipFile(wheel) as archive:
        record = next(n for n in archive.namelist() if n.count("/") == 1 and n.endswith(".dist-info/RECORD"))
        rows = list(csv.reader(io.StringIO(archive.read(record).decode("utf-8"))))
    for name, digest, *_ in (row for row in rows if row and row[1]):
        place = _place(name)
        if place:
            yield Member(wheel, name, place, digest)


def _place(name: str) -> str:
    """Where a file of a wheel is imported from; "" for what is not imported."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name} leads out of it")
    if path.parts[0].endswith(".data"):
        return "/".join(path.parts[2:]) if path.parts[1] in _IMPORTED else ""
    return str(path)


def hash_of(wanted: str, content: bytes) -> str:
    """The hash of a content in the form and by the algorithm of another: `sha256=` and URL-safe base64 without `=`."""
    algorithm = wanted.partition("=")[0]
    digest = hashlib.new(algorithm, content).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
