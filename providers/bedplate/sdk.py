"""Pulumi classes of our resource types, for programs. The only module here that imports Pulumi."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi


class Stage(pulumi.ComponentResource):
    """Everything of one agent in one stage on this machine; the parent of the rest."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:local:Stage", name, {}, opts)


class Store(pulumi.CustomResource):
    """What `agent` remembers in this stage, in SQLite. `retention`: seconds by kind (`sessions`, `longTerm`)."""

    path: pulumi.Output[str]

    def __init__(
        self, name: str, *, agent: str, retention: Mapping[str, int], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        inputs = {"agent": agent, "retention": dict(retention)}
        super().__init__("bedplate:local:Store", name, {**inputs, "path": None}, opts)


class SearchIndex(pulumi.CustomResource):
    """The full-text index of one data source. `paths` are relative to `root`; `digest` covers paths and contents."""

    path: pulumi.Output[str]
    documents: pulumi.Output[int]
    passages: pulumi.Output[int]

    def __init__(
        self, name: str, *, root: str, digest: str, paths: Sequence[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        inputs = {"name": name, "root": root, "digest": digest, "files": len(paths), "paths": list(paths)}
        outputs = {"path": None, "documents": None, "passages": None, "unread": None}
        super().__init__("bedplate:local:SearchIndex", name, {**inputs, **outputs}, opts)


class Secret(pulumi.CustomResource):
    """A secret from the environment variable `variable` or the project's `.env`, in a private file."""

    fingerprint: pulumi.Output[str]
    path: pulumi.Output[str]

    def __init__(self, name: str, *, variable: str, opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"salt": None, "fingerprint": None, "path": None}
        super().__init__("bedplate:local:Secret", name, {"name": name, "variable": variable, **outputs}, opts)


class Token(pulumi.CustomResource):
    """A random token in a private file, made once."""

    path: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:local:Token", name, {"name": name, "path": None}, opts)


class Process(pulumi.CustomResource):
    """A process that the stage's supervisor keeps running. See `bedplate.providers.bedplate.process` for the inputs."""

    port: pulumi.Output[int]
    url: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        module: str,
        config: Mapping[str, Any],
        listens: bool = False,
        port: int | None = None,
        ready: str = "none",
        role: str = "",
        sandbox: Mapping[str, Any] | None = None,
        triggers: Mapping[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "name": name,
            "module": module,
            "config": dict(config),
            "listens": listens,
            "port": port,
            "ready": ready,
            "role": role,
            "sandbox": dict(sandbox) if sandbox else None,
            "triggers": dict(triggers) if triggers else None,
            "url": None,
        }
        super().__init__("bedplate:local:Process", resource_name, inputs, opts)
