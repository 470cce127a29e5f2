"""Files written so that they are there after a crash, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from bedplate.problems import BedplateError, Problem, Where


def write_failed(path: Path, error: OSError) -> BedplateError:
    """The error for a file of the state that cannot be written: disk full, no permission."""
    return BedplateError(
        Problem(
            "BP213",
            f"cannot write {path.name}: {error.strerror or error}",
            where=Where(str(path)),
            detail="The state on disk is as it was; what the interrupted step did is in the journal.",
            fix="make room or mend the permissions, then run the same command again",
        )
    )


def read_file(path: Path) -> bytes | None:
    """What the file holds, or None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_file(path: Path, data: bytes) -> None:
    """Write a file, for its owner only, and wait until it is on disk. Its name is not: see `fsync_folder`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def append_lines(path: Path, data: bytes, keep: int) -> int:
    """Add lines after the first `keep` bytes, and wait until they are on disk. What stood there is cut off.

    Returns how many bytes were added: one more than there are, where the line before lacked its end.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        glued = keep > 0 and os.pread(fd, 1, keep - 1) != b"\n"
        os.ftruncate(fd, keep)
        os.lseek(fd, keep, os.SEEK_SET)
        write_all(fd, b"\n" + data if glued else data)
        os.fsync(fd)
        return len(data) + glued
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, or raise OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def fsync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
