"""What later versions bring: known keys and values that are refused as not supported yet, in one table.

Telling these apart from unknown keys matters: a field that is accepted and ignored would look like protection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem, Where

_ANY = "*"


@dataclass(frozen=True)
class Planned:
    """A place in the document that is not supported yet: a key, or one of some values, or one kind of value.

    `blocks` counts how many levels up other errors make no sense while this one stands.
    """

    path: tuple[str, ...]
    what: str
    values: frozenset[str] = frozenset()
    kind: type | None = None
    instead: str = ""
    blocks: int = 0

    def holds(self, value: Any) -> bool:
        """Whether this value, at this place, is the planned thing."""
        if self.kind is not None:
            return isinstance(value, self.kind)
        return not self.values or (isinstance(value, str) and value in self.values)


def _keys(parent: str, names: str, what: str, instead: str = "") -> list[Planned]:
    prefix = tuple(parent.split(".")) if parent else ()
    return [Planned((*prefix, name), what.replace("{}", name), instead=instead) for name in names.split()]


def _values(path: str, names: str, what: str, *, instead: str = "", blocks: int = 0) -> Planned:
    return Planned(tuple(path.split(".")), what, frozenset(names.split()), instead=instead, blocks=blocks)


TABLE: tuple[Planned, ...] = (
    _values("runtime.type", "code image", "your own agent code (`runtime`)", instead="write {type: managed}"),
    *_keys("runtime", "entrypoint image", "your own agent code (`{}` of `runtime`)", "write {type: managed}"),
    *_keys("", "egress", "egress of the whole agent (`egress`)", "give it to the python or mcp tool that needs it"),
    *_keys("metadata", "labels version", "`{}` in metadata"),
    *_keys("data.*", "ref", "`{}` of a data source"),
    *_keys("tools.*", "image", "tools in container images (`image`)", "use `command` or `url`"),
    *_keys("tools.*", "session accept", "`{}` of a tool"),
    *_keys("tools.*.scopes.*", "query", "`{}` in a scope", "test the argument by `where`"),
    *_keys("tools.*.data.*.scopes.*", "where ask limit", "`{}` in a scope of data", "write a narrower pattern"),
    *_keys("never.*", "where", "conditions on `never`", "forbid the whole operation"),
    _values(
        "tools.*.type", "a2a agent", "tools of type `{}`", instead="use search, python, mcp, http or sql", blocks=1
    ),
    *_keys("evals.*", "onInconclusive judge cluster", "`{}` of an eval"),
    Planned(("evals", _ANY, "repeats"), "a list of repeats", kind=list, instead="write one number, such as repeats: 3"),
    *_keys(
        "evals.*.gates.*", "evidence", "statistical evidence of gates (`evidence`)", "gates compare the point value"
    ),
    *_keys("evals.*.gates.*", "nonInferior", "comparison with a baseline (`nonInferior`)", "write `min`"),
    *_keys("evals.*.gates.*", "mustPass", "gates that every case must pass (`mustPass`)", "write `min: 1`"),
    _values("evals.*.gates.*.metric", "withinScopes cost", "the metric `{}`", blocks=1),
    _values("memory.sessions.store", "postgres dynamodb agentcore", "`{}` as a memory store", instead="write `sqlite`"),
    _values("memory.longTerm.store", "postgres dynamodb agentcore", "`{}` as a memory store", instead="write `sqlite`"),
    _values("memory.sessions.per", "session tenant", "memory per `{}`", instead="write `user`"),
    _values("memory.longTerm.per", "session tenant", "memory per `{}`", instead="write `user`"),
    *_keys("memory.longTerm", "embedding", "embeddings in memory", "leave it out: recall uses full-text search"),
    *_keys("memory.sessions", "compaction", "compaction of sessions"),
    _values("tracing.sink", "otlp postgres cloudwatch xray", "`{}` as a trace sink", instead="write `sqlite`"),
    *_keys("tracing", "endpoint export", "sending traces elsewhere (`{}`)"),
    _values("expose.protocols.*", "a2a agui ag-ui", "the protocol `{}`", instead="use chat or mcp"),
    _values("expose.auth.type", "oidc iam none", "callers' authentication by `{}`", instead="write `apiKey`"),
    *_keys("expose.auth", "issuer audience", "callers' authentication by OIDC (`{}`)", "write {type: apiKey}"),
    *_keys("expose", "host domain tls", "`{}` of expose"),
    *_keys("sandbox", "cpu network disk", "`{}` of the sandbox"),
    _values(
        "stages.*.target", "ecs agentcore kubernetes k8s", "the target `{}`", instead="write `local`, `docker` or `aws`"
    ),
    *_keys(
        "stages.*",
        "trust scaling runtime egress secrets budget",
        "`{}` of a stage",
    ),
)
"""Everything that is refused as not supported yet."""


def find(document: Any, where: Callable[[Path], Where]) -> tuple[list[Problem], list[Path]]:
    """The problems of planned things in the document, and the paths below which other errors make no sense."""
    problems: list[Problem] = []
    blocked: list[Path] = []
    for entry in TABLE:
        for path, value in _matching(document, entry.path, ()):
            if entry.holds(value):
                problems.append(_problem(entry, value, where(path)))
                blocked.append(path[: len(path) - entry.blocks])
    return problems, blocked


def _problem(entry: Planned, value: Any, where: Where) -> Problem:
    what = entry.what.replace("{}", str(value))
    fix = entry.instead or "remove it for now"
    return Problem("BP014", f"{what}: not supported yet", where, detail="It is planned for a later version.", fix=fix)


def _matching(value: Any, pattern: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    if not pattern:
        yield path, value
        return
    head, rest = pattern[0], pattern[1:]
    match value:
        case Mapping():
            for key in value if head == _ANY else [head] if head in value else []:
                yield from _matching(value[key], rest, (*path, key))
        case list() if head == _ANY:
            for index, item in enumerate(value):
                yield from _matching(item, rest, (*path, index))
        case _:
            return
