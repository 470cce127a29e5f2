"""Headers of tar files, byte for byte as Pulumi writes them when it hashes an archive.

Goes in: a name and a size. Comes out: the blocks before the content and the bytes after it. Every file has mode 0600,
no owner and no time. A header is POSIX ustar where name and size fit, else it follows one of pax records; Python's
tarfile writes other bytes for the same (device numbers, the names of pax headers). Source of the format: POSIX, pax.
"""

from __future__ import annotations

import posixpath
from typing import Final

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""What a tar file ends with."""
_NAME, _PREFIX = 100, 155
_LARGEST: Final = 8**11 - 1
_FILE, _RECORDS = b"0", b"x"


def entry(name: str, size: int) -> tuple[bytes, bytes]:
    """What comes before and after a file of `size` bytes."""
    padding = bytes(-size % BLOCK)
    if name.isascii() and size <= _LARGEST and (len(name) <= _NAME or _split(name)):
        prefix, rest = _split(name) or ("", name)
        return _header(rest, size, _FILE, prefix=prefix, devices=True), padding
    records = b""
    if not name.isascii() or len(name) > _NAME:
        records += _record("path", name)
    if size > _LARGEST:
        records += _record("size", str(size))
    folder, file = posixpath.split(name)
    extra = _header(_ascii(posixpath.join(folder, "PaxHeaders.0", file)).rstrip("/"), len(records), _RECORDS, mode=0)
    main = _header(_ascii(name), size if size <= _LARGEST else 0, _FILE, devices=True)
    return extra + records + bytes(-len(records) % BLOCK) + main, padding


def _split(name: str) -> tuple[str, str] | None:
    """A long name in the two fields that ustar has for it, or None where it does not fit."""
    if len(name) <= _NAME:
        return None
    prefix, slash, rest = name[: _PREFIX + 1].rpartition("/")
    rest += name[_PREFIX + 1 :]
    return (prefix, rest) if slash and prefix and 0 < len(rest) <= _NAME else None


def _ascii(name: str) -> str:
    kept = "".join(c for c in name if 0 < ord(c) < 128)
    if len(kept) > _NAME and kept[_NAME - 1] == "/":
        # No name may end like a folder's: cut before the first of its last slashes, as Go's writer does.
        last = len(kept[: _NAME - 1].rstrip("/"))
        kept = f"{kept[:last]}\0{kept[last + 1 :]}"
    return kept[:_NAME]


def _record(key: str, value: str) -> bytes:
    # The record's length counts its own digits.
    content = b" %s=%s\n" % (key.encode(), value.encode())
    length = len(content) + len(str(len(content)))
    length = len(content) + len(str(length))
    return str(length).encode() + content


def _header(name: str, size: int, kind: bytes, *, mode: int = 0o600, prefix: str = "", devices: bool = False) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, 0)
    before = name.encode().ljust(_NAME, b"\0") + numbers
    # Owner and group by name stay empty; a header of records has no device numbers either.
    device = b"0000000\0" * 2 if devices else bytes(16)
    after = kind + bytes(_NAME) + b"ustar\00000" + bytes(64) + device + prefix.encode()
    block = (before + b" " * 8 + after).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
