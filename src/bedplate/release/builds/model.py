"""What a build is, as a value and as the record that the store keeps of it. Pure.

A record is the canonical JSON of `{format, digest, manifest, files, lock, wheels}`. `files` maps the paths that the
manifest names to `{sha256, size}`; `manifest` and `lock` are such objects with a `path`; `wheels` is a list of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bedplate.blueprint.digest import BUILD_FORMAT, build_digest, canonical
from bedplate.blueprint.model import FileRef

PREFIX = "sha256:"


@dataclass(frozen=True)
class Build:
    """A build: the manifest's text, the files that it names, the lock, and the wheels of its requirements.

    `digest` is the buildDigest. It covers the manifest without comments and order, `files` and `lock`, and by the
    hashes in a requirements file the wheels. `tree` is where the build is laid out as a project; it may not be there.
    """

    digest: str
    manifest: FileRef
    files: Mapping[str, FileRef]
    lock: FileRef | None
    wheels: tuple[FileRef, ...]
    tree: Path

    @property
    def hex(self) -> str:
        """The digest without `sha256:`."""
        return self.digest.removeprefix(PREFIX)

    @property
    def short(self) -> str:
        """The first 12 hex digits, as people type them."""
        return self.hex[:12]

    @property
    def size(self) -> int:
        """Bytes of everything that the build holds."""
        return sum(ref.size for ref in self.contents())

    def laid_out(self) -> dict[str, FileRef]:
        """What stands in the tree, by path."""
        own = (self.manifest, *([self.lock] if self.lock else []))
        return {**self.files, **{ref.path: ref for ref in own}}

    def contents(self) -> Iterator[FileRef]:
        """Everything that the store must hold for this build, wheels included."""
        yield from self.laid_out().values()
        yield from self.wheels

    def digest_with(self, document: Mapping[str, Any]) -> str:
        """The digest that this build must have where its manifest says `document`."""
        return build_digest(document, self.files.values(), self.lock)

    def record(self) -> bytes:
        """The record of this build."""
        return canonical(
            {
                "format": BUILD_FORMAT,
                "digest": self.digest,
                "manifest": asdict(self.manifest),
                "files": {ref.path: {"sha256": ref.sha256, "size": ref.size} for ref in self.files.values()},
                "lock": asdict(self.lock) if self.lock else None,
                "wheels": [asdict(ref) for ref in self.wheels],
            }
        )


class NoRecord(ValueError):
    """These bytes are no record of a build; the message says why."""


def from_record(data: bytes, tree: Path) -> Build:
    """The build of a record. Raises NoRecord where it has another form, or a path that leads out of the build."""
    try:
        found = json.loads(data)
        build = Build(
            digest=str(found["digest"]),
            manifest=_ref(found["manifest"]),
            files={path: _ref({"path": path, **ref}) for path, ref in found["files"].items()},
            lock=_ref(found["lock"]) if found["lock"] else None,
            wheels=tuple(_ref(ref) for ref in found["wheels"]),
            tree=tree,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoRecord(f"{type(error).__name__}: {error}") from error
    if found["format"] != BUILD_FORMAT or build.record() != data:
        raise NoRecord(f"it is not of the form {BUILD_FORMAT}")
    return build


def _ref(found: Mapping[str, Any]) -> FileRef:
    ref = FileRef(str(found["path"]), str(found["sha256"]), int(found["size"]))
    # Once a file of a build, so by hand: a path without a beginning slash, empty parts or dots.
    if not _is_hash(ref.sha256) or not {"", ".", ".."}.isdisjoint(ref.path.split("/")):
        raise NoRecord(f"`{ref.path}` is no path of a file with a hash")
    return ref


def _is_hash(text: str) -> bool:
    return len(text) == 64 and _HEX.issuperset(text)


_HEX = frozenset("0123456789abcdef")
