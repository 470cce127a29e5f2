"""This Python, by one name.

Goes in: nothing. Comes out: a path that is the same whichever of its names (`python`, `python3`) a command was
started by, so that what runs a process can be compared.
"""

from __future__ import annotations

import sys
from pathlib import Path


def interpreter() -> str:
    """The path of this interpreter."""
    found = Path(sys.executable)
    named = found.with_name("python3")
    return str(named if named.exists() and named.samefile(found) else found)
