"""Appends releases without end and says after each line how far it is. The test kills it in the middle."""

from __future__ import annotations

import sys
from pathlib import Path

from bedplate.release.records import ReleaseLog

log = ReleaseLog(Path(sys.argv[1]))
body = {"stage": "s", "agent": "a", "build": "b", "behaviour": "c", "toolVersion": "1", "override": "x" * 50_000}
while True:
    with log.hold("up"):
        number = log.next_number()
        for kind in ("started", "applied"):
            entry = log.append(kind, number, body if kind == "started" else {})  # type: ignore[arg-type]
            sys.stdout.write(f"{entry.seq}\n")
            sys.stdout.flush()
