"""The first program inside a sandbox: sets limits, opens the agent's one address, then becomes the real program.

Run as a file with `python -I -S inside.py {JSON} command…`; the standard library only. The JSON has `memory` (bytes)
and, where the sandbox has a user namespace of its own (else the kernel would count all of the user's processes),
`pids`. Where the command is the agent it has `handover`: the descriptor of a unix socket on which the listening socket
of 127.0.0.1:4000 goes out (SCM_RIGHTS, one byte `L`). It runs before any code of the agent does.
"""

import ctypes
import json
import os
import resource
import socket
import sys

AGENT_PORT = 4000
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def main(arguments: list[str]) -> None:
    """Prepare, then exec. Raises OSError where a limit or the listener cannot be had."""
    options = json.loads(arguments[0])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, 2 * options["memory"])
    if "pids" in options:
        _limit(resource.RLIMIT_NPROC, options["pids"])
    if "handover" in options:
        _hand_over(options["handover"])
        os.environ["BEDPLATE_PORT"] = str(AGENT_PORT)
    os.execvp(arguments[1], arguments[1:])


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _hand_over(descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as out, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", AGENT_PORT))
        listener.listen(128)
        socket.send_fds(out, [b"L"], [listener.fileno()])


if __name__ == "__main__":
    main(sys.argv[1:])
