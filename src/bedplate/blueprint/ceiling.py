"""The ceiling of an organisation as it applies to the tools of one agent.

Goes in: the file that the manifest names, the tools, what is known of their operations. Comes out: `model.Ceiling`,
whose scopes are ordinary grants, and problems. A scope that speaks of arguments grants nothing on a tool that has none
of that name, or of which nothing is known: what is not shown to be below the ceiling is not below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bedplate.access import Grant, Never, ScopeSet, UrlRefused, matches
from bedplate.access.model import Operation
from bedplate.blueprint.addresses import normalise_pattern, speaks_of
from bedplate.blueprint.clauses import ClauseReader, Clauses, Known, Typed, arguments_of, clauses_of, columns_of
from bedplate.blueprint.conditions import Misfit
from bedplate.blueprint.files import FileTrouble, ProjectFiles
from bedplate.blueprint.grants import HTTP, OperationsOf, content_id, granted, line
from bedplate.blueprint.model import Ceiling
from bedplate.blueprint.references import RESERVED_TOOLS
from bedplate.blueprint.uses import source_of
from bedplate.manifest.ceiling import WrittenCeiling, read_ceiling
from bedplate.manifest.data import PostgresData
from bedplate.manifest.load import StageManifest
from bedplate.manifest.tools import HttpTool, McpTool, PythonTool, SqlTool, Tool
from bedplate.manifest.yamltree import Path
from bedplate.problems import BedplateError, Problem


def ceiling_of(
    stage: StageManifest, files: ProjectFiles, operations: OperationsOf
) -> tuple[Ceiling | None, tuple[Problem, ...]]:
    """The ceiling that the manifest names, and what is wrong with the file."""
    path = stage.manifest.ceiling
    if path is None:
        return None, ()
    at = stage.source.where(("ceiling",))
    try:
        written = read_ceiling(files.text(path), path)
    except FileTrouble as trouble:
        return None, (Problem(trouble.code, trouble.summary, at, fix=trouble.fix),)
    except BedplateError as error:
        return None, error.problems
    reader = _Reader(stage, written, operations)
    grants = tuple(grant for index in range(len(written.ceiling.allow)) for grant in reader.scope(index))
    never = tuple(
        Never(one.call, line(written.source.where(("never", number))))
        for number, one in enumerate(written.ceiling.never)
    )
    return Ceiling(path, ScopeSet(grants, never), line(at)), tuple(reader.problems)


class _Reader:
    """Writes out the scopes of a ceiling for the tools of one agent."""

    def __init__(self, stage: StageManifest, written: WrittenCeiling, operations: OperationsOf) -> None:
        self.stage = stage
        self.written = written
        self.operations = operations
        self.problems: list[Problem] = []

    def scope(self, index: int) -> Iterator[Grant]:
        """The grants of one scope. A test that is wrong for every tool that has its argument is a problem."""
        path: Path = ("allow", index)
        patterns = self._patterns(index)
        wrong: list[Problem] = []
        good = False
        for tool in (*self.stage.manifest.tools, *sorted(RESERVED_TOOLS)):
            name = tool if isinstance(tool, str) else tool.name
            if matches(self.written.ceiling.allow[index].tool, name):
                clauses, problems = self._clauses(tool, index, patterns)
                wrong += [problem for problem in problems if problem.code != "BP805"]
                if not problems:
                    good = True
                    yield from self._grants(name, index, patterns, clauses, line(self.written.source.where(path)))
        if not good:
            self.problems += dict.fromkeys(wrong)

    def _grants(self, tool: str, index: int, patterns: Sequence[str], clauses: Clauses, where: str) -> Iterator[Grant]:
        scope = self.written.ceiling.allow[index]
        for pattern in patterns:
            own = scope.id or content_id(tool, scope.granted[0], pattern, clauses)
            yield granted(own, tool, scope.granted[0], pattern, where, clauses)

    def _patterns(self, index: int) -> list[str]:
        """URLs in the form in which they are matched."""
        verb, patterns = self.written.ceiling.allow[index].granted
        found: list[str] = []
        for pattern in patterns:
            try:
                found.append(normalise_pattern(pattern) if verb in HTTP and "://" in pattern else pattern)
            except UrlRefused as error:
                where = self.written.source.where(("allow", index, verb))
                fix = "name each host, or write `*` for all addresses"
                self.problems.append(Problem("BP019", f"`{pattern[:80]}`: {error}", where, fix=fix))
        return found

    def _clauses(self, tool: Tool | str, index: int, patterns: Sequence[str]) -> tuple[Clauses, list[Problem]]:
        scope = self.written.ceiling.allow[index]
        operations, known = self._known(tool, scope.granted[0], patterns)
        reader = ClauseReader(self.written.source, ("allow", index), known)
        return clauses_of(reader, scope, operations), reader.problems

    def _known(self, tool: Tool | str, verb: str, patterns: Sequence[str]) -> tuple[Sequence[Operation], Known]:
        match tool:
            case SqlTool():
                source = source_of(self.stage, tool.use)
                kinds = source.tables if isinstance(source, PostgresData) else {}
                merged = {column: kind for columns in kinds.values() for column, kind in columns.items()}
                return (), columns_of("*", tool.use, {"*": merged})
            case PythonTool() | McpTool() | HttpTool():
                found, _ = self.operations(tool)
                meant = [op for op in found if any(speaks_of(Grant("", "", verb, pattern), op) for pattern in patterns)]
                return meant, arguments_of(meant)
            case _:
                return (), _nothing


def _nothing(_path: tuple[str, ...]) -> Typed:
    raise Misfit("BP805", "there is no such argument", "remove the test")
