"""Requests of the Pulumi SDK as goals.

Goes in: `RegisterResourceRequest` and `ReadResourceRequest` of `pulumirpc`. Comes out: a `Goal`. An option that the
engine does not implement is refused by its name here, so that none is ever accepted and ignored.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from bedplate.engine.aliases import alias_of
from bedplate.engine.contents import hashed
from bedplate.engine.goals import PROVIDER_TYPE, AliasSpec, Goal, seconds, unsupported
from bedplate.engine.origins import Origin
from bedplate.engine.values import from_struct, from_value

NOWHERE: Final = Origin()
# Field of RegisterResourceRequest → the option's name as programs write it.
_UNSUPPORTED = {
    "remote": "a remote component",
    "state_migrations": "stateMigrations",
}
# Field of ResourceHooksBinding → the kind of hook as it stands in state.
_KINDS = {
    "before_create": "BeforeCreate",
    "after_create": "AfterCreate",
    "before_update": "BeforeUpdate",
    "after_update": "AfterUpdate",
    "before_delete": "BeforeDelete",
    "after_delete": "AfterDelete",
    "on_error": "OnError",
}


def refuse_unsupported(request: Any) -> None:
    """Raise BedplateError BP202 that names the first option of the request that is not implemented."""
    for descriptor, value in request.ListFields():
        what = _UNSUPPORTED.get(descriptor.name)
        # An empty message is set by the SDK without anything in it.
        if what and not (hasattr(value, "ByteSize") and value.ByteSize() == 0):
            raise unsupported(what, request.name)


def goal_of(request: Any, origin: Origin = NOWHERE) -> Goal:
    """The goal of a RegisterResourceRequest. `origin` is that of the package it refers to."""
    refuse_unsupported(request)
    trigger = from_value(request.replacement_trigger) if request.HasField("replacement_trigger") else None
    return Goal(
        type=request.type,
        name=request.name,
        custom=request.custom,
        parent=request.parent,
        inputs=hashed(from_struct(request.object)),
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={k: tuple(sorted(v.urns)) for k, v in request.propertyDependencies.items()},
        origin=origin_in(request, origin),
        provider=request.provider or request.providers.get(request.type.partition(":")[0], ""),
        providers=dict(request.providers),
        protect=request.protect if request.HasField("protect") else None,
        retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        deleted_with=request.deletedWith,
        replace_with=tuple(sorted(request.replace_with)),
        replacement_trigger=trigger,
        import_id=request.importId,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        hide_diffs=tuple(request.hideDiffs),
        additional_secret_outputs=tuple(sorted(request.additionalSecretOutputs)),
        custom_timeouts=_timeouts(request),
        hooks={_KINDS[kind.name]: tuple(names) for kind, names in request.hooks.ListFields()},
        aliases=(*(AliasSpec(urn=urn) for urn in request.aliasURNs), *map(alias_of, request.aliases)),
    )


def read_goal_of(request: Any, origin: Origin = NOWHERE) -> Goal:
    """The goal of a ReadResourceRequest: a resource that exists outside of the stack."""
    refuse_unsupported(request)
    return Goal(
        type=request.type,
        name=request.name,
        parent=request.parent,
        id=request.id,
        inputs=from_struct(request.properties),
        dependencies=tuple(sorted(request.dependencies)),
        origin=origin_in(request, origin),
        provider=request.provider,
        additional_secret_outputs=tuple(sorted(request.additionalSecretOutputs)),
    )


def origin_in(request: Any, known: Origin) -> Origin:
    """Where the provider of a request comes from, `known` from the package that it refers to."""
    url = request.pluginDownloadURL.removesuffix("/")
    variables = dict(getattr(request, "envVarMappings", {}))
    if variables and not request.type.startswith(PROVIDER_TYPE):
        raise unsupported("envVarMappings of what is no provider", request.name)
    return replace(known, version=known.version or request.version, url=known.url or url, variables=variables)


def package_of(request: Any) -> Origin:
    """Where the package of a RegisterPackageRequest comes from. Raises BedplateError BP202 for an extension."""
    if request.HasField("extension"):
        raise unsupported(f"the extension {request.extension.name} of the package {request.name}")
    url = request.download_url.removesuffix("/")
    if not request.HasField("parameterization"):
        return Origin(request.version, url)
    made = request.parameterization
    return Origin(made.version, url, request.name, request.version, made.value)


def _timeouts(request: Any) -> dict[str, float]:
    return {field.name: seconds(text, request.name) for field, text in request.customTimeouts.ListFields()}
