"""The provider SDK: what a resource type implements so that an engine can manage its resources.

The semantics are those of Pulumi's resource provider protocol (check, diff, create, read, update, delete); the
embedded engine calls these classes in process. Property maps are plain JSON values. In a preview, a value that is not
yet known is `UNKNOWN`; it occurs at any depth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final

from bedplate.problems import BedplateError, Problem

Properties = Mapping[str, Any]


class _Unknown:
    """The value of a property that is known only after an update."""

    _instance: _Unknown | None = None

    def __new__(cls) -> _Unknown:
        cls._instance = cls._instance or super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("an unknown value has no truth; test it with `is UNKNOWN`")


UNKNOWN: Final = _Unknown()


class DiffKind(StrEnum):
    """What happens to one property. `*_REPLACE` makes the resource be replaced."""

    ADD = "add"
    ADD_REPLACE = "add-replace"
    DELETE = "delete"
    DELETE_REPLACE = "delete-replace"
    UPDATE = "update"
    UPDATE_REPLACE = "update-replace"

    @property
    def replaces(self) -> bool:
        """Whether a change of this kind replaces the resource."""
        return self.value.endswith("-replace")

    @property
    def replacing(self) -> DiffKind:
        """The same change, as one that replaces the resource."""
        return self if self.replaces else DiffKind(f"{self.value}-replace")


@dataclass(frozen=True)
class CheckFailure:
    """An input that the provider refuses: the property's path and why."""

    property: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """Inputs with defaults filled in, or the failures that make them unusable."""

    inputs: Properties
    failures: tuple[CheckFailure, ...] = ()


@dataclass(frozen=True)
class Diff:
    """The difference between a resource and what is wanted, by property path (`config.limits.tokens`). Empty: none.

    `note` names a change that no property shows (`not running`); alone it is a change too, an update in place.
    """

    properties: Mapping[str, DiffKind] = field(default_factory=dict)
    delete_before_replace: bool = False
    note: str = ""

    @property
    def changes(self) -> bool:
        """Whether anything has to be done: a property differs, or a note says what no property shows."""
        return bool(self.properties) or bool(self.note)

    @property
    def replaces(self) -> tuple[str, ...]:
        """The property paths that force a replacement."""
        return tuple(path for path, kind in self.properties.items() if kind.replaces)


@dataclass(frozen=True)
class Created:
    """A new resource: its id and its outputs (inputs included, as Pulumi does)."""

    id: str
    outputs: Properties


@dataclass(frozen=True)
class ReadResult:
    """A resource as it is now: inputs and outputs."""

    id: str
    inputs: Properties
    outputs: Properties


@dataclass(frozen=True)
class Property:
    """One property of a resource type, as a package's schema tells it.

    `kind` is `string`, `integer`, `number`, `boolean` or `any`, with `[]` behind it for a list and `{}` for a map. An
    input that is not `kept` is no output.
    """

    kind: str
    description: str
    required: bool = True
    kept: bool = True


class Incomplete(BedplateError):
    """What `create`, `update` and `read` raise where the resource exists, but did not come up as it should.

    The engine records `created` with the reasons, and fails, but for a refresh; the next update tries again. `inputs`
    are for `read`.
    """

    def __init__(self, created: Created, *problems: Problem, inputs: Properties | None = None) -> None:
        super().__init__(*problems)
        self.created, self.inputs = created, inputs or {}


class Unsettled(BedplateError):
    """What a call that changes something raises where nobody knows whether it has: the operation stays pending."""


class Resource(ABC):
    """One resource type. An instance serves every resource of its type; it holds no state of its own.

    Raise `BedplateError` for what the user can mend; the engine reports it with the resource's name. Methods block and
    are called from worker threads, several at once for different resources.
    """

    type: ClassVar[str]
    """The type token, `bedplate:local:Process`."""
    inputs: ClassVar[Mapping[str, Property]] = {}
    """Every input, for the package's schema."""
    outputs: ClassVar[Mapping[str, Property]] = {}
    """Every output that is not an input, for the package's schema."""
    secret_outputs: ClassVar[frozenset[str]] = frozenset()
    """Top-level outputs that are secret: encrypted in state, never printed."""

    def check(self, news: Properties, olds: Properties | None) -> Checked:  # noqa: ARG002
        """Validate inputs and fill in defaults. `olds` are the inputs of the last update, None for a new resource."""
        return Checked(news)

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:  # noqa: ARG002
        """Compare. The default compares inputs deeply; a path in `replace_keys` replaces."""
        from bedplate.engine.diffing import diff_properties

        return diff_properties(old_inputs, news, self.replace_keys)

    repeatable: ClassVar[bool] = True
    """Whether `create` may be called again after a run that died in it: it finds, or makes again, the same thing."""
    replace_keys: ClassVar[frozenset[str]] = frozenset()
    """Top-level inputs whose change replaces the resource (used by the default `diff`)."""

    @abstractmethod
    def create(self, news: Properties) -> Created:
        """Make it. Idempotent where it can be: a run that was killed after this call calls it again."""

    @abstractmethod
    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """What it is now, or None when it is gone."""

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        """Change it in place; returns the new outputs."""
        raise NotImplementedError(f"{self.type} is always replaced, never updated: {id}")

    @abstractmethod
    def delete(self, id: str, outputs: Properties) -> None:
        """Remove it. Succeeds when it is already gone.

        A replacement is made before the old resource is deleted, also where both have one id. A type whose `create`
        takes the old one's place puts a mark into the outputs, and removes nothing that has another one by now.
        """

    def preview_outputs(self, news: Properties, old_outputs: Properties | None) -> Properties:
        """Outputs as far as they are known before the change. The default: inputs, and UNKNOWN for the rest.

        `old_outputs` is None for a create. Outputs named in `stable_outputs` survive an update.
        """
        from bedplate.engine.diffing import default_preview

        return default_preview(news, old_outputs, self.stable_outputs, self.computed_outputs)

    def preview_update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:  # noqa: ARG002
        """Outputs of an update as far as they are known before it: `preview_outputs`, unless a provider knows more."""
        return self.preview_outputs(news, old_outputs)

    stable_outputs: ClassVar[frozenset[str]] = frozenset()
    """Outputs that an update never changes."""
    computed_outputs: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are not inputs: unknown before a create."""
