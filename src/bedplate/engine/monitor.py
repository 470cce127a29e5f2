"""The services that the Pulumi SDK talks to, as objects in this process instead of at the end of a gRPC connection.

Goes in: requests of `pulumirpc.ResourceMonitor` and `pulumirpc.Engine`, on the SDK's worker threads. Comes out: its
responses; a refusal is a `grpc.RpcError`, as the SDK expects. It turns messages into goals and back and decides
nothing. Import it only where a program is run: it imports Pulumi.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, resource_pb2

from bedplate.engine.admission import Left
from bedplate.engine.api import Event, EventSink
from bedplate.engine.callbacks import Callbacks, error_hook_of, hook_of
from bedplate.engine.contents import hashed
from bedplate.engine.deployment import Deployment
from bedplate.engine.functions import Functions
from bedplate.engine.goals import unsupported
from bedplate.engine.origins import Origin
from bedplate.engine.requests import NOWHERE, goal_of, package_of, read_goal_of
from bedplate.engine.running import Stopped
from bedplate.engine.state import ResourceState
from bedplate.engine.transforms import Transforms
from bedplate.engine.values import from_struct, to_struct
from bedplate.problems import BedplateError

T = TypeVar("T")
# Options that the engine refuses by name have to be in here too, or the SDK blames the version of a CLI.
_FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACEMENT_TRIGGER,
    resource_pb2.RESOURCE_MONITOR_FEATURE_TRANSFORMS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_INVOKE_TRANSFORMS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS,
)
# Methods of the service → what a program did to call them.
_REFUSED = {"ExistsResource": "asking whether a resource exists"}
# Names of the features for SDKs that ask one by one.
_NAMES = {
    "secrets",
    "aliasSpecs",
    "deletedWith",
    "replaceWith",
    "replacementTrigger",
    "transforms",
    "invokeTransforms",
    "parameterization",
    "resourceHooks",
    "errorHooks",
}


class Refusal(grpc.RpcError):  # type: ignore[misc]
    """An error as a gRPC call would raise it."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self._details = details

    def code(self) -> grpc.StatusCode:
        """UNKNOWN, which the SDK turns into an exception with the details."""
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        """What went wrong."""
        return self._details


class Monitor:
    """`pulumirpc.ResourceMonitor` on a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._callbacks = Callbacks()
        self._transforms = Transforms(self._callbacks)
        self._functions = Functions(deployment)
        self._packages: dict[str, Origin] = {}

    def __getattr__(self, method: str) -> Callable[[Any], NoReturn]:
        if method not in _REFUSED:
            raise AttributeError(method)

        def refuse(_request: Any) -> NoReturn:
            self._refuse(unsupported(_REFUSED[method]))

        return refuse

    def GetDeploymentInfo(self, _request: Any) -> Any:
        """Which features the engine has; the SDK reads nothing else of it."""
        return resource_pb2.DeploymentInfo(supportedFeatures=_FEATURES)

    def SupportsFeature(self, request: Any) -> Any:
        """The same for older SDKs."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _NAMES)

    def RegisterStackTransform(self, callback: Any) -> Any:
        """Have every resource from now on go through a function of the program. On the loop's thread: never blocks."""
        self._transforms.add_stack(callback)
        return empty_pb2.Empty()

    def RegisterStackInvokeTransform(self, callback: Any) -> Any:
        """The same for invokes."""
        self._transforms.add_invoke(callback)
        return empty_pb2.Empty()

    def RegisterPackage(self, request: Any) -> Any:
        """A reference that stands for a package in later requests. On the loop's thread."""
        origin = self._guarded(lambda: package_of(request))
        known = (reference for reference, other in self._packages.items() if other == origin)
        reference = next(known, f"{request.name}@{len(self._packages)}")
        self._packages[reference] = origin
        return resource_pb2.RegisterPackageResponse(ref=reference)

    def RegisterResourceHook(self, request: Any) -> Any:
        """A function that runs before or after steps. On the loop's thread."""
        self._guarded(lambda: self._deployment.operations.hooks.add(hook_of(request, self._callbacks)))
        return empty_pb2.Empty()

    def RegisterErrorHook(self, request: Any) -> Any:
        """A function that is asked when a step has failed. On the loop's thread."""
        self._guarded(lambda: self._deployment.operations.hooks.add(error_hook_of(request, self._callbacks)))
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, _request: Any) -> Any:
        """The program is over. What comes after happens outside of it, but for what needs its functions."""
        try:
            if self._deployment.operations.hooks:
                self._guarded(self._deployment.finish_early)
        finally:
            self._callbacks.close()
        return empty_pb2.Empty()

    def RegisterResource(self, request: Any) -> Any:
        """Make a resource what the program wants and say what it is."""
        try:
            state = self._guarded(lambda: self._register(request))
        except Left as left:
            return resource_pb2.RegisterResourceResponse(**_left(left), object=to_struct(left.inputs))
        dependencies = {
            name: resource_pb2.RegisterResourceResponse.PropertyDependencies(urns=urns)
            for name, urns in state.property_dependencies.items()
        }
        # A component answers with its inputs: its outputs come from the program.
        properties = {**state.inputs, **state.outputs} if state.custom else state.inputs
        return resource_pb2.RegisterResourceResponse(
            urn=state.urn, id=state.id, object=to_struct(properties), propertyDependencies=dependencies
        )

    def _register(self, request: Any) -> ResourceState:
        asked = self._transforms.resource(request)
        state = self._deployment.register(goal_of(asked, self._origin(request)))
        self._transforms.note(state.urn, request)
        return state

    def ReadResource(self, request: Any) -> Any:
        """Read a resource that the stack does not own."""
        try:
            state = self._guarded(lambda: self._deployment.read(read_goal_of(request, self._origin(request))))
        except Left as left:
            return resource_pb2.ReadResourceResponse(**_left(left), properties=to_struct(left.inputs))
        return resource_pb2.ReadResourceResponse(urn=state.urn, id=state.id, properties=to_struct(state.outputs))

    def RegisterResourceOutputs(self, request: Any) -> Any:
        """Set the outputs of a component or of the stack."""
        self._guarded(lambda: self._deployment.set_outputs(request.urn, hashed(from_struct(request.outputs))))
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:
        """Call a function of a package."""
        asked = self._guarded(lambda: self._transforms.invoke(request))
        return self._guarded(lambda: self._functions.invoke(asked, self._origin(request)))

    def Call(self, request: Any) -> Any:
        """Call a method of a resource."""
        return self._guarded(lambda: self._functions.call(request, self._origin(request)))

    def _origin(self, request: Any) -> Origin:
        return self._packages.get(request.packageRef, NOWHERE)

    def _guarded(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Left:
            raise
        except Stopped:
            self._deployment.turned_away = True
            raise Refusal("another resource has failed, or the run was stopped") from None
        except BedplateError as error:
            self._deployment.fail_once(error)
            raise Refusal(str(error)) from error
        except Exception as error:
            raise Refusal(f"{type(error).__name__}: {error}") from error

    def _refuse(self, error: BedplateError) -> NoReturn:
        self._deployment.fail(error.problems)
        raise Refusal(str(error))


def _left(left: Left) -> dict[str, Any]:
    """The answer for a resource that was not made: the SDK then takes every output for unknown."""
    result = resource_pb2.Result.SUCCESS if left.why == "untargeted" else resource_pb2.Result.FAIL
    return {"urn": left.urn, "result": result, "unknown": True}


class EngineService:
    """`pulumirpc.Engine`: logs and the root resource."""

    def __init__(self, on_event: EventSink | None) -> None:
        self._on_event = on_event
        self._root = ""

    def Log(self, request: Any) -> Any:
        """A message of the program. Debug messages are dropped, as the CLI drops them."""
        if self._on_event is not None and request.severity != engine_pb2.DEBUG:
            self._on_event(Event("log", message=request.message))
        return empty_pb2.Empty()

    def GetRootResource(self, _request: Any) -> Any:
        """The URN of the stack."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any) -> Any:
        """Remember the URN of the stack."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, _request: Any) -> Any:
        """There is no CLI here whose version could be required."""
        raise Refusal("requiring a version of the Pulumi CLI is not supported by the embedded engine")

    def StartDebugging(self, _request: Any) -> Any:
        """There is no debugger to attach."""
        raise Refusal("debugging is not supported by the embedded engine")
