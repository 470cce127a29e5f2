"""Where a plugin's executable is: `pulumi-resource-<package>` on PATH, else in Pulumi's plugin cache.

Goes in: a package, a version or "", an environment. Comes out: a path. The order is that of the Pulumi CLI, so that
both engines run the same executable: PATH wins, whatever its version (not with PULUMI_IGNORE_AMBIENT_PLUGINS), then
`<PULUMI_HOME or ~/.pulumi>/plugins/resource-<package>-v<version>/`. Nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bedplate.problems import BedplateError, Problem, Where

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[\w.-]+)?(\+[\w.-]+)?")


def find(package: str, version: str, environment: Mapping[str, str], url: str = "") -> Path:
    """The executable of a package, of exactly `version` where one is given and the cache has to be searched.

    `url` is where it can be had from, for people. Raises BedplateError BP241 where there is none, BP242 where what is
    there cannot be started as it is.
    """
    name = f"pulumi-resource-{package}"
    if not _truthy(environment.get("PULUMI_IGNORE_AMBIENT_PLUGINS", "")):
        ambient = shutil.which(name, path=environment.get("PATH", ""))
        if ambient is not None:
            return Path(ambient)
    cache = _cache(environment)
    installed = sorted(_installed(cache, package), key=lambda found: _order(found[0]))
    fitting = [folder for each, folder in installed if version in {"", each}]
    if not fitting:
        raise _missing(package, version, [each for each, _ in installed], cache, url)
    return _executable(fitting[-1], name)


def _cache(environment: Mapping[str, str]) -> Path:
    home = environment.get("PULUMI_HOME")
    return (Path(home) if home else Path(environment.get("HOME", "/"), ".pulumi")) / "plugins"


def _installed(cache: Path, package: str) -> Iterator[tuple[str, Path]]:
    prefix = f"resource-{package}-v"
    if not cache.is_dir():
        return
    for folder in cache.iterdir():
        version = folder.name.removeprefix(prefix)
        # `.partial` and `.lock` beside a folder mark a download that is under way or was broken off.
        whole = not cache.joinpath(f"{folder.name}.partial").exists()
        if folder.name.startswith(prefix) and _VERSION.fullmatch(version) and folder.is_dir() and whole:
            yield version, folder


def _order(version: str) -> tuple[bool, int, int, int, str]:
    """The order in which the newest is chosen: a pre-release comes before every release, as Pulumi has it."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"no version: {version}")
    major, minor, patch, pre = match.group(1, 2, 3, 4)
    return (pre is None, int(major), int(minor), int(patch), pre or "")


def _executable(folder: Path, name: str) -> Path:
    path = folder / name
    if os.access(path, os.X_OK) and path.is_file():
        return path
    if (folder / "PulumiPlugin.yaml").exists():
        what, fix = "needs a language host to start it", "deploy with the Pulumi CLI"
    else:
        what, fix = f"has no executable {name}", "install it again: `pulumi plugin install`"
    raise BedplateError(Problem("BP242", f"the plugin in {folder.name} {what}", where=Where(str(folder)), fix=fix))


def _missing(package: str, version: str, others: list[str], cache: Path, url: str) -> BedplateError:
    wanted = f" {version}" if version else ""
    install = f"pulumi plugin install resource {package}{wanted or ' <version>'}"
    server = f" --server {url}" if url else ""
    there = f"the cache has {', '.join(others)}; " if others else ""
    return BedplateError(
        Problem(
            "BP241",
            f"there is no provider plugin for the package {package}{wanted}",
            detail=f"{there}looked for pulumi-resource-{package} on PATH and in {cache}",
            fix=f"`{install}{server}`, or put the executable on PATH",
        )
    )


def _truthy(value: str) -> bool:
    return value.lower() in {"1", "true"}
