"""Invokes and calls: functions of a package, and methods of its resources.

Goes in: `ResourceInvokeRequest` and `ResourceCallRequest` of `pulumirpc`. Comes out: their responses. The provider is
the one that is named, or the package's default one.
"""

from __future__ import annotations

from typing import Any

from pulumi.runtime.proto import provider_pb2, resource_pb2

from bedplate.engine.deployment import Deployment
from bedplate.engine.goals import Goal, unsupported
from bedplate.engine.origins import Origin
from bedplate.engine.packages import Invoked, Provider
from bedplate.engine.requests import origin_in
from bedplate.engine.values import from_struct, plain, to_struct

_GET_RESOURCE = "pulumi:pulumi:getResource"


class Functions:
    """Answers invokes and calls of one run."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def invoke(self, request: Any, origin: Origin) -> Any:
        """The answer to an invoke. Raises BedplateError."""
        if request.tok == _GET_RESOURCE:
            return resource_pb2.ResourceInvokeResponse(**{"return": to_struct(self._known(request))})
        found = self._provider(request, origin).invoke(
            request.tok, plain(from_struct(request.args)), preview=self._deployment.operations.preview
        )
        return resource_pb2.ResourceInvokeResponse(**{"return": to_struct(found.result)}, failures=_failures(found))

    def call(self, request: Any, origin: Origin) -> Any:
        """The answer to a call. What it returns depends on everything that the arguments depend on."""
        found = self._provider(request, origin).call_method(
            request.tok, plain(from_struct(request.args)), preview=self._deployment.operations.preview
        )
        urns = sorted({urn for argument in request.argDependencies.values() for urn in argument.urns})
        depends = {key: provider_pb2.CallResponse.ReturnDependencies(urns=urns) for key in found.result}
        return provider_pb2.CallResponse(
            **{"return": to_struct(found.result)}, returnDependencies=depends, failures=_failures(found)
        )

    def _provider(self, request: Any, origin: Origin) -> Provider:
        goal = Goal(request.tok, request.tok, provider=request.provider, origin=origin_in(request, origin))
        reference = self._deployment.providers.reference(goal)
        return self._deployment.operations.instances.of(reference)

    def _known(self, request: Any) -> dict[str, Any]:
        urn = str(plain(from_struct(request.args)).get("urn", ""))
        state = self._deployment.lookup(urn)
        if state is None:
            raise unsupported(f"looking up {urn}, which this program has not registered,")
        return {"urn": urn, "id": state.id, "state": {**state.inputs, **state.outputs}, "provider": state.provider}


def _failures(found: Invoked) -> list[Any]:
    return [provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in found.failures]
