"""The program of the local target.

Goes in: the configuration `bedplate:blueprint` (JSON), `bedplate:manifest` (its file's name), `bedplate:stageFolder`,
`bedplate:sandbox`. Comes out: registered resources and the stack's outputs. It reads no file and starts nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.blueprint.model import Blueprint, McpTool, PythonTool, SearchTool, from_json, secrets_of, to_json
from bedplate.blueprint.paths import StagePaths

if TYPE_CHECKING:
    import pulumi

LOCAL_MODELS = "local:"
"""Prefix of models that run in a process of their own."""


@dataclass(frozen=True)
class _Setting:
    """What the resources are made from."""

    blueprint: Blueprint
    paths: StagePaths
    sandbox: str
    within: pulumi.ResourceOptions

    def after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        """Inside the stage, made after `resources` and deleted before them."""
        import pulumi

        return pulumi.ResourceOptions.merge(self.within, pulumi.ResourceOptions(depends_on=list(resources)))


def program() -> None:
    """Register everything of one stage."""
    import pulumi
    from bedplate.providers.bedplate import sdk

    config = pulumi.Config("bedplate")
    blueprint = from_json(config.require_object("blueprint"))
    # URNs hold no name that a person may change: renaming the agent must not replace what it remembers.
    stage = sdk.Stage("stage")
    within = pulumi.ResourceOptions(parent=stage)
    _register(_Setting(blueprint, StagePaths(Path(config.require("stageFolder"))), config.require("sandbox"), within))


def _register(setting: _Setting) -> None:
    import pulumi
    from bedplate.providers.bedplate import sdk

    blueprint, within = setting.blueprint, setting.within
    tokens = [sdk.Token(name, opts=within) for name in ("api-key", "sink-token")]
    found = secrets_of(blueprint)
    secrets = {name: sdk.Secret(name, variable=ref.variable, opts=within) for name, ref in sorted(found.items())}
    store = sdk.Store("memory", agent=blueprint.name, retention=_retention(blueprint), opts=within)
    indexes = _indexes(setting)
    sink = _sink(setting, tokens)
    model = _model(setting)
    first = [*tokens, *secrets.values(), store, *indexes, sink, *([model] if model else [])]
    gateway = _gateway(setting, sink, model, {name: secret.fingerprint for name, secret in secrets.items()}, first)
    _agent(setting)
    pulumi.export("url", gateway.url)
    pulumi.export("port", gateway.port)
    pulumi.export("sinkUrl", sink.url)
    pulumi.export("sessionsDb", store.path)
    pulumi.export("sandbox", setting.sandbox)
    pulumi.export("agent", blueprint.name)
    pulumi.export("manifest", pulumi.Config("bedplate").require("manifest"))
    pulumi.export("buildDigest", blueprint.digests.build)
    pulumi.export("behaviourDigest", blueprint.digests.behaviour)


def _retention(blueprint: Blueprint) -> dict[str, int]:
    kinds = {"sessions": blueprint.memory.sessions, "longTerm": blueprint.memory.long_term}
    return {name: kind.retention for name, kind in kinds.items() if kind}


def _indexes(setting: _Setting) -> list[pulumi.Resource]:
    from bedplate.providers.bedplate import sdk

    blueprint = setting.blueprint
    searched = {tool.use for tool in blueprint.tools if isinstance(tool, SearchTool)}
    return [
        sdk.SearchIndex(
            source.name,
            root=source.root,
            digest=source.digest,
            paths=[_below(source.root, Path(blueprint.project) / file.path) for file in source.files],
            opts=setting.within,
        )
        for source in blueprint.data
        if source.name in searched
    ]


def _below(root: str, file: Path) -> str:
    return Path(os.path.relpath(file, root)).as_posix()


def _sink(setting: _Setting, tokens: list[Any]) -> Any:
    from bedplate.providers.bedplate import sdk

    tracing, paths = setting.blueprint.tracing, setting.paths
    config = {
        "folder": str(paths.traces),
        "retention": tracing.retention,
        "content": tracing.content,
        "secretsFolder": str(paths.secrets),
    }
    return sdk.Process(
        "traces",
        name="sink",
        module="bedplate.traces.sink",
        config=config,
        listens=True,
        ready="http:/ping",
        triggers=_triggers(),
        opts=setting.after(*tokens),
    )


def _model(setting: _Setting) -> Any:
    from bedplate.providers.bedplate import sdk

    names = (setting.blueprint.model.id, *setting.blueprint.model.fallback)
    wanted = [name.removeprefix(LOCAL_MODELS) for name in names if name.startswith(LOCAL_MODELS)]
    if not wanted:
        return None
    return sdk.Process(
        "model",
        name="model",
        module="bedplate.runtime.localmodel",
        config={"models": wanted},
        listens=True,
        ready="http:/ping",
        triggers=_triggers(),
        opts=setting.within,
    )


def _gateway(setting: _Setting, sink: Any, model: Any, secrets: dict[str, Any], first: list[Any]) -> Any:
    from bedplate.providers.bedplate import sdk

    config = {
        "blueprint": _gateway_document(setting.blueprint),
        "stageFolder": str(setting.paths.folder),
        "sink": {"url": sink.url},
        "sandbox": setting.sandbox,
        **({"modelUrl": model.url} if model else {}),
    }
    return sdk.Process(
        "gateway",
        name="gateway",
        module="bedplate.runtime.gateway",
        config=config,
        listens=True,
        port=setting.blueprint.expose.port,
        ready="http:/ping",
        role="gateway",
        triggers={**_triggers(), **({"secrets": secrets} if secrets else {})},
        opts=setting.after(*first),
    )


def _gateway_document(blueprint: Blueprint) -> dict[str, Any]:
    """The blueprint without what the gateway has no use for: lines, documents, instructions.

    Lists are in order of names, so that reordering the manifest restarts nothing for its own sake.

    A data source's digest stands for its documents, but where the sandbox of a tool is to be shown some of them.
    """
    document = to_json(blueprint)
    mounted = {name for tool in blueprint.tools if isinstance(tool, PythonTool | McpTool) for name in tool.data}
    sources = [s if s["name"] in mounted else {**s, "files": []} for s in document["data"]]
    scopes = {
        "grants": sorted(document["scopes"]["grants"], key=lambda g: (g["tool"], g["verb"], g["pattern"], g["id"])),
        "never": sorted(document["scopes"]["never"], key=lambda n: n["pattern"]),
        "operations": sorted(document["scopes"]["operations"], key=lambda o: (o["tool"], o["name"])),
    }
    named = {"data": _by_name(sources), "tools": _by_name(document["tools"]), "evals": _by_name(document["evals"])}
    return {**document, **named, "scopes": scopes, "ceiling": None, "accept": [], "lines": {}, "instructions": ""}


def _by_name(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In order of names: the order in the manifest means nothing."""
    return sorted(items, key=lambda item: str(item["name"]))


def _agent(setting: _Setting) -> None:
    from bedplate.providers.bedplate import sdk

    blueprint = setting.blueprint
    # What it does not need is not here and does not restart it: the gateway decides model, limits and tools.
    config = {"name": blueprint.name, "instructions": blueprint.instructions}
    bounds = {"backend": setting.sandbox, "memory": blueprint.sandbox.memory, "pids": blueprint.sandbox.pids}
    # It waits for no one: the supervisor keeps its listener until the gateway comes, so both start at the same time.
    sdk.Process(
        "agent",
        name="agent",
        module="bedplate.runtime.agent",
        config=config,
        ready="fd",
        role="agent",
        sandbox=bounds,
        triggers=_triggers(),
        opts=setting.within,
    )


def _triggers() -> dict[str, str]:
    from bedplate import __version__

    return {"bedplate": __version__}
