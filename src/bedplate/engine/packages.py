"""Packages of resource types: where the engine gets the `Resource` that manages one resource.

Goes in: a package's name, the configuration of one provider, a resource. Comes out: the `Resource` to call. A package
is a registry of classes in this process (`InProcess`) or a plugin executable (`plugins.Plugin`); the engine calls both
alike. It decides no step and keeps no state of a stack.
"""

from __future__ import annotations

import difflib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bedplate.engine.diffing import diff_properties
from bedplate.engine.goals import unsupported
from bedplate.engine.origins import Origin
from bedplate.engine.provider import Checked, CheckFailure, Diff, Properties, Resource
from bedplate.problems import BedplateError, Problem

NOWHERE: Final = Origin()
ENGINES: Final = frozenset({"version", "pluginDownloadURL"})
"""Inputs of every provider that are the engine's: which plugin to start."""


@dataclass(frozen=True)
class Subject:
    """The resource that calls are about. `timeouts` in seconds, by `create`, `read`, `update`, `delete`.

    `inputs` are those it has, or is to have, with `values.Secret` where one is: calls themselves get plain values.
    """

    urn: str
    type: str
    inputs: Properties = field(default_factory=dict)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    ignore_changes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the URN."""
        return self.urn.split("::", 3)[-1]


@dataclass(frozen=True)
class Invoked:
    """What a function returned, or why its arguments are unusable. Secrets in it are `values.Secret`."""

    result: Properties
    failures: tuple[CheckFailure, ...] = ()


class Provider(ABC):
    """One provider of a package: configured once, then asked for resources. Called from several threads.

    Property maps are plain (`values.plain`), with `UNKNOWN` in a preview; what comes back may hold `values.Secret`.
    """

    def check_config(self, urn: str, news: Properties, olds: Properties | None) -> Checked:  # noqa: ARG002
        """Validate the provider's own inputs and fill in defaults."""
        return Checked(news)

    def diff_config(self, urn: str, old_inputs: Properties, news: Properties) -> Diff:  # noqa: ARG002
        """Compare two configurations; one that replaces means that the resources of the old one are replaced."""
        return diff_properties(old_inputs, news)

    @abstractmethod
    def configure(self, urn: str, id: str, inputs: Properties) -> None:
        """Take up checked inputs, before any call about a resource. `id` is "" in a preview of a new provider."""

    @abstractmethod
    def resource(self, subject: Subject) -> Resource:
        """The resource type, bound to one resource. Raises BedplateError BP203 where the package has no such type."""

    @abstractmethod
    def invoke(self, token: str, args: Properties, *, preview: bool) -> Invoked:
        """Call a function of the package. Raises BedplateError BP203 where there is none."""

    def call_method(self, token: str, args: Properties, *, preview: bool) -> Invoked:  # noqa: ARG002
        """Call a method of a resource, which is `__self__` in `args`: its id, or the URN of a component."""
        raise unsupported(f"the method {token}")

    def parameterize(self, name: str, version: str, value: bytes) -> str:  # noqa: ARG002
        """Become another package, before anything else is called. Returns the name of what it has become."""
        raise unsupported(f"a parameter for the package {name}")

    def cancel(self) -> None:  # noqa: B027  optional
        """Ask running calls to give up. They then fail in their own time."""

    def close(self) -> None:  # noqa: B027  optional
        """End what the provider holds. No call follows."""


class InProcess(Provider):
    """A package of classes: their tokens, and the resource types. It takes no configuration and has no functions."""

    def __init__(self, registry: Mapping[str, Resource]) -> None:
        self._registry = registry

    def check_config(self, urn: str, news: Properties, olds: Properties | None) -> Checked:  # noqa: ARG002
        """Nothing may be configured."""
        own = sorted(news.keys() - ENGINES)
        return Checked(news, tuple(CheckFailure(key, "there is nothing to configure here") for key in own))

    def configure(self, urn: str, id: str, inputs: Properties) -> None:
        """The classes were made with all they need."""

    def resource(self, subject: Subject) -> Resource:
        """The class with this token. A class is not told of timeouts, so they are refused."""
        if subject.timeouts:
            raise unsupported(f"customTimeouts of {subject.type}", subject.name)
        if subject.type in self._registry:
            return self._registry[subject.type]
        near = difflib.get_close_matches(subject.type, self._registry, n=1)
        fix = f"did you mean {near[0]}?" if near else "use a type that is installed"
        raise BedplateError(Problem("BP203", f"there is no resource type {subject.type}", fix=fix))

    def invoke(self, token: str, args: Properties, *, preview: bool) -> Invoked:  # noqa: ARG002
        """There are no functions."""
        raise unsupported(f"the function {token}")


Opener = Callable[[str, Origin], Provider]
"""Starts a plugin: its name (that of the package, unless it is parameterized), the origin → a provider to configure."""


class Packages:
    """Every package of one run: classes and providers of this process first, plugins for the rest.

    `own` makes providers by package, each to be configured once. Closes what it has opened.
    """

    def __init__(
        self, registry: Mapping[str, Resource], opener: Opener, own: Mapping[str, Callable[[], Provider]] | None = None
    ) -> None:
        self._opener, self._own = opener, own or {}
        self._types: dict[str, dict[str, Resource]] = {}
        for token, resource in registry.items():
            self._types.setdefault(token.partition(":")[0], {})[token] = resource
        self._opened: list[Provider] = []
        self._lock = threading.Lock()

    def open(self, package: str, origin: Origin = NOWHERE) -> Provider:
        """A provider of the package, to be configured.

        Raises BedplateError BP241 where the package is not found, BP247 where its plugin made another of the parameter.
        """
        plugin = origin.plugin or package
        if plugin in self._types or plugin in self._own:
            provider = self._of_this_process(plugin, origin)
        else:
            provider = self._opener(plugin, origin)
        with self._lock:
            self._opened.append(provider)
        if origin.parameter is not None:
            made = provider.parameterize(package, origin.version, origin.parameter)
            if made != package:
                summary = f"the plugin {plugin} made the package {made} in place of {package}"
                raise BedplateError(Problem("BP247", summary))
        return provider

    def _of_this_process(self, package: str, origin: Origin) -> Provider:
        if origin.variables:
            # All that runs in this process shares its variables.
            raise unsupported(f"envVarMappings of the package {package}")
        return self._own[package]() if package in self._own else InProcess(self._types[package])

    def configurable(self, package: str) -> bool:
        """Whether the stack's config for the package (`package:key`) is for its provider."""
        return package not in self._types

    def cancel(self) -> list[Problem]:
        """Ask every provider to give up what it is doing; why some could not be asked."""
        found: list[Problem] = []
        for provider in tuple(self._opened):
            try:
                provider.cancel()
            except BedplateError as error:
                found += error.problems
        return found

    def close(self) -> None:
        """End every provider that was opened."""
        with self._lock:
            opened, self._opened = self._opened, []
        for provider in opened:
            provider.close()
