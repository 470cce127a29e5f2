"""Where a provider comes from: which plugin, in which version, for which parameter.

Goes in: what programs say of it (`version`, `plugin_download_url`, `env_var_mappings`, packages that they register), or
a provider's inputs. Comes out: an `Origin`, or its part of the inputs, as Pulumi keeps it in state (pulumi/pulumi,
pkg/resource/deploy/providers). It starts nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bedplate.engine.provider import Properties

VERSION: Final = "version"
INTERNAL: Final = "__internal"
"""Input of a provider that is the engine's: everything of its origin but the package's version."""
_SEMVER: Final = re.compile(r"([^-+]*)(?:-([^+]*))?(?:\+(.*))?")


@dataclass(frozen=True)
class Origin:
    """Where a package's provider comes from; empty fields were not given.

    `version` is the package's. A parameterized package is made by a plugin of another name, from `parameter`. Of
    `variables`, the plugin sees each value under the key's name in place of its own: `{NEW: OLD}` sets OLD to NEW.
    """

    version: str = ""
    url: str = ""
    plugin: str = ""
    plugin_version: str = ""
    parameter: bytes | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def inputs(self) -> dict[str, Any]:
        """Its part of a provider's inputs."""
        internal: dict[str, Any] = {}
        if self.url:
            internal["pluginDownloadURL"] = self.url
        if self.variables:
            internal["envVarMappings"] = dict(self.variables)
        if self.parameter is not None:
            internal |= {"name": self.plugin, "parameterization": base64.b64encode(self.parameter).decode()}
            internal |= {VERSION: self.plugin_version} if self.plugin_version else {}
        version = {VERSION: self.version} if self.version else {}
        return {**version, INTERNAL: internal} if version or internal else {}

    @property
    def default_name(self) -> str:
        """The name of the default provider that comes from here: `default_1_2_3`."""
        match = _SEMVER.fullmatch(self.version)
        parts = [part.replace(".", "_") for part in (match.groups() if match else ()) if part]
        return "_".join(["default", *parts, *([_qualified(self.url)] if self.url else [])])

    def environment(self, outside: Mapping[str, str]) -> Mapping[str, str]:
        """The variables that the plugin gets."""
        mapped = {old: outside[new] for new, old in self.variables.items() if new in outside}
        return {**outside, **mapped}


def origin_of(inputs: Properties) -> Origin:
    """The origin in a provider's inputs."""
    internal = inputs.get(INTERNAL) or {}
    parameter = internal.get("parameterization")
    return Origin(
        version=str(inputs.get(VERSION, "")),
        url=str(internal.get("pluginDownloadURL", "")),
        plugin=str(internal.get("name", "")),
        plugin_version=str(internal.get(VERSION, "")),
        parameter=None if parameter is None else base64.b64decode(parameter),
        variables=dict(internal.get("envVarMappings") or {}),
    )


def configuration(inputs: Properties) -> dict[str, Any]:
    """A provider's inputs without what is the engine's: its configuration, which the package's version is a part of."""
    return {key: value for key, value in inputs.items() if key != INTERNAL}


def _qualified(text: str) -> str:
    """Text as a qualified name: what a name cannot hold is an underscore."""
    parts = (part for part in text.split("/") if part)
    return "/".join(re.sub(r"[^A-Za-z0-9_.-]", "_", part) for part in parts) or "_"
