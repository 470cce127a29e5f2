"""Grants of a stage, from the scopes of its tools. Goes in: a checked manifest. Comes out: grants with their lines.

The object of a grant: a document's path in the source for search tools, `source/` and a path, key or table for the data
of python and mcp tools, the operation's name for `call`, a normalised URL for HTTP, `schema.table` for sql.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bedplate.access import Grant, Never, UrlRefused, grant_id
from bedplate.access.model import Claim, Condition, Operation, Subset, Texts
from bedplate.blueprint.addresses import normalise_pattern, speaks_of
from bedplate.blueprint.clauses import ClauseReader, Clauses, arguments_of, clauses_of, columns_of
from bedplate.blueprint.digest import digest_of, grant_shape
from bedplate.blueprint.uses import source_of, usable
from bedplate.manifest.arguments import Conditions
from bedplate.manifest.data import PostgresData
from bedplate.manifest.load import StageManifest
from bedplate.manifest.scopes import CallScope, DataScope, HttpScope, Scope, SessionKey, SqlScope
from bedplate.manifest.tools import DataUse, HttpTool, McpTool, PythonTool, SearchTool, SqlTool, Tool
from bedplate.manifest.words import HTTP_VERBS, did_you_mean, suggest
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem, Where

HTTP = frozenset(HTTP_VERBS)
OperationsOf = Callable[[Tool], tuple[Sequence[Operation], str]]
"""From a tool to its operations, or why they are not known (then "" where that is told elsewhere)."""


def nothing_known(_tool: Tool) -> tuple[Sequence[Operation], str]:
    """Of tools whose schemas nobody looked at."""
    return (), "nobody looked"


class GrantReader:
    """Reads every scope of a stage; `problems` holds what cannot be granted, `doubtful` the tools that have some."""

    def __init__(self, stage: StageManifest, operations: OperationsOf = nothing_known) -> None:
        self.stage = stage
        self.operations = operations
        self.problems: list[Problem] = []
        self.doubtful: set[str] = set()
        self._ids: dict[str, Where] = {}
        self._seen: dict[str, Where] = {}

    def grants(self) -> tuple[Grant, ...]:
        """The grants in the order written, and those of long-term memory, shared state and the sandbox."""
        found: list[Grant] = []
        for index, tool in enumerate(self.stage.manifest.tools):
            before = len(self.problems)
            found += self._tool(tool, ("tools", index))
            if len(self.problems) > before:
                self.doubtful.add(tool.name)
        return (*found, *self._memory(), *self._state(), *self._sandbox())

    def never(self) -> tuple[Never, ...]:
        """What is denied whatever the grants say."""
        items = enumerate(self.stage.manifest.never)
        return tuple(Never(item.call, line(self.stage.source.where(("never", i)))) for i, item in items)

    def _tool(self, tool: Tool, at: Path) -> Iterator[Grant]:
        match tool:
            case SearchTool():
                yield from self._plain(tool.name, tool.scopes, (*at, "scopes"))
            case SqlTool():
                yield from self._sql(tool, (*at, "scopes"))
            case HttpTool():
                yield from self._called(tool, (*at, "scopes"))
            case PythonTool() | McpTool():
                yield from self._called(tool, (*at, "scopes"))
                for number, used in enumerate(tool.data):
                    yield from self._data(tool.name, used, (*at, "data", number))
                yield from self._plain(tool.name, tool.egress, (*at, "egress"), urls=True)

    def _plain(self, tool: str, scopes: Sequence[Scope], at: Path, *, urls: bool = False) -> Iterator[Grant]:
        """Scopes that have no clauses."""
        for index, scope in enumerate(scopes):
            yield from self._scope(tool, scope, (*at, index), Clauses(), urls=urls)

    def _scope(
        self, tool: str, scope: Scope, path: Path, clauses: Clauses, *, prefix: str = "", urls: bool = False
    ) -> Iterator[Grant]:
        """A grant for each pattern of a scope. One budget is shared by all of them, so they share an id too."""
        self._check_id(scope, path)
        verb, patterns = scope.granted
        patterns = [f"{prefix}{p}" for p in patterns] if not urls else list(self._urls(patterns, path))
        shared = content_id(tool, verb, " ".join(sorted(patterns)), clauses) if clauses.budgets else None
        for pattern in patterns:
            own = scope.id or shared or content_id(tool, verb, pattern, clauses)
            grant = granted(own, tool, verb, pattern, line(self.stage.source.where(path)), clauses)
            self._check_twice(grant, path)
            yield grant

    def _urls(self, patterns: Sequence[str], path: Path) -> Iterator[str]:
        for pattern in patterns:
            try:
                yield normalise_pattern(pattern)
            except UrlRefused as error:
                fix = "write scheme, host and path, e.g. https://api.example.com/v1/orders/*"
                self._problem("BP019", f"`{pattern[:80]}`: {error}", path, fix)

    def _called(self, tool: PythonTool | McpTool | HttpTool, at: Path) -> Iterator[Grant]:
        """Scopes over operations, typed by what is known of those."""
        operations, why = self.operations(tool)
        if self._lacks_more_than_scopes(at[:2]):  # its operations may be others, and the lack is told already
            self.doubtful.add(tool.name)
            return
        scopes: Sequence[CallScope | HttpScope] = tool.scopes
        for index, scope in enumerate(scopes):
            path = (*at, index)
            meant = self._meant(tool, scope, operations, path) if operations else ()
            if operations and not meant:
                continue
            if not operations and _needs_types(scope):
                self._unpinned(tool, why, path)
                continue
            reader = ClauseReader(self.stage.source, path, arguments_of(meant))
            clauses = clauses_of(reader, scope, meant)
            self.problems += reader.problems
            if not reader.problems:
                yield from self._scope(tool.name, scope, path, clauses, urls=isinstance(scope, HttpScope))

    def _lacks_more_than_scopes(self, at: Path) -> bool:
        lost = (path for path in self.stage.source.lost if path[:2] == at)
        return any(path[2:3] != ("scopes",) for path in lost)

    def _meant(
        self, tool: Tool, scope: CallScope | HttpScope, known: Sequence[Operation], path: Path
    ) -> tuple[Operation, ...]:
        """The operations that a scope is about. A pattern that fits none is a problem."""
        verb, patterns = scope.granted
        found: dict[str, Operation] = {}
        for pattern in patterns:
            fits = [op for op in known if _fits(op, verb, pattern)]
            found |= {op.name: op for op in fits}
            if not fits:
                names = [op.name for op in known]
                near = suggest(pattern, names) if verb == "call" else None
                offers = did_you_mean(pattern, names) if near or len(names) <= 12 else "see `bedplate.lock`"
                what = f"`{tool.name}` has no operation that {verb} on `{pattern[:80]}` could mean"
                self._problem("BP808", what, (*path, verb), offers if verb == "call" else "see the OpenAPI document")
        return tuple(found.values())

    def _unpinned(self, tool: Tool, why: str, path: Path) -> None:
        if why:
            what = f"the arguments of `{tool.name}` are not known: {why}"
            pin = "run bedplate lock, and commit the file that it writes"
            self._problem("BP807", what, path, pin if isinstance(tool, McpTool) else "mend the OpenAPI document")
        self.doubtful.add(tool.name)

    def _sql(self, tool: SqlTool, at: Path) -> Iterator[Grant]:
        source = source_of(self.stage, tool.use)
        kinds = source.tables if isinstance(source, PostgresData) and self._is_whole(source) else None
        for index, scope in enumerate(tool.scopes):
            path = (*at, index)
            if kinds is None:  # said where the reference or the source is checked
                self.doubtful.add(tool.name)
                continue
            reader = ClauseReader(self.stage.source, path, columns_of(scope.granted[1][0], tool.use, kinds))
            clauses = self._sql_clauses(reader, scope, path)
            self.problems += reader.problems
            if not reader.problems:
                yield from self._scope(tool.name, scope, path, clauses)

    def _is_whole(self, source: PostgresData) -> bool:
        index = self.stage.manifest.data.index(source)
        return self.stage.source.whole_at("data", index)

    def _sql_clauses(self, reader: ClauseReader, scope: SqlScope, path: Path) -> Clauses:
        where = line(self.stage.source.where((*path, "columns")))
        columns = tuple(dict.fromkeys(scope.columns or ()))
        conditions = (
            *([Condition(("columns",), "strings", Subset(columns), where)] if columns else []),
            *reader.tested("rows", scope.rows, ("rows",)),
            *reader.tested("set", scope.set_, ("set",)),
        )
        for column in scope.set_:
            if columns and column not in columns:
                fix = f"add `{column}` to `columns`, or remove the test"
                what = f"nothing can match: `columns` leaves out `{column}`, which `set` tests"
                self._problem("BP806", what, (*path, "set", column), fix)
        ask = reader.asked(scope.ask, conditions)
        return Clauses(conditions, None, ask, reader.limited(scope.limit, conditions))

    def _data(self, tool: str, used: DataUse, at: Path) -> Iterator[Grant]:
        """What a tool does itself with a data source; unknown names and types are said where references are checked."""
        source = source_of(self.stage, used.use)
        for index, scope in enumerate(used.scopes):
            path = (*at, "scopes", index)
            if source is not None:
                troubles = list(usable(scope, source))
                for key, code, what, fix in troubles:
                    self._problem(code, what, (*path, key), fix)
                if troubles:
                    continue
            yield from self._scope(tool, scope, path, self._items(scope, path), prefix=f"{used.use}/")

    def _items(self, scope: DataScope, path: Path) -> Clauses:
        """Keys and attributes of items, as conditions."""
        conditions: list[Condition] = []
        if scope.keys is not None:
            where = line(self.stage.source.where((*path, "keys")))
            test = Claim(scope.keys.session) if isinstance(scope.keys, SessionKey) else Texts(_unique(scope.keys))
            conditions.append(Condition(("key",), "string", test, where))
        if scope.attributes:
            where = line(self.stage.source.where((*path, "attributes")))
            conditions.append(Condition(("attributes",), "strings", Subset(_unique(scope.attributes)), where))
        return Clauses(tuple(conditions))

    def _problem(self, code: str, summary: str, path: Path, fix: str) -> None:
        self.problems.append(Problem(code, summary, self.stage.source.where(path), fix=fix))

    def _check_twice(self, grant: Grant, path: Path) -> None:
        if not self.stage.source.whole_at(*path):  # two scopes may differ in what is left out
            return
        where = self.stage.source.where(path)
        first = self._seen.setdefault(digest_of(grant_shape(grant)), where)
        if first is not where:
            what = f"tool `{grant.tool}` is granted {grant.verb} on `{grant.pattern}` twice"
            self._problem("BP108", what, path, f"remove one; the first is on line {first.line}")

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

    def _state(self) -> Iterator[Grant]:
        """What this agent, by its name, may do with the state that agents share."""
        me, written = self.stage.manifest.metadata.name, self.stage.manifest.state
        for key, access in written.items():
            for verb, agents in (("read", access.read), ("write", access.write)):
                if me in agents:
                    where = line(self.stage.source.where(("state", key, verb)))
                    yield Grant(f"state.{verb}.{key}", "state", verb, key, where)

    def _sandbox(self) -> Iterator[Grant]:
        sandbox = self.stage.manifest.sandbox
        for verb, paths in (("read", sandbox.read), ("write", sandbox.write)):
            for index, path in enumerate(paths):
                where = line(self.stage.source.where(("sandbox", verb, index)))
                yield Grant(grant_id("sandbox", verb, path), "sandbox", verb, path, where)


def granted(id: str, tool: str, verb: str, pattern: str, where: str, clauses: Clauses) -> Grant:
    """A grant with its clauses."""
    said = (clauses.conditions, clauses.only, clauses.ask, clauses.budgets)
    return Grant(id, tool, verb, pattern, where, *said)


def content_id(tool: str, verb: str, pattern: str, clauses: Clauses) -> str:
    """As `grant_id`; clauses belong to the content, so that two scopes that differ in them have two ids."""
    plain = grant_id(tool, verb, pattern)
    if clauses == Clauses():
        return plain
    return digest_of(grant_shape(granted("", tool, verb, pattern, "", clauses))).removeprefix("sha256:")[:12]


def _unique(globs: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(globs))


def _needs_types(scope: Conditions) -> bool:
    """Whether a scope names arguments."""
    return bool(scope.where or isinstance(scope.ask, dict) or (scope.limit and scope.limit.sum))


def _fits(operation: Operation, verb: str, pattern: str) -> bool:
    """Whether a pattern of a scope, as it is written, may mean an operation."""
    try:
        pattern = normalise_pattern(pattern) if verb in HTTP else pattern
        return speaks_of(Grant("", "", verb, pattern), operation)
    except UrlRefused:  # said where the grant is made
        return True


def line(where: Where) -> str:
    """`agent.yaml:31`, as it stands in grants and traces."""
    return f"{where.file}:{where.line}"
