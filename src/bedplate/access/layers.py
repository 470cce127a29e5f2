"""What the layers of each target hold of a clause. Pure.

On every target the gateway sees each call whole, and decides it; that a tool's own process keeps to its data and
addresses is held by the kernel, the database, IAM or the egress proxy, as far as the compilers could express it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bedplate.access.artefacts import Remainder
from bedplate.access.facts import Route
from bedplate.access.matrix import Hold, Holding, Layer
from bedplate.access.model import Grant

Left = Mapping[Layer, Sequence[Remainder]]
"""What the compilers of a target could not express, by the layer that would hold it."""
_NOTHING_LEFT: Left = MappingProxyType({})
_UNSERVED = "this target does not serve it yet"
_NO_ISOLATION = "this machine isolates no process"


def local(*, isolated: bool) -> Holding:
    """Processes on one machine. `isolated`: a sandbox works there.

    Neither databases nor buckets, outbound connections of tools, shared state nor further paths of the agent's process
    are served there yet, so that nothing holds them.
    """

    def holds(grant: Grant, way: Route, _name: str) -> Sequence[Hold]:
        match way:
            case Route("call") if grant.tool != "state":
                return (Hold("gateway", "exact"),)
            case Route("data", data) if data and data.kind == "files":
                return (Hold("kernel", "exact") if isolated else Hold("kernel", "none", _NO_ISOLATION),)
            case _:
                return (Hold("gateway", "none", _UNSERVED),)

    return holds


def unserved(holds: Sequence[Hold]) -> bool:
    """Whether the target does not serve what a clause is about at all, which `plan` and `up` refuse."""
    return any(hold.why == _UNSERVED for hold in holds)


def docker(left: Left = _NOTHING_LEFT) -> Holding:
    """Containers on one host, with PostgreSQL and an egress proxy. Nothing there holds a tool to buckets and tables."""

    def holds(grant: Grant, way: Route, name: str) -> Sequence[Hold]:
        match way:
            case Route("data", data) if data and data.kind in {"s3", "dynamodb"}:
                return ()
            case _:
                return _contained(grant, way, name, left)

    return holds


def aws(left: Left = _NOTHING_LEFT) -> Holding:
    """Tasks in AWS: a role for each agent and stage besides what containers have."""

    def holds(grant: Grant, way: Route, name: str) -> Sequence[Hold]:
        match way:
            case Route("data", data) if data and data.kind in {"s3", "dynamodb"}:
                return (_expressed("iam", grant, name, left),)
            case _:
                return _contained(grant, way, name, left)

    return holds


def _contained(grant: Grant, way: Route, name: str, left: Left) -> Sequence[Hold]:
    match way:
        case Route("call"):
            return (Hold("gateway", "exact"),)
        case Route("sql"):
            seen = Hold("gateway", "coarse", "it sees statements, not rows")
            return (seen, _expressed("postgres", grant, name, left))
        case Route("data", data) if data and data.kind == "postgres":
            return (_expressed("postgres", grant, name, left),)
        case Route("egress"):
            return (_expressed("egress", grant, name, left),)
        case _:
            return (Hold("kernel", "exact"),)


def _expressed(layer: Layer, grant: Grant, name: str, left: Left) -> Hold:
    """All of a clause, but for what the layer's compiler left over."""
    reason = next((r.reason for r in left.get(layer, ()) if (r.grant, r.clause) == (grant.id, name)), None)
    return Hold(layer, "exact") if reason is None else Hold(layer, "none", reason)
