"""Grants of a stage, from the scopes of its tools. Goes in: a checked manifest. Comes out: grants with their lines.

The object of a grant: a document's path in the source for search tools, `source/path` for the data of python tools,
the operation's name for `call`, a normalised URL for HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from bedplate.access import Grant, Never, UrlRefused, grant_id, normalise_url
from bedplate.manifest.load import StageManifest
from bedplate.manifest.tools import PythonTool, Scope
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem, Where

HTTP = frozenset({"get", "post", "put", "patch", "delete", "head", "options"})


class GrantReader:
    """Reads every scope of a stage; `problems` holds what cannot be granted."""

    def __init__(self, stage: StageManifest) -> None:
        self.stage = stage
        self.problems: list[Problem] = []
        self._ids: dict[str, Where] = {}
        self._seen: dict[tuple[str, str, str], Where] = {}

    def grants(self) -> tuple[Grant, ...]:
        """The grants in the order written, and those of long-term memory."""
        found: list[Grant] = []
        for index, tool in enumerate(self.stage.manifest.tools):
            at: Path = ("tools", index)
            found += self._scopes(tool.name, tool.scopes, (*at, "scopes"), "")
            if isinstance(tool, PythonTool):
                for number, used in enumerate(tool.data):
                    found += self._scopes(tool.name, used.scopes, (*at, "data", number, "scopes"), f"{used.use}/")
        return (*found, *self._memory())

    def never(self) -> tuple[Never, ...]:
        """What is denied whatever the grants say."""
        items = enumerate(self.stage.manifest.never)
        return tuple(Never(item.call, line(self.stage.source.where(("never", i)))) for i, item in items)

    def _scopes(self, tool: str, scopes: Sequence[Scope], at: Path, prefix: str) -> Iterator[Grant]:
        for index, scope in enumerate(scopes):
            path = (*at, index)
            self._check_id(scope, path)
            verb, patterns = scope.granted
            for pattern in patterns:
                grant = self._grant(tool, verb, f"{prefix}{pattern}", scope.id, path)
                if grant:
                    yield grant

    def _grant(self, tool: str, verb: str, pattern: str, named: str | None, path: Path) -> Grant | None:
        where = self.stage.source.where(path)
        if verb in HTTP:
            try:
                pattern = normalise_pattern(pattern)
            except UrlRefused as error:
                fix = "write scheme, host and path, e.g. https://api.example.com/v1/orders/*"
                self.problems.append(Problem("BP019", f"`{pattern[:80]}`: {error}", where, fix=fix))
                return None
        first = self._seen.setdefault((tool, verb, pattern), where)
        if first is not where:
            summary = f"tool `{tool}` is granted {verb} on `{pattern}` twice"
            self.problems.append(Problem("BP108", summary, where, fix=f"remove one; the first is on line {first.line}"))
        return Grant(named or grant_id(tool, verb, pattern), tool, verb, pattern, line(where))

    def _check_id(self, scope: Scope, path: Path) -> None:
        if scope.id is None:
            return
        where = self.stage.source.where((*path, "id"))
        first = self._ids.setdefault(scope.id, where)
        if first is not where:
            fix = f"choose another; the first is on line {first.line}"
            self.problems.append(Problem("BP106", f"two scopes have the id `{scope.id}`", where, fix=fix))

    def _memory(self) -> Iterator[Grant]:
        memory = self.stage.manifest.memory
        if memory and memory.long_term:
            where = line(self.stage.source.where(("memory", "longTerm"), key=True))
            yield Grant("memory.read", "memory", "read", "*", where)
            yield Grant("memory.write", "memory", "write", "*", where)


def line(where: Where) -> str:
    """`agent.yaml:31`, as it stands in grants and traces."""
    return f"{where.file}:{where.line}"


def normalise_pattern(pattern: str) -> str:
    """A URL pattern in the form in which requests are matched. Raises UrlRefused where it could mean several things."""
    scheme, separator, rest = pattern.partition("://")
    if not separator or "*" in scheme:
        raise UrlRefused("the pattern does not start with https:// or http://")
    host, slash, path = rest.partition("/")
    if "*" in host:
        raise UrlRefused("a wildcard in the host is refused; name each host")
    if "?" in rest or "#" in rest:
        raise UrlRefused("a pattern has no query or fragment")
    if any(segment in {".", ".."} for segment in urlsplit(pattern).path.lower().replace("%2e", ".").split("/")):
        raise UrlRefused("dot segments are refused in a pattern")
    return normalise_url(f"{scheme.lower()}://{host}{slash or '/'}{path}")
