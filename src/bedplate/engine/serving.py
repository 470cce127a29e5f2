"""Serving a provider as a Pulumi plugin: `pulumirpc.ResourceProvider` on a free port of the loopback interface.

Goes in: a `Provider`, its package's name, version and schema. Comes out: a process that the Pulumi CLI, or this engine,
starts as `pulumi-resource-<package>` and that answers until it is told to end. The rules are the provider's; here
messages become its types, and back.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from bedplate.engine.packages import Provider, Subject
from bedplate.engine.provider import Created, Incomplete, Properties, Resource
from bedplate.engine.values import annotate, from_struct, plain, seal, to_struct
from bedplate.engine.wire import (
    DETAILS,
    check_response,
    diff_response,
    incomplete_details,
    text_of,
)
from bedplate.problems import BedplateError

_THREADS = 64  # calls block; the Pulumi CLI runs as many steps at once as there are resources that wait for nothing
_LARGEST = 400 * 1024 * 1024  # bytes of a message, as Pulumi's own plugins have it
_PARENT = 1.0  # seconds between two looks whether the engine that started this is still there
_ABSENT = ("List", "Construct")


@dataclass(frozen=True)
class Package:
    """What a plugin is: `schema` is Pulumi's package schema, made when it is asked for."""

    name: str
    version: str
    schema: Callable[[], Mapping[str, Any]] = field(repr=False)


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """`pulumirpc.ResourceProvider` on a provider. A refusal is a status with a text for people, never a traceback."""

    def __init__(self, provider: Provider, package: Package) -> None:
        self._provider, self._package = provider, package
        self._engine: Any = None
        for method in _ABSENT:
            setattr(self, method, self._absent)

    def _absent(self, _request: Any, context: Any) -> NoReturn:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self._package.name} has no such method")
        raise AssertionError("abort returned")

    # the plugin

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """What the provider understands: secrets. No resource references and no output values."""
        self._attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """The version."""
        return plugin_pb2.PluginInfo(version=self._package.version)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """The package's schema as JSON."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps(self._package.schema()))

    def GetMapping(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Nothing to convert from: an empty answer, as the protocol asks."""
        return provider_pb2.GetMappingResponse()

    def GetMappings(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Nothing to convert from."""
        return provider_pb2.GetMappingsResponse()

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """The address of an engine that found this process running."""
        self._attach(request.address)
        return empty_pb2.Empty()

    def _attach(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def _say(self, urn: str, text: str) -> None:
        """Tell the person about a resource what no property shows."""
        if self._engine is not None and text:
            self._engine.Log(engine_pb2.LogRequest(severity=engine_pb2.INFO, urn=urn, message=text))

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Ask running calls to give up."""
        self._provider.cancel()
        return empty_pb2.Empty()

    # the provider

    def Parameterize(self, request: Any, context: Any) -> Any:
        """Become another package."""
        with _told(context):
            value = request.value
            name = self._provider.parameterize(value.name, value.version, value.value)
            return provider_pb2.ParameterizeResponse(name=name, version=value.version)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Check the provider's own inputs."""
        with _told(context):
            news = from_struct(request.news)
            checked = self._provider.check_config(request.urn, plain(news), plain(from_struct(request.olds)))
            return check_response(_like(checked, news))

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """Compare two configurations of the provider."""
        with _told(context):
            olds = request.old_inputs if request.HasField("old_inputs") else request.olds
            diff = self._provider.diff_config(request.urn, *map(_plain, (olds, request.news)))
            return diff_response(diff, frozenset())

    def Configure(self, request: Any, context: Any) -> Any:
        """Take up the configuration."""
        with _told(context):
            self._provider.configure(request.urn, request.id, _plain(request.args))
            return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Invoke(self, request: Any, context: Any) -> Any:
        """Call a function."""
        with _told(context):
            found = self._provider.invoke(request.tok, _plain(request.args), preview=request.preview)
            failures = [provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in found.failures]
            return provider_pb2.InvokeResponse(**{"return": to_struct(found.result)}, failures=failures)

    def Call(self, request: Any, context: Any) -> Any:
        """Call a method. What it returns depends on everything that the arguments depend on."""
        with _told(context):
            found = self._provider.call_method(request.tok, _plain(request.args), preview=request.dryRun)
            urns = sorted({urn for argument in request.argDependencies.values() for urn in argument.urns})
            depends = {key: provider_pb2.CallResponse.ReturnDependencies(urns=urns) for key in found.result}
            failures = [provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in found.failures]
            return provider_pb2.CallResponse(
                **{"return": to_struct(found.result)}, returnDependencies=depends, failures=failures
            )

    # resources

    def Check(self, request: Any, context: Any) -> Any:
        """Check a resource's inputs. No old inputs means a new resource."""
        with _told(context):
            news = from_struct(request.news)
            olds = plain(from_struct(request.olds)) if request.olds.fields else None
            return check_response(_like(self._resource(request).check(plain(news), olds), news))

    def Diff(self, request: Any, context: Any) -> Any:
        """Compare a resource with what is wanted."""
        with _told(context):
            resource = self._resource(request)
            old_inputs, olds, news = map(_plain, (request.old_inputs, request.olds, request.news))
            diff = resource.diff(request.id, old_inputs, olds, news)
            self._say(request.urn, diff.note)
            return diff_response(diff, resource.stable_outputs)

    def Create(self, request: Any, context: Any) -> Any:
        """Make a resource, or say what is known of it before."""
        with _told(context):
            resource, news = self._resource(request), from_struct(request.properties)
            if request.preview:
                outputs = _marked(resource, resource.preview_outputs(plain(news), None), news)
                return provider_pb2.CreateResponse(properties=to_struct(outputs))
            made = _made(resource, news, lambda: resource.create(plain(news)))
            return provider_pb2.CreateResponse(id=made.id, properties=to_struct(made.outputs))

    def Read(self, request: Any, context: Any) -> Any:
        """What a resource is now; an answer without id where it is gone."""
        with _told(context):
            resource = self._resource(request)
            inputs, outputs = from_struct(request.inputs), from_struct(request.properties)
            known = {**outputs, **inputs}
            try:
                found = resource.read(request.id, plain(inputs), plain(outputs))
            except Incomplete as error:
                marked = Created(error.created.id, _marked(resource, error.created.outputs, known))
                raise Incomplete(marked, *error.problems, inputs=annotate(dict(error.inputs), inputs)) from error
            if found is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=found.id,
                inputs=to_struct(annotate(dict(found.inputs), inputs)),
                properties=to_struct(_marked(resource, found.outputs, known)),
            )

    def Update(self, request: Any, context: Any) -> Any:
        """Change a resource in place, or say what is known of it before."""
        with _told(context):
            resource, news = self._resource(request), from_struct(request.news)
            arguments = (request.id, _plain(request.old_inputs), _plain(request.olds), plain(news))
            change = resource.preview_update if request.preview else resource.update
            made = _made(resource, news, lambda: Created(request.id, change(*arguments)))
            return provider_pb2.UpdateResponse(properties=to_struct(made.outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        """Remove a resource."""
        with _told(context):
            self._resource(request).delete(request.id, _plain(request.properties))
            return empty_pb2.Empty()

    def _resource(self, request: Any) -> Resource:
        urn = request.urn
        type_ = request.type or urn.split("::")[2].rpartition("$")[2]
        old = from_struct(request.old_inputs) if "old_inputs" in request.DESCRIPTOR.fields_by_name else {}
        ignored = tuple(getattr(request, "ignoreChanges", ()))
        limit = getattr(request, "timeout", 0.0)
        timeouts = {request.DESCRIPTOR.name.removesuffix("Request").lower(): limit} if limit else {}
        return self._provider.resource(Subject(urn, type_, old, timeouts, ignored))


def _marked(resource: Resource, outputs: Properties, inputs: Properties) -> Properties:
    marked: Properties = annotate(seal(outputs, resource.secret_outputs), inputs)
    return marked


def _made(resource: Resource, news: Properties, call: Callable[[], Created]) -> Created:
    """What a call made, whole or not, with the marks of secrets."""
    try:
        made = call()
    except Incomplete as error:
        marked = _marked(resource, error.created.outputs, news)
        raise Incomplete(Created(error.created.id, marked), *error.problems) from error
    return Created(made.id, _marked(resource, made.outputs, news))


def _plain(struct: Any) -> Properties:
    found: Properties = plain(from_struct(struct))
    return found


def _like(checked: Any, news: Properties) -> Any:
    return replace(checked, inputs=annotate(dict(checked.inputs), news))


@contextlib.contextmanager
def _told(context: Any) -> Iterator[None]:
    """Turn what a provider raises into a status."""
    try:
        yield
    except Incomplete as error:
        context.set_trailing_metadata(((DETAILS, incomplete_details(error)),))
        context.abort(grpc.StatusCode.UNKNOWN, text_of(error))
    except BedplateError as error:
        context.abort(grpc.StatusCode.UNKNOWN, text_of(error))
    except Exception as error:
        logging.getLogger(__name__).exception("a call failed unexpectedly")
        context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}; this is a bug")


def serve(provider: Provider, package: Package) -> None:
    """Answer until SIGTERM or SIGINT, or until the process that started this is gone.

    The first line of stdout is the port. Engines start plugins in a process group of their own: Ctrl-C in a terminal
    does not come here, and the SIGINT with which the Pulumi CLI ends its plugins means what it says.
    """
    server = grpc.server(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="plugin"),
        options=[("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(provider, package), server)
    port = server.add_insecure_port("127.0.0.1:0")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: ended.set())
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    parent = os.getppid()
    while not ended.wait(_PARENT) and os.getppid() == parent:
        pass
    server.stop(grace=1).wait()
    provider.close()
