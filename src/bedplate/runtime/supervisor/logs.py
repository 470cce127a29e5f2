"""The log of one process: appended, rotated at 5 MB, two old ones kept (`x.log.1`, `x.log.2`)."""

from __future__ import annotations

import os
from pathlib import Path

LIMIT = 5 * 1024 * 1024
KEPT = 2


class Log:
    """Bytes go in; the last lines come out. Private to the user (0600). `lost` counts bytes that found no room."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path = path
        self.lost = 0
        self._limit = limit
        self._open()
        self._begun = self._size

    def write(self, data: bytes) -> None:
        """Append, rotating first where the log is full. A full disk loses log lines, never a process."""
        try:
            if self._size and self._size + len(data) > self._limit:
                self._rotate()
            self._size += os.write(self._descriptor, data)
        except OSError:
            self.lost += len(data)

    def begin(self) -> None:
        """A run begins: `tail` gives what comes from here on."""
        self._begun = self._size

    def tail(self, lines: int = 20) -> list[str]:
        """The last lines since `begin`, at most 16 KB of them."""
        with self.path.open("rb") as file:
            file.seek(max(self._begun, self._size - 16384))
            return file.read().decode(errors="replace").splitlines()[-lines:]

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        for number in range(KEPT, 0, -1):
            source = self.path if number == 1 else self.path.with_name(f"{self.path.name}.{number - 1}")
            if source.exists():
                source.replace(self.path.with_name(f"{self.path.name}.{number}"))
        full, self._begun = self._descriptor, 0
        self._open()
        os.close(full)
