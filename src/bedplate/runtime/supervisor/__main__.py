"""`python -I -S __main__.py STAGE_DIR [--detach]`: the supervisor of one stage.

With `--detach` it answers at once and goes on in the background, as leader of a session of its own. Only one runs for
a stage: a second one finds the lock of `run/supervisor.pid` held and ends with status 0.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

if not __package__:  # run as a file, without site-packages
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

KEPT_VARIABLES = ("PATH", "LANG", "TZ")


def main(arguments: list[str]) -> int:
    """Run until stopped; returns the exit status."""
    folder = Path(arguments[0])
    run = folder / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    run.chmod(0o700)
    if "--detach" in arguments:
        if os.fork():
            return 0
        os.setsid()
    pid_file = run / "supervisor.pid"
    return _serve(folder, pid_file) if _lock(pid_file) else 0


def _lock(pid_file: Path) -> bool:
    """Take the stage for this process, until it ends. False where another has it."""
    while True:
        lock = os.open(pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # a supervisor that ended between the two lines above has taken this file away
        if pid_file.exists() and os.path.samestat(os.fstat(lock), pid_file.stat()):
            os.truncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
            return True
        os.close(lock)


def _serve(folder: Path, pid_file: Path) -> int:
    from bedplate.runtime.supervisor.core import Supervisor

    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    Supervisor(folder, environment).run()
    if _is_ours(pid_file):
        pid_file.unlink()
    return 0


def _is_ours(pid_file: Path) -> bool:
    """Whether this process is named there: the folder may have been moved away, and another one made in its place."""
    try:
        return pid_file.read_text().strip() == str(os.getpid())
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
