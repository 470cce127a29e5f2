"""What the compilers of access take besides scopes, for one stage, and what they cannot express there. Pure.

Goes in: a blueprint. Comes out: roles' places, owners of tables, processes, addresses, bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bedplate.blueprint.model import (
    Blueprint,
    DynamodbStore,
    HttpTool,
    McpTool,
    PostgresStore,
    PythonTool,
    S3Store,
    SqlTool,
    secrets_of,
)
from bedplate.runtime.models.providers import PROVIDERS

if TYPE_CHECKING:
    from bedplate.access.artefacts import Remainder
    from bedplate.access.egress import Address
    from bedplate.access.matrix import Layer
    from bedplate.access.postgres.names import Owner
    from bedplate.access.roleplaces import Place
    from bedplate.access.sandbox import Bounds

GATEWAY = "gateway"
"""The process that calls models and sends the requests of http tools."""


def place(blueprint: Blueprint) -> Place:
    """Where the agent's role is. The region and account are those of the stage, "" where it has none.

    A secret is called `bedplate/AGENT/STAGE/NAME` in Secrets Manager, so that no stage can read another's.
    """
    from bedplate.access.roleplaces import Bucket, Place, Table

    sources: list[Bucket | Table] = []
    for store in blueprint.stores:
        users = tuple(t.name for t in blueprint.tools if isinstance(t, PythonTool | McpTool) and store.name in t.data)
        match store:
            case S3Store():
                sources.append(Bucket(store.name, store.bucket, store.prefix, users))
            case DynamodbStore():
                sources.append(Table(store.name, store.table, users))
            case PostgresStore():
                pass
    model = blueprint.model
    models = [id.partition(":")[2] for id in (model.id, *model.fallback) if id.startswith("bedrock:")]
    where = blueprint.model.where
    own = f"bedplate/{blueprint.name}/{blueprint.stage}"
    return Place(
        blueprint.name,
        blueprint.stage,
        blueprint.region,
        blueprint.account,
        tuple(sources),
        tuple((name, where) for name in models),
        tuple((f"{own}/{name}", where) for name in secrets_of(blueprint)),
    )


def owners(blueprint: Blueprint) -> tuple[Owner, ...]:
    """The owner of what each sql tool may do in its database."""
    from bedplate.access.postgres.names import Owner

    databases = {store.name: store.database for store in blueprint.stores if isinstance(store, PostgresStore)}
    used = [(tool.name, databases[tool.use]) for tool in blueprint.tools if isinstance(tool, SqlTool)]
    return tuple(Owner(blueprint.name, blueprint.stage, tool, database) for tool, database in used)


def processes(blueprint: Blueprint) -> dict[str, str]:
    """The process that sends the requests of each tool: its own, or the gateway for http tools."""
    return {
        tool.name: GATEWAY if isinstance(tool, HttpTool) else tool.name
        for tool in blueprint.tools
        if isinstance(tool, HttpTool | PythonTool | McpTool)
    }


def addresses(blueprint: Blueprint) -> tuple[Address, ...]:
    """What the gateway connects to although no scope says so: models, and MCP servers at a URL."""
    from bedplate.access.egress import Address

    servers = [(tool.url, tool.where) for tool in blueprint.tools if isinstance(tool, McpTool) and tool.url]
    found = [Address(GATEWAY, url, ("get", "post", "delete"), where) for url, where in servers]
    models = [Address(GATEWAY, url, where=blueprint.model.where) for url in _models(blueprint)]
    return (*models, *found)


def _models(blueprint: Blueprint) -> Iterator[str]:
    model = blueprint.model
    for name in dict.fromkeys(id.partition(":")[0] for id in (model.id, *model.fallback)):
        known = PROVIDERS.get(name)
        url = (model.base_url if name == model.provider else None) or (known.base_url if known else None)
        if url:
            yield url


def bounds(blueprint: Blueprint) -> Bounds:
    """The bounds of the agent's process, each with its line where it is written."""
    from bedplate.access.sandbox import Bounds

    file = blueprint.model.where.rpartition(":")[0]
    lines = {name: f"{file}:{n}" for name, n in blueprint.lines.items() if name.startswith("sandbox.")}
    own = blueprint.sandbox
    return Bounds(own.memory, own.pids, lines.get("sandbox.memory", ""), lines.get("sandbox.pids", ""))


def left(blueprint: Blueprint) -> Mapping[Layer, Sequence[Remainder]]:
    """What the layers of the stage's target cannot express of its scopes.

    Raises BedplateError (BP850 to BP854) for scopes that have no form there at all.
    """
    from bedplate.access import egress, sandbox

    found: dict[Layer, list[Remainder]] = {}
    if owned := owners(blueprint):
        from bedplate.access.postgres import emit

        found["postgres"] = [rest for owner in owned for rest in emit.compile(blueprint.scopes, owner).remainder]
    sends = egress.compile(blueprint.scopes, processes(blueprint), addresses(blueprint))
    found["egress"] = list(sends.remainder)
    found["kernel"] = list(sandbox.compile(blueprint.scopes, bounds(blueprint)).remainder)
    if blueprint.target == "aws":
        from bedplate.access import roles

        found["iam"] = list(roles.compile(blueprint.scopes, place(blueprint)).remainder)
    return found
