"""Provider plugins: any `pulumi-resource-*` executable as a `Provider`, over `pulumirpc.ResourceProvider`.

Goes in: a package, its version, calls of the engine. Comes out: what the plugin answers, in our types. The order of the
first calls is Pulumi's: Handshake (an old plugin has none), CheckConfig, DiffConfig, Configure, then resources. What a
plugin can do and this client cannot is refused by its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2 as pb

from bedplate.engine.finding import find
from bedplate.engine.origins import Origin
from bedplate.engine.packages import ENGINES, Invoked, Provider, Subject
from bedplate.engine.pluginprocess import START, Log, PluginProcess
from bedplate.engine.provider import UNKNOWN, Checked, Created, Diff, Properties, ReadResult, Resource, Unsettled
from bedplate.engine.values import annotate, contains, elided, from_struct, plain, to_struct
from bedplate.engine.wire import checked_of, diff_of, failures_of, incomplete_of, problems_in
from bedplate.problems import BedplateError, Problem

_CHANGING = frozenset({"Create", "Update", "Delete"})
_NO_ANSWER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
_SEED = 32  # random bytes with which a provider makes names


def opener(environment: Mapping[str, str], log: Log) -> Callable[[str, Origin], Provider]:
    """Opens plugins found in `environment`; their messages go to `log`."""

    def start(package: str, origin: Origin) -> Provider:
        version = origin.version if origin.parameter is None else origin.plugin_version
        executable = find(package, version, environment, origin.url)
        return Plugin(package, executable, origin.environment(environment), log)

    return start


class Plugin(Provider):
    """A running plugin as a provider."""

    def __init__(
        self, package: str, executable: Path, environment: Mapping[str, str], log: Log, start: float = START
    ) -> None:
        self.package = package
        self._process = PluginProcess(executable, environment, log, start)
        self._stub = self._process.stub
        self._supports_preview = self._takes_secrets = True
        self._known = True
        try:
            self._handshake()
        except BaseException:
            self._process.close()
            raise

    def _handshake(self) -> None:
        folder = str(self._process.executable.parent)
        request = pb.ProviderHandshakeRequest(
            engine_address=self._process.engine_address,
            root_directory=folder,
            program_directory=folder,
            configure_with_urn=True,
            invoke_with_preview=True,
        )
        try:
            self._stub.Handshake(request, timeout=START)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                raise self.explained(error, "its handshake") from error

    def call(self, method: str, request: Any) -> Any:
        """One call. Raises `Incomplete` where it left a resource that did not come up, `Unsettled` where a change may
        have been made or not, else BedplateError.
        """
        try:
            return getattr(self._stub, method)(request)
        except grpc.RpcError as error:
            if (incomplete := incomplete_of(error)) is not None:
                raise incomplete from error
            explained = self.explained(error, method)
            unknown = method in _CHANGING and error.code() in _NO_ANSWER
            raise (Unsettled(*explained.problems) if unknown else explained) from error

    def explained(self, error: Any, doing: str) -> BedplateError:
        """What a failed call means for a person."""
        text = error.details() or ""
        match error.code():
            case grpc.StatusCode.UNIMPLEMENTED:
                problem = Problem("BP245", f"the plugin {self.package} does not support {doing}", detail=text)
            case grpc.StatusCode.UNAVAILABLE:
                status = self._process.exit
                ended = "does not answer" if status is None else f"ended with status {status}"
                return self._process.failed(f"{ended} during {doing}")
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                problem = Problem("BP246", f"{doing} was not done within its time limit", detail=text)
            case _:
                return BedplateError(*problems_in(text))
        return BedplateError(problem)

    def parameterize(self, name: str, version: str, value: bytes) -> str:
        """Hand the parameter over."""
        parameters = pb.ParameterizeRequest.ParametersValue(name=name, version=version, value=value)
        made: str = self.call("Parameterize", pb.ParameterizeRequest(value=parameters)).name
        # Its configuration is that of the package that it has become.
        self.package = made
        return made

    def schema(self) -> Mapping[str, Any]:
        """The package's schema."""
        found: Mapping[str, Any] = json.loads(self.call("GetSchema", pb.GetSchemaRequest()).schema)
        return found

    def check_config(self, urn: str, news: Properties, olds: Properties | None) -> Checked:
        """Ask the plugin; an old one without the method takes every configuration."""
        request = pb.CheckRequest(urn=urn, news=to_struct(news), olds=to_struct(olds or {}), **_named(urn))
        try:
            return checked_of(self._stub.CheckConfig(request))
        except grpc.RpcError as error:
            if _absent(error):
                return Checked(news)
            raise self.explained(error, "checking its configuration") from error

    def diff_config(self, urn: str, old_inputs: Properties, news: Properties) -> Diff:
        """Ask the plugin; an old one without the method compares inputs."""
        olds = to_struct(old_inputs)
        request = pb.DiffRequest(urn=urn, olds=olds, old_inputs=olds, news=to_struct(news), **_named(urn))
        try:
            return diff_of(self._stub.DiffConfig(request), old_inputs, news)
        except grpc.RpcError as error:
            if _absent(error):
                return super().diff_config(urn, old_inputs, news)
            raise self.explained(error, "comparing its configuration") from error

    def configure(self, urn: str, id: str, inputs: Properties) -> None:
        """Hand over the configuration, as values and, for old plugins, as texts.

        In a preview a part of it may not be known yet: then the plugin is left alone, and its resources are previewed
        from their inputs.
        """
        self._known = not contains(inputs, type(UNKNOWN))
        if not self._known:
            return
        request = pb.ConfigureRequest(
            variables={f"{self.package}:config:{k}": _text(v) for k, v in inputs.items() if k not in ENGINES},
            args=to_struct(inputs),
            acceptSecrets=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
            urn=urn,
            id=id,
            **_named(urn),
        )
        response = self.call("Configure", request)
        self._supports_preview, self._takes_secrets = response.supportsPreview, response.acceptSecrets

    def resource(self, subject: Subject) -> Resource:
        """The plugin's type, bound to one resource. Whether it has the type shows when it is called."""
        if not self._known:
            return Unconfigured(self.package)
        about = subject if self._takes_secrets else replace(subject, inputs=plain(subject.inputs))
        return PluginResource(self, about, supports_preview=self._supports_preview)

    def invoke(self, token: str, args: Properties, *, preview: bool) -> Invoked:
        """Call a function of the plugin. Nothing is known of the result before the configuration is."""
        if not self._known:
            raise Unconfigured(self.package).refusal()
        response = self.call("Invoke", pb.InvokeRequest(tok=token, args=to_struct(args), preview=preview))
        return Invoked(from_struct(getattr(response, "return")), failures_of(response))

    def cancel(self) -> None:
        """Ask it to give up; a plugin that cannot be asked is ended with the run."""
        try:
            self._stub.Cancel(empty_pb2.Empty(), timeout=1)
        except grpc.RpcError as error:
            if error.code() not in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE}:
                raise self.explained(error, "being cancelled") from error

    def close(self) -> None:
        """End the process."""
        self._process.close()


class Unconfigured(Resource):
    """A resource of a provider whose configuration is not known yet: all that can be told stands in its inputs."""

    def __init__(self, package: str) -> None:
        self._package = package

    def refusal(self) -> BedplateError:
        """Why it cannot be asked."""
        return BedplateError(Problem("BP244", f"the configuration of the provider {self._package} is not known yet"))

    def create(self, news: Properties) -> Created:  # noqa: ARG002
        """Never in a preview."""
        raise self.refusal()

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:  # noqa: ARG002
        """It cannot be asked."""
        raise self.refusal()

    def delete(self, id: str, outputs: Properties) -> None:  # noqa: ARG002
        """Never in a preview."""
        raise self.refusal()


class PluginResource(Resource):
    """One resource that a plugin manages."""

    repeatable: ClassVar[bool] = False

    def __init__(self, plugin: Plugin, subject: Subject, *, supports_preview: bool) -> None:
        self._plugin, self._subject, self._supports_preview = plugin, subject, supports_preview
        self._about: dict[str, Any] = {"urn": subject.urn, "name": subject.name, "type": subject.type}
        self._ignored = subject.ignore_changes

    def _timed(self, kind: str) -> dict[str, Any]:
        limit = self._subject.timeouts.get(kind, 0.0)
        return {**self._about, "timeout": limit}

    def _struct(self, inputs: Properties) -> Any:
        """Inputs for the wire, secret where the resource's own are: a plugin that takes secrets may insist on them."""
        return to_struct(annotate(dict(inputs), self._subject.inputs))

    def _olds(self, inputs: Properties, outputs: Properties) -> dict[str, Any]:
        # To compare contents, and to remove them, a plugin gets their hashes alone.
        return {"olds": self._struct(elided(outputs)), "old_inputs": self._struct(elided(inputs))}

    def check(self, news: Properties, olds: Properties | None) -> Checked:
        """Validate inputs. The plugin makes names from a random seed and keeps those in `olds`."""
        olds_struct = self._struct(olds or {})
        request = pb.CheckRequest(
            news=self._struct(news), olds=olds_struct, randomSeed=os.urandom(_SEED), **self._about
        )
        return checked_of(self._plugin.call("Check", request))

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        """Compare, as the plugin sees it."""
        request = pb.DiffRequest(
            id=id,
            ignoreChanges=self._ignored,
            **self._olds(old_inputs, old_outputs),
            news=self._struct(elided(news)),
            **self._about,
        )
        return diff_of(self._plugin.call("Diff", request), old_inputs, news)

    def create(self, news: Properties) -> Created:
        """Make it."""
        request = pb.CreateRequest(properties=self._struct(news), **self._timed("create"))
        response = self._plugin.call("Create", request)
        if not response.id:
            raise Unsettled(Problem("BP244", f"the plugin {self._plugin.package} made it and gave it no id"))
        return Created(response.id, _told(response.properties))

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """What it is now."""
        known = {"inputs": to_struct(elided(inputs)), "properties": to_struct(elided(outputs))}
        request = pb.ReadRequest(id=id, **known, **self._timed("read"))
        response = self._plugin.call("Read", request)
        if not response.id:
            return None
        # A plugin without inputs in its answer leaves them as they are.
        found = from_struct(response.inputs) if response.HasField("inputs") else inputs
        return ReadResult(response.id, found, from_struct(response.properties))

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        """Change it in place."""
        return self._update(id, old_inputs, old_outputs, news, preview=False)

    def _update(
        self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties, *, preview: bool
    ) -> Properties:
        request = pb.UpdateRequest(
            id=id,
            news=self._struct(news),
            preview=preview,
            ignoreChanges=self._ignored,
            **self._olds(old_inputs, old_outputs),
            **self._timed("update"),
        )
        return _told(self._plugin.call("Update", request).properties)

    def delete(self, id: str, outputs: Properties) -> None:
        """Remove it."""
        known = {"properties": to_struct(elided(outputs)), "old_inputs": to_struct(elided(self._subject.inputs))}
        request = pb.DeleteRequest(id=id, **known, **self._timed("delete"))
        self._plugin.call("Delete", request)

    def preview_outputs(self, news: Properties, old_outputs: Properties | None) -> Properties:
        """What the plugin says of a create beforehand; inputs alone where it cannot, for all else is unknown."""
        if old_outputs is not None or not self._supports_preview:
            return super().preview_outputs(news, old_outputs)
        request = pb.CreateRequest(properties=self._struct(news), preview=True, **self._timed("create"))
        return from_struct(self._plugin.call("Create", request).properties)

    def preview_update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        """What the plugin says of an update beforehand."""
        if not self._supports_preview:
            return super().preview_update(id, old_inputs, old_outputs, news)
        return self._update(id, old_inputs, old_outputs, news, preview=True)


def _told(struct: Any) -> dict[str, Any]:
    """What a change was answered with. The change is made, whether or not that can be read: `Unsettled` where not."""
    try:
        return from_struct(struct)
    except BedplateError as error:
        raise Unsettled(*error.problems) from error


def _named(urn: str) -> dict[str, Any]:
    _, _, type_, name = urn.split("::", 3)
    return {"name": name, "type": type_.rpartition("$")[2]}


def _absent(error: Any) -> bool:
    """Whether a plugin has no such method. Older ones say so in words only."""
    return error.code() == grpc.StatusCode.UNIMPLEMENTED or (
        error.code() == grpc.StatusCode.UNKNOWN and "Unimplemented" in (error.details() or "")
    )


def _text(value: Any) -> str:
    """A configuration value as the older half of the protocol has it: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
