"""The seccomp filter of the sandbox, as a classic BPF program for x86_64 and aarch64.

Goes in: the machine's architecture. Comes out: the bytes of `struct sock_filter[]` (linux/filter.h) that
`bwrap --seccomp` loads. A program of another architecture, or of x86's x32 ABI, is killed.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

# Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux 6.12.
_DENIED: Final[dict[str, tuple[int, int]]] = {  # name: (x86_64, aarch64)
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
}
_DENIED_X86_ONLY: Final = {"modify_ldt": 154, "iopl": 172, "ioperm": 173}
# ENOSYS, so that programs fall back to what is allowed: epoll for io_uring, clone (whose flags a filter can see).
_MISSING: Final[dict[str, tuple[int, int]]] = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),
}
_NEW_NAMESPACES: Final = 0x7E02_0000  # CLONE_NEWNS|CGROUP|UTS|IPC|USER|PID|NET
_SOCKET_FAMILIES: Final = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6

_LD_ABS, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF_0000, 0x8000_0000
_NR, _ARCH, _ARG0 = 0, 4, 16  # offsets in struct seccomp_data; both architectures are little-endian


@dataclass(frozen=True)
class _Machine:
    audit: int  # AUDIT_ARCH_*
    column: int
    clone: int
    socket: int


_MACHINES: Final = {
    "x86_64": _Machine(0xC000_003E, 0, 56, 41),
    "aarch64": _Machine(0xC000_00B7, 1, 220, 198),
}


def filter_program(machine: str | None = None) -> bytes:
    """The filter for `machine` (default: this one). Raises KeyError for an architecture it does not know."""
    arch = _MACHINES[machine or platform.machine()]
    denied = [numbers[arch.column] for numbers in _DENIED.values()]
    if arch.column == 0:
        denied += _DENIED_X86_ONLY.values()
    missing = [numbers[arch.column] for numbers in _MISSING.values()]
    return b"".join(
        [
            _load(_ARCH),
            *_unless_equal(arch.audit, _ret(_KILL)),
            _load(_NR),
            *([_op(_JGE, 0x4000_0000, 0, 1), _ret(_KILL)] if arch.column == 0 else []),
            *(op for number in denied for op in _if_equal(number, _error(errno.EPERM))),
            *(op for number in missing for op in _if_equal(number, _error(errno.ENOSYS))),
            # clone with a namespace flag: EPERM
            _op(_JEQ, arch.clone, 0, 4),
            _load(_ARG0),
            _op(_JSET, _NEW_NAMESPACES, 0, 1),
            _error(errno.EPERM),
            _ret(_ALLOW),
            # socket of a family that is not needed (vsock, packet, netlink, ...): EAFNOSUPPORT
            _op(_JEQ, arch.socket, 0, 2 + len(_SOCKET_FAMILIES)),
            _load(_ARG0),
            *(_op(_JEQ, family, len(_SOCKET_FAMILIES) - i, 0) for i, family in enumerate(_SOCKET_FAMILIES)),
            _error(errno.EAFNOSUPPORT),
            _ret(_ALLOW),
        ]
    )


def supported() -> bool:
    """Whether the filter exists for this machine's architecture."""
    return platform.machine() in _MACHINES


def _op(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jump_true, jump_false, k)


def _load(offset: int) -> bytes:
    return _op(_LD_ABS, offset)


def _ret(action: int) -> bytes:
    return _op(_RET, action)


def _error(number: int) -> bytes:
    return _ret(0x0005_0000 | number)


def _if_equal(value: int, then: bytes) -> tuple[bytes, bytes]:
    return _op(_JEQ, value, 0, 1), then


def _unless_equal(value: int, then: bytes) -> tuple[bytes, bytes]:
    return _op(_JEQ, value, 1, 0), then
