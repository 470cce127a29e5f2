"""Durations and sizes as they stand in the manifest: `30d`, `90s`, `512Mi`. Text goes in, numbers come out."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
DURATION = r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h|d)$"
SIZE = r"^[0-9]{1,6}(Ki|Mi|Gi)$"


def seconds(text: str) -> float:
    """The seconds of a duration such as `90s`, `8m`, `12h`, `30d` or `500ms`. Raises ValueError for anything else."""
    if not re.match(DURATION, text):
        raise ValueError("a duration is a number and one of ms, s, m, h, d, such as 90s or 30d")
    number = text.rstrip("mshd")
    return round(float(number) * _SECONDS[text[len(number) :]], 3)


def size(text: str) -> int:
    """The bytes of a size such as `512Mi` or `1Gi`. Raises ValueError for anything else."""
    if not re.match(SIZE, text):
        raise ValueError("a size is a whole number and one of Ki, Mi, Gi, such as 512Mi")
    return int(text[:-2]) * _BYTES[text[-2:]]


def duration_text(value: float) -> str:
    """Seconds as a duration, in the largest unit that fits: 2592000 is `30d`."""
    unit = next(u for u in ("d", "h", "m", "s", "ms") if value % _SECONDS[u] == 0 or u == "ms")
    return f"{round(value / _SECONDS[unit])}{unit}"


def size_text(value: int) -> str:
    """Bytes as a size, in the largest unit that fits."""
    unit = next(u for u in ("Gi", "Mi", "Ki") if value % _BYTES[u] == 0)
    return f"{value // _BYTES[unit]}{unit}"
