"""The settings of an agent's process sandbox and of its container: what it may read and write, its bounds. Pure.

Goes in: the scopes of the tool `sandbox` (paths) and the bounds of the manifest. Comes out: settings, one a line, that
the runtime and the container's resource apply. What every sandbox has (no network, no capabilities, system calls that
are refused) stands here as data too, so that both are shown to be the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bedplate.access.artefacts import Artefact, Compiled, Line, Remainder
from bedplate.access.model import Grant, ScopeSet
from bedplate.problems import BedplateError, Problem, Where

TOOL: Final = "sandbox"
TMP_BYTES: Final = 64 * 1024 * 1024
USER: Final = "10001:10001"
OPEN_FILES: Final = 256
FORBIDDEN: Final = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("mount_setattr", "name_to_handle_at", "open_by_handle_at", "unshare", "setns", "bpf", "userfaultfd"),
    *("perf_event_open", "add_key", "request_key", "keyctl", "kexec_load", "kexec_file_load", "init_module"),
    *("finit_module", "delete_module", "swapon", "swapoff", "reboot", "quotactl", "acct", "syslog", "settimeofday"),
    *("clock_settime", "clock_adjtime", "adjtimex", "modify_ldt", "iopl", "ioperm"),
)
"""System calls that fail with EPERM."""
MISSING: Final = ("io_uring_setup", "io_uring_enter", "io_uring_register", "clone3")
"""System calls that fail with ENOSYS, so that programs fall back to others."""
NAMESPACES: Final = (0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000)
"""Flags of clone that make a namespace (mount, cgroup, UTS, IPC, user, PID, network): EPERM."""
FAMILIES: Final = (1, 2, 10)
"""Socket families that exist: AF_UNIX, AF_INET, AF_INET6. Others fail with EAFNOSUPPORT."""
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97


@dataclass(frozen=True)
class Bounds:
    """`memory` in bytes, `pids` a count of processes and threads, each with its line in the manifest if it has one."""

    memory: int = 512 * 1024 * 1024
    pids: int = 64
    memory_where: str = ""
    pids_where: str = ""


@dataclass(frozen=True)
class Setting:
    """One setting with its JSON value, and what of the manifest it comes from."""

    name: str
    value: Any
    grant: str = ""
    where: str = ""

    @property
    def line(self) -> Line:
        """As a line of an artefact."""
        return Line(json.dumps({self.name: self.value}), self.grant, self.where)


def compile(scopes: ScopeSet, bounds: Bounds) -> Compiled:
    """The settings of the sandbox, of the container, and the container's seccomp profile.

    Raises BedplateError (BP854) with every path that cannot be mounted.
    """
    grants = [grant for grant in scopes.grants if grant.tool == TOOL]
    problems = [_refused(grant) for grant in grants if mount(grant.pattern) is None]
    if problems:
        raise BedplateError(*problems)
    profile = tuple(Line(text) for text in json.dumps(seccomp(), indent=1).splitlines())
    made = (
        _artefact("sandbox", "sandbox.jsonl", process(scopes, bounds)),
        _artefact("container", "container.jsonl", container(scopes, bounds)),
        Artefact("container", "seccomp.json", profile, "application/json"),
    )
    return Compiled(made, tuple(rest for grant in grants for rest in _remainder(grant)))


def mount(pattern: str) -> tuple[str, bool] | None:
    """The path that a pattern stands for and whether all below it is meant (`prompts/*`); None for other patterns."""
    path, below = pattern.removesuffix("/*"), pattern.endswith("/*")
    plain = path and "*" not in path and ".." not in path.split("/") and "\0" not in path
    return (path, below) if plain else None


def process(scopes: ScopeSet, bounds: Bounds) -> Iterator[Setting]:
    """The settings of the process sandbox. Paths are below the project."""
    yield from _paths(scopes)
    yield Setting("memory", bounds.memory, where=bounds.memory_where)
    yield Setting("pids", bounds.pids, where=bounds.pids_where)
    yield Setting("network", "none")
    yield Setting("tmp", {"bytes": TMP_BYTES, "mode": "1777"})


def container(scopes: ScopeSet, bounds: Bounds) -> Iterator[Setting]:
    """The container's settings, by the names of `docker run`. Its image is read-only, as is what it may read."""
    yield from _paths(scopes)
    yield Setting("memory", bounds.memory, where=bounds.memory_where)
    yield Setting("memory-swap", bounds.memory, where=bounds.memory_where)
    yield Setting("pids-limit", bounds.pids, where=bounds.pids_where)
    yield Setting("read-only", True)
    yield Setting("cap-drop", ["ALL"])
    yield Setting("security-opt", ["no-new-privileges", "seccomp=seccomp.json"])
    yield Setting("user", USER)
    yield Setting("network", "none")
    yield Setting("ipc", "none")
    yield Setting("init", True)
    yield Setting("ulimit", [f"nofile={OPEN_FILES}"])
    # Without the mode a user who is not root cannot write there.
    yield Setting("tmpfs", [f"/tmp:rw,noexec,nosuid,nodev,size={TMP_BYTES},mode=1777"])


def seccomp() -> dict[str, Any]:
    """The seccomp profile in the form of container engines: everything is allowed but what the sandbox refuses.

    A rule holds where all its comparisons do, and rules add up; so "none of three families" is a rule for each other.
    """
    others = [n for n in range(max(FAMILIES)) if n not in FAMILIES]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            _rule(FORBIDDEN, _EPERM),
            _rule(MISSING, _ENOSYS),
            *(_rule(("clone",), _EPERM, (flag, flag, "SCMP_CMP_MASKED_EQ")) for flag in NAMESPACES),
            *(_rule(("socket",), _EAFNOSUPPORT, (family, 0, "SCMP_CMP_EQ")) for family in others),
            _rule(("socket",), _EAFNOSUPPORT, (max(FAMILIES), 0, "SCMP_CMP_GT")),
        ],
    }


def validate(scopes: ScopeSet, bounds: Bounds, artefact: Artefact) -> tuple[str, ...]:
    """How settings differ from what scopes and bounds say, in words; empty where they are the same."""
    made = process(scopes, bounds) if artefact.target == "sandbox" else container(scopes, bounds)
    asked = {setting.line.text for setting in made}
    found = {line.text for line in artefact.lines}
    lacking = [f"the settings lack {text}" for text in sorted(asked - found)]
    return (*lacking, *(f"the settings have {text}, which nothing asks for" for text in sorted(found - asked)))


def _paths(scopes: ScopeSet) -> Iterator[Setting]:
    for grant in scopes.grants:
        mounted = mount(grant.pattern) if grant.tool == TOOL else None
        if mounted:
            yield Setting(grant.verb, {"path": mounted[0], "below": mounted[1]}, grant.id, grant.where)


def _rule(names: tuple[str, ...], error: int, test: tuple[int, int, str] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": error}
    if test:
        value, two, op = test
        rule["args"] = [{"index": 0, "value": value, "valueTwo": two, "op": op}]
    return rule


def _artefact(target: Any, name: str, settings: Iterator[Setting]) -> Artefact:
    return Artefact(target, name, tuple(setting.line for setting in settings), "application/jsonl")


def _remainder(grant: Grant) -> Iterator[Remainder]:
    clauses = [*(".".join(condition.path) for condition in grant.conditions)]
    clauses += [
        name for name, held in (("only", grant.only), ("ask", grant.ask), ("limit", grant.budgets or None)) if held
    ]
    for clause in dict.fromkeys(clauses):
        yield Remainder(grant.id, clause, "the kernel sees files, not calls", grant.where)


def _refused(grant: Grant) -> Problem:
    file, _, rest = grant.where.partition(":")
    line = rest.partition(":")[0]
    where = Where(file, int(line) if line.isdigit() else 0) if file else None
    summary = f"`{grant.pattern[:80]}` is no path that a sandbox can mount"
    return Problem("BP854", summary, where, fix="write a file, or a folder with `/*` for all below it")
