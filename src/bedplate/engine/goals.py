"""What a program asks for: one resource registration as a value, and the URNs that name it.

Comes out of `requests`, which reads the SDK's messages. It decides nothing and imports no Pulumi.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bedplate.engine.origins import Origin
from bedplate.problems import BedplateError, Problem

PROVIDER_TYPE: Final = "pulumi:providers:"
# Units of Go's durations, which `customTimeouts` is written in (https://pkg.go.dev/time#ParseDuration), in seconds.
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


@dataclass(frozen=True)
class AliasSpec:
    """Another name that the resource had. Empty fields mean as it is now; `parent` None too, and "" means none."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str | None = None


@dataclass(frozen=True)
class Goal:
    """A resource as the program wants it. `id` is given for a resource to be read, not made.

    `provider` is a provider's reference (`urn::id`), `providers` has those that children take, by package. Options that
    are None were not written.
    """

    type: str
    name: str
    custom: bool = True
    parent: str = ""
    id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    provider: str = ""
    providers: Mapping[str, str] = field(default_factory=dict)
    protect: bool | None = None
    retain_on_delete: bool | None = None
    delete_before_replace: bool | None = None
    deleted_with: str = ""
    replace_with: tuple[str, ...] = ()
    replacement_trigger: Any = None
    import_id: str = ""
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    hide_diffs: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: tuple[AliasSpec, ...] = ()

    @property
    def package(self) -> str:
        """The package of the type token: `bedplate` of `bedplate:local:Process`."""
        return self.type.partition(":")[0]

    @property
    def is_provider(self) -> bool:
        """Whether the resource is itself a provider."""
        return self.type.startswith(PROVIDER_TYPE)

    def under(self, parent: Goal | None) -> Goal:
        """The goal with what it has from its parent: protect, retainOnDelete, deletedWith and the provider."""
        if parent is None:
            return self
        return replace(
            self,
            protect=parent.protect if self.protect is None else self.protect,
            retain_on_delete=parent.retain_on_delete if self.retain_on_delete is None else self.retain_on_delete,
            deleted_with=self.deleted_with or parent.deleted_with,
            provider=self.provider or self._inherited_provider(parent),
            providers=self.providers if self.custom else {**parent.providers, **self.providers},
        )

    def _inherited_provider(self, parent: Goal) -> str:
        fits = not self.custom or reference_package(parent.provider) == self.package
        return parent.provider if parent.provider and fits else parent.providers.get(self.package, "")


def reference_package(reference: str) -> str:
    """The package of the provider with this reference."""
    return reference.split("::")[2].rpartition("$")[2].removeprefix(PROVIDER_TYPE) if reference else ""


@dataclass(frozen=True)
class StackId:
    """A stack's two names, and the URNs in it."""

    project: str
    stack: str

    def urn(self, parent: str, type: str, name: str) -> str:
        """The URN of a resource. The types of its ancestors below the stack are part of it."""
        ancestors = parent.split("::", 3)[2] if parent else ""
        if ancestors and ancestors != "pulumi:pulumi:Stack":
            type = f"{ancestors}${type}"
        return f"urn:pulumi:{self.stack}::{self.project}::{type}::{name}"


def unsupported(what: str, who: str = "") -> BedplateError:
    """The error for something that Pulumi has and this engine does not."""
    whose = f"{who}: " if who else ""
    return BedplateError(
        Problem(
            "BP202",
            f"{whose}{what} is not supported by the embedded engine",
            fix="leave it out, or deploy this program with the Pulumi CLI",
        )
    )


def seconds(text: str, who: str) -> float:
    """A duration as Go writes it (`5m`, `1h30m`, `1.5s`). Raises BedplateError BP220."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        problem = Problem(
            "BP220", f"{who}: {text!r} in customTimeouts is not a duration", fix="write `30s`, `5m`, `1h30m`"
        )
        raise BedplateError(problem)
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
