"""Property values between the Pulumi SDK and providers.

Goes in: protobuf structs as the SDK sends them (`pulumirpc`: secrets, unknowns and assets are marked with signatures).
Comes out: plain Python values in which a secret is `Secret(value)`, an unknown is `UNKNOWN` and a content an `Asset` or
`Archive`, at any depth; and back. It imports protobuf only inside `to_struct`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bedplate.engine.assets import (
    ARCHIVE_SIGNATURE,
    ASSET_SIGNATURE,
    SIGNATURE,
    Archive,
    Asset,
    from_map,
    hash_only,
    on_the_wire,
    shown,
)
from bedplate.engine.provider import UNKNOWN, Properties
from bedplate.problems import BedplateError, Problem

# Signatures of Pulumi's wire format: sdk/python/lib/pulumi/runtime/rpc.py.
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN_SENTINEL: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
RESOURCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
MASK: Final = "[secret]"
# Unknown values of another type than a string (pulumi/pulumi, pkg/resource/plugin/rpc.go).
_SENTINELS: Final = {
    UNKNOWN_SENTINEL,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}
_DIGITS: Final = 1e21
"""From here on a number is written with an exponent, as Pulumi does: its digits say nothing more."""
_REFUSED: Final = {"d0e6a833031e9bbcd3f4e8bde6ca49a4": "an output value"}


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in state and masked wherever a person reads it."""

    value: Any = field(repr=False)


def from_struct(struct: Any) -> dict[str, Any]:
    """A protobuf `Struct` as a map. Raises BedplateError BP202 for a value that the engine does not support."""
    return {key: from_value(value) for key, value in struct.fields.items()}


def from_value(value: Any) -> Any:
    """A protobuf `Value`: see `from_struct`."""
    match value.WhichOneof("kind"):
        case "string_value":
            text = value.string_value
            return UNKNOWN if text in _SENTINELS else text
        case "number_value":
            # The wire knows doubles only; a whole number was an integer in every program that matters.
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) < _DIGITS else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [from_value(item) for item in value.list_value.values]
        case "struct_value":
            return _from_map(from_struct(value.struct_value))
        case _:
            return None


def _from_map(properties: dict[str, Any]) -> Any:
    signature = properties.get(SIGNATURE)
    if signature is None:
        return properties
    if not isinstance(signature, str):
        raise BedplateError(Problem("BP202", f"a value in a property has a signature that is no text: {signature!r}"))
    if signature == SECRET_SIGNATURE:
        inner = properties.get("value")
        return inner if isinstance(inner, Secret) else Secret(inner)
    if signature in {ASSET_SIGNATURE, ARCHIVE_SIGNATURE}:
        return from_map(properties)
    if signature == RESOURCE_SIGNATURE:
        # As Pulumi does for whoever does not take references: a custom resource is its id, a component its URN.
        return properties["id"] if "id" in properties else properties["urn"]
    what = _REFUSED.get(signature, "a value with an unknown signature")
    raise BedplateError(Problem("BP202", f"{what} in a property is not supported by the embedded engine"))


def to_struct(properties: Properties) -> Any:
    """A map as a protobuf `Struct`, secrets and unknowns marked as the SDK expects them."""
    from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]

    struct = Struct()
    for key, value in properties.items():
        _fill(struct.fields[key], value)
    return struct


def _fill(target: Any, value: Any) -> None:
    match value:
        case None:
            target.null_value = 0
        case bool():
            target.bool_value = value
        case int() | float():
            target.number_value = value
        case str():
            target.string_value = value
        case Secret():
            _fill(target, {SIGNATURE: SECRET_SIGNATURE, "value": value.value})
        case Asset() | Archive():
            _fill(target, on_the_wire(value))
        case Mapping():
            target.struct_value.SetInParent()
            for key, item in value.items():
                _fill(target.struct_value.fields[key], item)
        case list() | tuple():
            target.list_value.SetInParent()
            for item in value:
                _fill(target.list_value.values.add(), item)
        case _ if value is UNKNOWN:
            target.string_value = UNKNOWN_SENTINEL
        case _:
            raise TypeError(f"a property cannot hold {type(value).__name__}: {value!r}")


def plain(value: Any) -> Any:
    """The value without its secret marks: what a provider gets."""
    match value:
        case Secret():
            return plain(value.value)
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


def elided(value: Any) -> Any:
    """The value with nothing but the hashes of its assets and archives."""
    match value:
        case Asset() | Archive():
            return hash_only(value)
        case Secret():
            return Secret(elided(value.value))
        case Mapping():
            return {key: elided(item) for key, item in value.items()}
        case list() | tuple():
            return [elided(item) for item in value]
        case _:
            return value


def masked(value: Any) -> Any:
    """The value with each secret masked, and assets as the maps that stand for them: what a person may read."""
    match value:
        case Secret():
            return MASK
        case Asset() | Archive():
            return shown(value)
        case Mapping():
            return {key: masked(item) for key, item in value.items()}
        case list() | tuple():
            return [masked(item) for item in value]
        case _:
            return value


def contains(value: Any, kind: type) -> bool:
    """Whether a value of `kind` (`Secret`, or the type of `UNKNOWN`) stands anywhere in `value`."""
    match value:
        case _ if isinstance(value, kind):
            return True
        case Secret():
            return contains(value.value, kind)
        case Mapping():
            return any(contains(item, kind) for item in value.values())
        case list() | tuple():
            return any(contains(item, kind) for item in value)
        case _:
            return False


def annotate(value: Any, like: Any) -> Any:
    """`value` with secret marks where `like` has them.

    Providers get and return plain values; a secret that passes through one stays secret. Where two lists differ in
    length nothing can be matched, so a secret inside one makes the whole list secret.
    """
    if isinstance(value, Secret):
        return value
    match value, like:
        case _, Secret():
            return Secret(plain(value))
        case Mapping(), Mapping():
            return {key: annotate(item, like.get(key)) for key, item in value.items()}
        case (list() | tuple(), list() | tuple()) if len(value) == len(like):
            return [annotate(a, b) for a, b in zip(value, like, strict=True)]
        case _, list() | tuple() if contains(like, Secret):
            return Secret(plain(value))
        case _:
            return value


def seal(properties: Properties, names: Any) -> dict[str, Any]:
    """The map with the top-level properties in `names` made secret."""
    return {
        key: Secret(plain(value)) if key in names and not isinstance(value, Secret) else value
        for key, value in properties.items()
    }
