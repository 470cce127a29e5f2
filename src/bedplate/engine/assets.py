"""Assets and archives: contents that a program hands to a resource, as values.

Goes in: the maps that stand for them on the wire and in state (pulumi/pulumi, sdk/go/common/resource/asset and
archive). Comes out: `Asset` and `Archive`, and the maps again. Two are alike when their hashes are. It reads no file;
`contents` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
EMPTY_HASH: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing: Pulumi's maps leave an empty text out, and this hash tells it from a text that is not there."""

ELIDED: Final = "<contents elided>"
"""In place of a text where a person reads it, as Pulumi has it in its events."""


@dataclass(frozen=True)
class Asset:
    """One content: a text, a file, or something at a URI. `hash` is the SHA-256 of it as hexadecimal digits.

    Where a provider only compares, or reads, it may get an asset of which nothing but the hash is known.
    """

    hash: str = ""
    text: str | None = None
    path: str = ""
    uri: str = ""

    def read(self) -> bytes:
        """The content. Raises BedplateError BP225 where it cannot be read."""
        from bedplate.engine.contents import opened

        with opened(self) as (stream, _):
            return stream.read()


@dataclass(frozen=True)
class Archive:
    """Many contents by their names: of a map, of a folder, or of a file (`.tar`, `.tar.gz`, `.tgz`, `.zip`, `.jar`)."""

    hash: str = ""
    assets: Mapping[str, Asset | Archive] | None = None
    path: str = ""
    uri: str = ""

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every name with its content, as the archive is unpacked. Raises BedplateError BP225."""
        from bedplate.engine.contents import members

        for name, stream, _ in members(self):
            yield name, stream.read()


def from_map(properties: Mapping[str, Any]) -> Asset | Archive:
    """The asset or archive that a map with one of their signatures stands for. The members of its `assets` are values
    already. Raises TypeError for a member that is neither.
    """
    hash, path, uri = (str(properties.get(key) or "") for key in ("hash", "path", "uri"))
    if properties[SIGNATURE] == ASSET_SIGNATURE:
        known = properties.get("text") or ("" if hash in {"", EMPTY_HASH} else None)
        return Asset(hash, None if path or uri else known, path, uri)
    if path or uri or "assets" not in properties:
        return Archive(hash, None, path, uri)
    members = dict(properties["assets"])
    for name, member in members.items():
        if not isinstance(member, Asset | Archive):
            raise TypeError(f"the member {name} of an archive is neither an asset nor an archive")
    return Archive(hash, members)


def to_map(value: Asset | Archive) -> dict[str, Any]:
    """The map that stands for it in state: what is empty is left out."""
    found: dict[str, Any] = {SIGNATURE: _signature(value), "hash": value.hash, "path": value.path, "uri": value.uri}
    if isinstance(value, Asset):
        found["text"] = value.text
    found = {key: part for key, part in found.items() if part}
    if isinstance(value, Archive) and value.assets is not None:
        found["assets"] = {name: to_map(member) for name, member in value.assets.items()}
    return found


def on_the_wire(value: Asset | Archive) -> dict[str, Any]:
    """The map that stands for it in messages, where an empty text is named: the SDK knows it by nothing else."""
    found = to_map(value)
    match value:
        case Asset(text=""):
            found["text"] = ""
        case Archive(assets=Mapping() as assets):
            found["assets"] = {name: on_the_wire(member) for name, member in assets.items()}
    return found


def shown(value: Asset | Archive) -> dict[str, Any]:
    """The map that a person gets to see: texts are as long as the files that they stand for."""
    found = to_map(value)
    if "text" in found:
        found["text"] = ELIDED
    if "assets" in found and isinstance(value, Archive):
        found["assets"] = {name: shown(member) for name, member in (value.assets or {}).items()}
    return found


def _signature(value: Asset | Archive) -> str:
    return ASSET_SIGNATURE if isinstance(value, Asset) else ARCHIVE_SIGNATURE


def hash_only(value: Asset | Archive) -> Asset | Archive:
    """The same without its content: what plugins get to compare."""
    return Asset(value.hash) if isinstance(value, Asset) else Archive(value.hash)
