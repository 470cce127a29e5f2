"""This provider as the plugin `pulumi-resource-bedplate`, so that the Pulumi CLI manages the same resources.

Goes in: the provider's configuration, `bedplate:stageFolder` of a stack. Comes out: the classes that the embedded
engine calls in process, each call answered by the same code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bedplate.providers.bedplate import registry, require_usable, types

import bedplate
from bedplate.blueprint.paths import StagePaths
from bedplate.engine.packages import ENGINES, InProcess, Invoked, Provider, Subject
from bedplate.engine.provider import UNKNOWN, Checked, CheckFailure, Properties, Property, Resource

CONFIG: Final[Mapping[str, Property]] = {
    "stageFolder": Property("string", "The stage's folder, absolute: `<project>/.bedplate/<stage>`."),
    "project": Property("string", "The folder with `.env`: by default the stage's project.", required=False),
}
# What programs read from the same namespace; the engine sends it all to the default provider.
_OF_PROGRAMS = frozenset({"blueprint", "manifest", "sandbox"})


class BedplateProvider(Provider):
    """The package `bedplate`: one stage on this machine. `environment` holds the secrets' variables."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._types: InProcess | None = None

    def check_config(self, urn: str, news: Properties, olds: Properties | None) -> Checked:  # noqa: ARG002
        """The stage's folder has to be given, and be absolute: the plugin runs in another folder than the program."""
        own = {key: value for key, value in news.items() if key not in _OF_PROGRAMS}
        unknown = [key for key in own if key not in CONFIG and key not in ENGINES]
        failures = [CheckFailure(key, "there is no such configuration") for key in unknown]
        failures += [CheckFailure(key, why) for key, each in CONFIG.items() if (why := _fault(own.get(key), each))]
        return Checked(own, tuple(failures))

    def configure(self, urn: str, id: str, inputs: Properties) -> None:  # noqa: ARG002
        """Look after this stage from now on. Raises BedplateError BP330 where a stage cannot live in the folder."""
        paths = StagePaths(Path(inputs["stageFolder"]))
        require_usable(paths)
        project = Path(inputs.get("project") or paths.folder.parent.parent)
        self._types = InProcess(registry(paths, project, self._environment))

    def resource(self, subject: Subject) -> Resource:
        """The class with this token."""
        if self._types is None:
            raise RuntimeError("the provider bedplate was called before it was configured")
        return self._types.resource(subject)

    def invoke(self, token: str, args: Properties, *, preview: bool) -> Invoked:
        """There are no functions."""
        return InProcess({}).invoke(token, args, preview=preview)


def _fault(value: Any, wanted: Property) -> str:
    if value is None:
        return "is missing" if wanted.required else ""
    if value is UNKNOWN:
        return "has to be known before an update"
    return "" if isinstance(value, str) and Path(value).is_absolute() else "has to be an absolute path"


def schema() -> dict[str, Any]:
    """The package's schema."""
    from bedplate.engine.schemas import package_schema

    description = "What an AI agent in one stage on one machine is made of: processes, memory, indexes, secrets."
    return package_schema("bedplate", bedplate.__version__, description, CONFIG, types())


def main() -> None:
    """The executable `pulumi-resource-bedplate [ENGINE_ADDRESS]`, as Pulumi starts it."""
    from bedplate.engine.serving import Package, serve

    serve(BedplateProvider(os.environ), Package("bedplate", bedplate.__version__, schema))
