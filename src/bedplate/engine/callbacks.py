"""Functions of the program that the engine calls: transforms and hooks.

Goes in: callbacks as the SDK registers them. Comes out: what the functions answer. They run in the program's process,
behind a server that the SDK starts (`pulumirpc.Callbacks`). Import it only where a program is run: it imports Pulumi.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc, resource_pb2

from bedplate.engine.hooks import ErrorHook, Hook, Moment
from bedplate.engine.state import ResourceState
from bedplate.engine.values import to_struct
from bedplate.problems import BedplateError, Problem


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


def hook_of(request: Any, callbacks: Callbacks) -> Hook:
    """The hook of a RegisterResourceHookRequest. What its function raises is BP227."""

    def call(moment: Moment) -> None:
        message = resource_pb2.ResourceHookRequest(**_about(moment))
        if moment.over and moment.new is not None:
            message.new_outputs.CopyFrom(to_struct(moment.new.outputs))
        answer = callbacks.call(request.callback, message, resource_pb2.ResourceHookResponse(), _hook(request.name))
        if answer.error:
            when = "after" if moment.over else "before"
            raise _failed(request.name, f"{when} {moment.operation}", answer.error, moment)

    return Hook(request.name, call, request.on_dry_run, request.ignore_errors)


def error_hook_of(request: Any, callbacks: Callbacks) -> ErrorHook:
    """The hook of a RegisterErrorHookRequest."""

    def call(moment: Moment) -> bool:
        message = resource_pb2.ErrorHookRequest(
            **_about(moment), failed_operation=moment.operation, errors=moment.errors
        )
        answer = callbacks.call(request.callback, message, resource_pb2.ErrorHookResponse(), _hook(request.name))
        if answer.error:
            raise _failed(request.name, f"after a failed {moment.operation}", answer.error, moment)
        return bool(answer.retry)

    return ErrorHook(request.name, call)


def _hook(name: str) -> str:
    return f"the resource hook {name}"


def _about(moment: Moment) -> Mapping[str, Any]:
    subject = moment.subject
    found: dict[str, Any] = {"urn": subject.urn, "id": subject.id, "name": subject.name, "type": subject.type}
    for key, state in (("old", moment.old), ("new", moment.new)):
        if isinstance(state, ResourceState):
            found[f"{key}_inputs"] = to_struct(state.inputs)
    if moment.old is not None:
        found["old_outputs"] = to_struct(moment.old.outputs)
    return found


def _failed(name: str, when: str, said: str, moment: Moment) -> BedplateError:
    summary = f"{moment.subject.name}: the resource hook {name}, {when}, raised: {said.splitlines()[0]}"
    return BedplateError(Problem("BP227", summary, detail="\n".join(said.splitlines()[1:])))


def _raised(about: str, details: str) -> BedplateError:
    # The SDK says `Invoke callback TOKEN error: MESSAGE:` and then the lines of the trace.
    said, _, trace = details.partition("\n")
    message = said.partition(" error: ")[2].removesuffix(":") or said
    return BedplateError(Problem("BP201", f"{about} raised: {message}", detail=trace))
