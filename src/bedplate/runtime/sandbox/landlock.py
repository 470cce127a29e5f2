"""sandlock: the launcher that confines one command with Landlock and seccomp, for machines without user namespaces.

Run as `python -m bedplate.runtime.sandbox.landlock {JSON} command…` with the command's environment. sandlock passes no
descriptors on, so an agent gets its standard output as BEDPLATE_READY_FD; the launcher tells the supervisor of the
first bytes and passes all on. Nothing can be written: a temporary folder would stay behind when the launcher is killed.
It ends with the command's exit status; when it is killed, the command dies with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from bedplate.runtime.sandbox.bubblewrap import readable_paths

_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/dev/zero")
# Denied files raise EACCES, which libraries do not expect of files that everyone may read.
_HARMLESS = ("/etc/mime.types", "/etc/localtime", "/etc/ssl/openssl.cnf")


def main(arguments: list[str]) -> int:
    """Confine and run; returns the exit status."""
    options = json.loads(arguments[0])
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    return _run(options, arguments[1:])


def _run(options: dict[str, Any], command: list[str]) -> int:
    from sandlock import Sandbox, StdioMode

    environment = dict(os.environ)
    ready = environment.get("BEDPLATE_READY_FD")
    if ready is not None:
        environment["BEDPLATE_READY_FD"] = "1"
    box = Sandbox(
        fs_readable=[
            path
            for path in (*_SYSTEM, *_HARMLESS, *readable_paths(map(Path, options["readable"])))
            if Path(path).exists()
        ],
        fs_writable=["/dev/null"],
        net_allow=[f"tcp://127.0.0.1:{environment['BEDPLATE_PORT']}"] if options["agent"] else [],
        max_memory=options["memory"],
        max_processes=options["pids"],
        clean_env=True,
        env=environment,
        cwd="/",
        no_coredump=True,
    )
    process = box.popen(command, stdout=StdioMode.INHERIT if ready is None else StdioMode.PIPED)
    if ready is not None:
        _relay(process.stdout, int(ready))
    return int(process.wait().exit_code)


def _relay(output: BinaryIO, ready: int) -> None:
    """Pass the output on; its first bytes mean that the agent is ready."""
    while data := os.read(output.fileno(), 65536):
        if ready >= 0:
            os.write(ready, b"ready\n")
            os.close(ready)
            ready = -1
        os.write(1, data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
