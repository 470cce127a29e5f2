"""What a program asks for: one resource registration as a value, and the URNs that name it.

Goes in: `RegisterResourceRequest` and `ReadResourceRequest` of `pulumirpc`. Comes out: a `Goal`. An option that the
engine does not implement is refused by its name here, so that none is ever accepted and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bedplate.engine.values import from_struct
from bedplate.problems import BedplateError, Problem


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
    """A resource as the program wants it. `id` is given for a resource to be read, not made."""

    type: str
    name: str
    custom: bool = True
    parent: str = ""
    id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version: str = ""
    protect: bool | None = None
    retain_on_delete: bool | None = None
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[AliasSpec, ...] = ()

    @property
    def package(self) -> str:
        """The package of the type token: `bedplate` of `bedplate:local:Process`."""
        return self.type.partition(":")[0]


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


# Field of RegisterResourceRequest → the option's name as programs write it.
_UNSUPPORTED = {
    "remote": "a remote component",
    "importId": "import",
    "provider": "an explicit provider",
    "providers": "explicit providers",
    "deletedWith": "deletedWith",
    "replace_with": "replaceWith",
    "replacement_trigger": "replacementTrigger",
    "customTimeouts": "customTimeouts",
    "transforms": "transforms",
    "state_migrations": "stateMigrations",
    "hooks": "resource hooks",
    "hideDiffs": "hideDiffs",
    "envVarMappings": "envVarMappings",
    "pluginDownloadURL": "pluginDownloadURL",
    "packageRef": "a parameterized package",
}


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


def refuse_unsupported(request: Any) -> None:
    """Raise BedplateError BP202 that names the first option of the request that is not implemented."""
    for descriptor, value in request.ListFields():
        what = _UNSUPPORTED.get(descriptor.name)
        # An empty message is set by the SDK without anything in it.
        if what and not (hasattr(value, "ByteSize") and value.ByteSize() == 0):
            raise unsupported(what, request.name)


def goal_of(request: Any) -> Goal:
    """The goal of a RegisterResourceRequest."""
    refuse_unsupported(request)
    if request.type.startswith("pulumi:providers:"):
        raise unsupported("an explicit provider", request.name)
    return Goal(
        type=request.type,
        name=request.name,
        custom=request.custom,
        parent=request.parent,
        inputs=from_struct(request.object),
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={k: tuple(sorted(v.urns)) for k, v in request.propertyDependencies.items()},
        version=request.version,
        protect=request.protect if request.HasField("protect") else None,
        retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        additional_secret_outputs=tuple(sorted(request.additionalSecretOutputs)),
        aliases=(*(AliasSpec(urn=urn) for urn in request.aliasURNs), *map(_alias, request.aliases)),
    )


def read_goal_of(request: Any) -> Goal:
    """The goal of a ReadResourceRequest: a resource that exists outside of the stack."""
    refuse_unsupported(request)
    return Goal(
        type=request.type,
        name=request.name,
        parent=request.parent,
        id=request.id,
        inputs=from_struct(request.properties),
        dependencies=tuple(sorted(request.dependencies)),
        version=request.version,
        additional_secret_outputs=tuple(sorted(request.additionalSecretOutputs)),
    )


def _alias(alias: Any) -> AliasSpec:
    if alias.WhichOneof("alias") == "urn":
        return AliasSpec(urn=alias.urn)
    spec = alias.spec
    parent: str | None = None
    match spec.WhichOneof("parent"):
        case "noParent":
            parent = "" if spec.noParent else None
        case "parentUrn":
            parent = spec.parentUrn or None
    return AliasSpec("", spec.name, spec.type, spec.stack, spec.project, parent)


def alias_urns(goal: Goal, stack: StackId, parent_aliases: tuple[str, ...]) -> tuple[str, ...]:
    """Every URN that the resource may have had: its own aliases, and those that follow from its parent's."""
    own = goal.aliases
    found = [alias.urn or _spec_urn(alias, goal, stack, goal.parent) for alias in own]
    for old_parent in parent_aliases:
        found.append(stack.urn(old_parent, goal.type, _child_name(goal, old_parent)))
        inheriting = (a for a in own if not a.urn and a.parent is None)
        found += [_spec_urn(alias, goal, stack, old_parent) for alias in inheriting]
    # The SDK sends some aliases twice.
    return tuple(dict.fromkeys(found))


def _spec_urn(alias: AliasSpec, goal: Goal, stack: StackId, parent: str) -> str:
    where = StackId(alias.project or stack.project, alias.stack or stack.stack)
    old_parent = parent if alias.parent is None else alias.parent
    return where.urn(old_parent, alias.type or goal.type, alias.name or goal.name)


def _child_name(goal: Goal, old_parent: str) -> str:
    # Children are often named after their parent: `app-bucket` of `app` was `old-bucket` when `app` was `old`.
    name, old_name = goal.parent.split("::", 3)[-1], old_parent.split("::", 3)[-1]
    return old_name + goal.name[len(name) :] if goal.name.startswith(name) else goal.name
