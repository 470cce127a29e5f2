"""Start one process: fork, set up descriptors and signals, exec. Nothing is shared with it but what it is given."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence

_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded before any fork
_PR_SET_PDEATHSIG = 1
_FIRST_FREE = 100  # above every descriptor number that a child is given


def spawn(argv: Sequence[str], environment: Mapping[str, str], descriptors: Mapping[int, int], output: int) -> int:
    """Start `argv` in a session of its own; returns its pid.

    `descriptors` maps the child's number to a descriptor here; `output` becomes its standard output and error. It is
    killed when this process ends. A command that cannot be started says so on `output` and exits with 127.
    """
    parent = os.getpid()
    # A signal between fork and exec would run the supervisor's handlers in the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    try:
        _become(parent, argv, environment, descriptors, output)
    except BaseException as error:  # noqa: BLE001 - the forked child must never return into the supervisor's loop
        os.write(output, f"cannot start {argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _become(
    parent: int, argv: Sequence[str], environment: Mapping[str, str], descriptors: Mapping[int, int], output: int
) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    os.setsid()
    signal.set_wakeup_fd(-1)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDONLY)
    wanted = {0: null, 1: output, 2: output, **descriptors}
    moved = {number: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) for number, source in wanted.items()}
    # everything else that Python opened is close-on-exec already
    for number, source in moved.items():
        os.dup2(source, number, inheritable=True)
    os.chdir("/")
    os.umask(0o077)
    os.execvpe(argv[0], list(argv), dict(environment))
