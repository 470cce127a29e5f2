"""sandlock: the launcher that confines one command with Landlock and seccomp, for machines without user namespaces.

Run as `python -m bedplate.runtime.sandbox.landlock {JSON} command…` with the command's environment. sandlock passes no
descriptors on, so the launcher itself reports ready on BEDPLATE_READY_FD, once the command has started. Nothing can be
written: a temporary folder would stay behind when the launcher is killed. It ends with the command's exit status; when
it is killed, the command dies with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

from bedplate.runtime.sandbox.bubblewrap import readable_paths

_LIBRARIES = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/dev/zero")


def main(arguments: list[str]) -> int:
    """Confine and run; returns the exit status."""
    options = json.loads(arguments[0])
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    return _run(options, arguments[1:])


def _run(options: dict[str, Any], command: list[str]) -> int:
    from sandlock import Sandbox

    environment = dict(os.environ)
    ready = environment.pop("BEDPLATE_READY_FD", None)
    box = Sandbox(
        fs_readable=[
            path for path in (*_LIBRARIES, *readable_paths(map(Path, options["readable"]))) if Path(path).exists()
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
    process = box.popen(command)
    if ready is not None:
        os.write(int(ready), b"started\n")
    result = process.wait()
    return int(result.exit_code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
