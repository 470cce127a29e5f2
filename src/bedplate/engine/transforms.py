"""Transforms: functions of the program that change registrations and invokes before the engine sees them.

Goes in: requests of the SDK. Comes out: requests as the transforms leave them. A resource's own transforms come first,
then those of its ancestors, then those of the stack. Called on the SDK's worker threads; registering never blocks.
"""

from __future__ import annotations

from typing import Any

from pulumi.runtime.proto import resource_pb2

from bedplate.engine.callbacks import Callbacks

# Field of TransformResourceOptions → field of RegisterResourceRequest.
_SCALARS = {
    "import": "importId",
    "version": "version",
    "provider": "provider",
    "deleted_with": "deletedWith",
    "plugin_download_url": "pluginDownloadURL",
}
_PRESENT = {"protect": "protect", "retain_on_delete": "retainOnDelete"}
_LISTS = {
    "depends_on": "dependencies",
    "ignore_changes": "ignoreChanges",
    "replace_on_changes": "replaceOnChanges",
    "additional_secret_outputs": "additionalSecretOutputs",
    "hide_diff": "hideDiffs",
    "replace_with": "replace_with",
}
_MESSAGES = {"custom_timeouts": "customTimeouts", "replacement_trigger": "replacement_trigger", "hooks": "hooks"}


class Transforms:
    """The transforms of one run."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._stack: list[Any] = []
        self._invokes: list[Any] = []
        self._own: dict[str, list[Any]] = {}
        self._parents: dict[str, str] = {}

    def add_stack(self, callback: Any) -> None:
        """A transform of every resource from now on."""
        self._stack.append(callback)

    def add_invoke(self, callback: Any) -> None:
        """A transform of every invoke from now on."""
        self._invokes.append(callback)

    def note(self, urn: str, request: Any) -> None:
        """Remember what a registered resource hands down to its children."""
        self._parents[urn] = request.parent
        self._own[urn] = list(request.transforms)

    def resource(self, request: Any) -> Any:
        """A RegisterResourceRequest as every transform leaves it."""
        transforms = [*request.transforms, *self._inherited(request.parent), *self._stack]
        if not transforms:
            return request
        asked = resource_pb2.TransformRequest(
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            properties=request.object,
            options=_options(request),
        )
        for transform in transforms:
            answer = self._callbacks.call(
                transform, asked, resource_pb2.TransformResponse(), f"{request.name}: a transform"
            )
            if answer.HasField("properties"):
                asked.properties.CopyFrom(answer.properties)
            if answer.HasField("options"):
                asked.options.CopyFrom(answer.options)
        return _changed(request, asked)

    def _inherited(self, urn: str) -> list[Any]:
        found: list[Any] = []
        while urn:
            found += self._own.get(urn, [])
            urn = self._parents.get(urn, "")
        return found

    def invoke(self, request: Any) -> Any:
        """A ResourceInvokeRequest as every transform leaves it."""
        if not self._invokes:
            return request
        result = resource_pb2.ResourceInvokeRequest()
        result.CopyFrom(request)
        for transform in self._invokes:
            options = resource_pb2.TransformInvokeOptions(
                provider=result.provider, version=result.version, plugin_download_url=result.pluginDownloadURL
            )
            asked = resource_pb2.TransformInvokeRequest(token=result.tok, args=result.args, options=options)
            answer = self._callbacks.call(
                transform, asked, resource_pb2.TransformInvokeResponse(), f"{result.tok}: a transform"
            )
            if answer.HasField("args"):
                result.args.CopyFrom(answer.args)
            if answer.HasField("options"):
                result.provider, result.version = answer.options.provider, answer.options.version
                result.pluginDownloadURL = answer.options.plugin_download_url
        return result


def _options(request: Any) -> Any:
    options = resource_pb2.TransformResourceOptions(
        **{option: getattr(request, name) for option, name in (_SCALARS | _LISTS).items()},
        **{option: getattr(request, name) for option, name in _PRESENT.items() if request.HasField(name)},
        providers=request.providers,
        aliases=request.aliases,
    )
    for urn in request.aliasURNs:
        options.aliases.add(urn=urn)
    for option, name in _MESSAGES.items():
        if request.HasField(name):
            getattr(options, option).CopyFrom(getattr(request, name))
    if request.deleteBeforeReplaceDefined:
        options.delete_before_replace = request.deleteBeforeReplace
    return options


def _changed(request: Any, asked: Any) -> Any:
    options = asked.options
    result: Any = resource_pb2.RegisterResourceRequest()
    result.CopyFrom(request)
    for name in (*_SCALARS.values(), *_PRESENT.values(), *_LISTS.values(), *_MESSAGES.values(), "aliasURNs"):
        result.ClearField(name)
    for option, name in _SCALARS.items():
        setattr(result, name, getattr(options, option))
    for option, name in _LISTS.items():
        getattr(result, name).extend(getattr(options, option))
    for option, name in _PRESENT.items():
        if options.HasField(option):
            setattr(result, name, getattr(options, option))
    for option, name in _MESSAGES.items():
        if options.HasField(option):
            getattr(result, name).CopyFrom(getattr(options, option))
    result.deleteBeforeReplaceDefined = options.HasField("delete_before_replace")
    result.deleteBeforeReplace = options.delete_before_replace
    _take_over(result, asked)
    return result


def _take_over(result: Any, asked: Any) -> None:
    """What a transform may change beside plain options: properties, aliases, the providers of children."""
    result.object.CopyFrom(asked.properties)
    del result.aliases[:]
    result.aliases.extend(asked.options.aliases)
    result.providers.clear()
    result.providers.update(asked.options.providers)
    for name in result.object.fields:
        # Named even where it depends on nothing, as for every other property.
        result.propertyDependencies[name].SetInParent()
    for gone in [name for name in result.propertyDependencies if name not in result.object.fields]:
        del result.propertyDependencies[gone]
