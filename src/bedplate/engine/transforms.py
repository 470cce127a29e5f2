"""Transforms: functions of the program that change registrations and invokes before the engine sees them.

Goes in: requests of the SDK. Comes out: requests as the transforms leave them. The functions run in the program's
process, behind a server that the SDK starts (`pulumirpc.Callbacks`). A resource's own transforms come first, then those
of its ancestors, then those of the stack. Called on the SDK's worker threads; registering never blocks.
"""

from __future__ import annotations

import threading
from typing import Any

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc, resource_pb2

from bedplate.problems import BedplateError, Problem

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


class Callbacks:
    """Calls functions of the program."""

    def __init__(self) -> None:
        self._channels: dict[str, Any] = {}
        self._lock = threading.Lock()

    def call(self, callback: Any, request: Any, response: Any, about: str) -> Any:
        """Call with a message; `response` takes the answer. Raises BedplateError BP201 for what the function raised."""
        stub = callback_pb2_grpc.CallbacksStub(self._channel(callback.target))
        message = callback_pb2.CallbackInvokeRequest(token=callback.token, request=request.SerializeToString())
        try:
            response.ParseFromString(stub.Invoke(message).response)
        except grpc.RpcError as error:
            raise _raised(about, str(error.details())) from error
        return response

    def _channel(self, target: str) -> Any:
        with self._lock:
            if target not in self._channels:
                self._channels[target] = grpc.insecure_channel(target)
            return self._channels[target]

    def close(self) -> None:
        """End the connections, before the SDK ends its server."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()


class Transforms:
    """The transforms of one run."""

    def __init__(self) -> None:
        self._callbacks = Callbacks()
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
            answer = self._callbacks.call(transform, asked, resource_pb2.TransformResponse(), request.name)
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
            answer = self._callbacks.call(transform, asked, resource_pb2.TransformInvokeResponse(), result.tok)
            if answer.HasField("args"):
                result.args.CopyFrom(answer.args)
            if answer.HasField("options"):
                result.provider, result.version = answer.options.provider, answer.options.version
                result.pluginDownloadURL = answer.options.plugin_download_url
        return result

    def close(self) -> None:
        """End the connections to the program."""
        self._callbacks.close()


def _raised(about: str, details: str) -> BedplateError:
    # The SDK says `Invoke callback TOKEN error: MESSAGE:` and then the lines of the trace.
    said, _, trace = details.partition("\n")
    message = said.partition(" error: ")[2].removesuffix(":") or said
    return BedplateError(Problem("BP201", f"{about}: a transform raised: {message}", detail=trace))


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
