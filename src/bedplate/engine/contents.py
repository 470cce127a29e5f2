"""The contents of assets and archives: read, and hashed as Pulumi hashes them.

Goes in: an `Asset` or `Archive`; relative paths count from the working folder. Comes out: streams and hashes. An
archive that is a file is hashed as it is; any other as the tar file that Pulumi would write of it (pulumi/pulumi,
sdk/go/common/resource/archive), byte for byte, so that both engines see the same changes. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from bedplate.engine.assets import Archive, Asset
from bedplate.engine.goals import unsupported
from bedplate.engine.tarblocks import END, entry
from bedplate.engine.values import Secret
from bedplate.problems import BedplateError, Problem, Where

_CHUNK: Final = 1024 * 1024
_TAR: Final = (".tar", ".tgz", ".tar.gz")
_ZIP: Final = (".zip", ".jar")
_SKIPPED: Final = ".pulumi"
Member = tuple[str, IO[bytes], int]
"""A name, its content, and how many bytes that has. To be read before the next one is asked for."""


def hashed(value: Any) -> Any:
    """`value` with the hash of every asset and archive in it. Raises BedplateError BP225, BP202 for a remote one."""
    match value:
        case Asset() if not value.hash:
            return replace(value, hash=_hash(value))
        case Archive(assets=Mapping() as assets) if not value.hash:
            return replace(value, hash=_hash(value), assets=hashed(assets))
        case Archive() if not value.hash:
            return replace(value, hash=_hash(value))
        case Secret():
            return Secret(hashed(value.value))
        case Mapping():
            return {key: hashed(item) for key, item in value.items()}
        case list() | tuple():
            return [hashed(item) for item in value]
        case _:
            return value


def _hash(value: Asset | Archive) -> str:
    digest = hashlib.sha256()
    match value:
        case Asset():
            with opened(value) as (stream, _):
                _pour(stream, digest.update)
        case Archive(path=path) if path.endswith((*_TAR, *_ZIP)):
            with _file(path) as (stream, _):
                _pour(stream, digest.update)
        case Archive():
            _as_tar(value, digest.update)
    return digest.hexdigest()


def _pour(stream: IO[bytes], take: Callable[[bytes], object]) -> int:
    size = 0
    while chunk := stream.read(_CHUNK):
        take(chunk)
        size += len(chunk)
    return size


def _as_tar(archive: Archive, take: Callable[[bytes], object]) -> None:
    seen: set[str] = set()
    for name, stream, size in members(archive):
        # Two archives in one may hold the same file: the first one counts.
        if name in seen:
            continue
        seen.add(name)
        before, after = entry(name, size)
        take(before)
        if _pour(stream, take) != size:
            raise _unreadable(name, "it changed while it was read")
        take(after)
    take(END)


@contextmanager
def opened(asset: Asset) -> Iterator[tuple[IO[bytes], int]]:
    """The content of an asset and its size. Raises BedplateError BP225."""
    if asset.text is not None:
        data = asset.text.encode()
        yield io.BytesIO(data), len(data)
    elif asset.path:
        with _file(asset.path) as found:
            yield found
    elif asset.uri:
        raise unsupported(f"the remote asset {asset.uri}")
    else:
        raise _unreadable(asset.hash, "nothing but its hash is known here")


@contextmanager
def _file(path: str) -> Iterator[tuple[IO[bytes], int]]:
    try:
        with Path(path).open("rb") as stream:
            yield stream, os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def members(archive: Archive) -> Iterator[Member]:
    """Every content of an archive, in Pulumi's order. Raises BedplateError BP225."""
    if archive.assets is not None:
        yield from _of_map(archive.assets)
    elif archive.path.endswith(_TAR):
        yield from _of_tar(archive.path)
    elif archive.path.endswith(_ZIP):
        yield from _of_zip(archive.path)
    elif archive.path:
        yield from _of_folder(archive.path)
    elif archive.uri:
        raise unsupported(f"the remote archive {archive.uri}")
    else:
        raise _unreadable(archive.hash, "nothing but its hash is known here")


def _of_map(assets: Mapping[str, Asset | Archive]) -> Iterator[Member]:
    for name in sorted(assets):
        match assets[name]:
            case Asset() as asset:
                with opened(asset) as (stream, size):
                    yield name, stream, size
            case Archive() as inner:
                for below, stream, size in members(inner):
                    yield posixpath.normpath(f"{name}/{below}"), stream, size


def _of_tar(path: str) -> Iterator[Member]:
    try:
        with tarfile.open(path) as tar:
            for info in tar:
                if info.isdir():
                    continue
                stream = tar.extractfile(info) if info.isreg() else None
                if stream is None:
                    raise _unreadable(path, f"{info.name} in it is no plain file")
                yield posixpath.normpath(info.name), stream, info.size
    except (tarfile.TarError, OSError) as error:
        raise _unreadable(path, str(error)) from error


def _of_zip(path: str) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as stream:
                        yield posixpath.normpath(info.filename), stream, info.file_size
    except (zipfile.BadZipFile, OSError) as error:
        raise _unreadable(path, str(error)) from error


def _of_folder(path: str) -> Iterator[Member]:
    if not Path(path).is_dir():
        raise _unreadable(path, "it is neither a folder nor a .tar, .tar.gz, .tgz, .zip or .jar file")
    for found in _walk(Path(path)):
        with _file(str(found)) as (stream, size):
            yield found.relative_to(path).as_posix(), stream, size


def _walk(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda each: os.fsencode(each.name))
    except OSError as error:
        raise _unreadable(str(folder), error.strerror or str(error)) from error
    for each in entries:
        if each.name == _SKIPPED:
            continue
        if each.is_dir(follow_symlinks=False):
            yield from _walk(Path(each.path))
        # A link to a file is that file; a link to a folder is left out.
        elif not (each.is_symlink() and each.is_dir()):
            yield Path(each.path)


def _unreadable(what: str, why: str) -> BedplateError:
    fix = "name a file that is there, or a folder for an archive; relative paths count from the working folder"
    where = Where(what) if Path(what).exists() else None
    return BedplateError(
        Problem("BP225", f"the content {what or 'of an asset'} cannot be read: {why}", where=where, fix=fix)
    )
