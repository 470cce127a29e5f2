"""What a manifest means, checked for one stage: references, essentials, names, code. Each check returns problems.

Goes in: a stage's manifest and the project's files. Comes out: problems, empty where all is well. Where the manifest
lacks a part that was at fault (`Source.lost`), nothing is said that follows from the lack. Code of the project is
parsed, never imported.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator

from bedplate.blueprint.files import FileTrouble, ProjectFiles
from bedplate.blueprint.model import DataSource
from bedplate.blueprint.references import RESERVED_TOOLS
from bedplate.manifest.data import FilesData
from bedplate.manifest.load import LoadedManifest, StageManifest
from bedplate.manifest.overlay import ANY
from bedplate.manifest.tools import FileName, HttpTool, McpTool, PythonTool, Tool
from bedplate.manifest.words import did_you_mean
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem, Where

_FILE_LIKE = re.compile(r"[\w./-]+\.(md|txt|rst|markdown)")


def names(stage: StageManifest) -> Iterator[Problem]:
    """Names are unique in their section, and none is Bedplate's own."""
    manifest = stage.manifest
    for section, items in (("data", manifest.data), ("tools", manifest.tools), ("evals", manifest.evals)):
        first: dict[str, int] = {}
        for index, item in enumerate(items):
            where = stage.source.where((section, index, "name"))
            if item.name in first:
                earlier = stage.source.where((section, first[item.name], "name")).line
                summary = f"`{item.name}` is used twice in {section}"
                yield Problem("BP106", summary, where, fix=f"rename one; the first is on line {earlier}")
            elif section == "tools" and item.name in RESERVED_TOOLS:
                summary = f"the tool name `{item.name}` is Bedplate's own"
                yield Problem("BP116", summary, where, fix="choose another name")
            first.setdefault(item.name, index)


def lists(stage: StageManifest) -> Iterator[Problem]:
    """Nothing stands twice in a list that is a set."""
    manifest = stage.manifest
    groups: list[tuple[Path, Iterable[object]]] = [
        (("model", "fallback"), [manifest.model.id, *manifest.model.fallback]),
        (("expose", "protocols"), manifest.expose.protocols),
        (
            ("memory", "longTerm", "redact"),
            manifest.memory.long_term.redact if manifest.memory and manifest.memory.long_term else [],
        ),
    ]
    for number, suite in enumerate(manifest.evals):
        groups.append((("evals", number, "gates"), [gate.metric for gate in suite.gates]))
    for verb, paths in (("read", manifest.sandbox.read), ("write", manifest.sandbox.write)):
        groups.append((("sandbox", verb), paths))
    for key, access in manifest.state.items():
        groups += [(("state", key, "read"), access.read), (("state", key, "write"), access.write)]
    groups += [(("data", number, "labels"), source.labels) for number, source in enumerate(manifest.data)]
    groups += [(("tools", number, "labels"), tool.labels) for number, tool in enumerate(manifest.tools)]
    for number, tool in enumerate(manifest.tools):
        if isinstance(tool, PythonTool | McpTool):
            groups.append((("tools", number, "data"), [used.use for used in tool.data]))
    for path, items in groups:
        words = [str(item) for item in items]
        for word in sorted({word for word in words if words.count(word) > 1}):
            yield Problem("BP108", f"`{word}` stands twice in {path[-1]}", stage.source.where(path), fix="remove one")


_UNREAD = {"bedplate": ("baseUrl", "credentials", "settings"), "local": ("baseUrl", "credentials")}
"""By provider, the fields of `model` that nothing reads: built-in models call nobody."""


def model(stage: StageManifest) -> Iterator[Problem]:
    """Nothing is written beside a built-in or local model that nobody would read."""
    chosen = stage.manifest.model
    written = {type(chosen).model_fields[name].alias or name for name in chosen.model_fields_set}
    for field in _UNREAD.get(chosen.id.partition(":")[0], ()):
        if field in written:
            where = stage.source.where(("model", field), key=True)
            fix = f"remove `{field}`, or name a model of a provider; in an overlay write `model: {chosen.id}`"
            yield Problem("BP013", f"`{chosen.id}` does not read `model.{field}`", where, fix=fix)


def requirements(stage: StageManifest) -> Iterator[Problem]:
    """Packages are there for something that imports them."""
    manifest = stage.manifest
    if manifest.runtime and manifest.runtime.requirements and not any(map(runs_code, manifest.tools)):
        where = stage.source.where(("runtime", "requirements"), key=True)
        what = "only python tools and MCP commands read `runtime.requirements`, and there is none"
        yield Problem("BP013", what, where, fix="remove it, or add such a tool")


def essentials(stage: StageManifest) -> Iterator[Problem]:
    """A product has memory, scopes, eval gates and traces."""
    manifest, lacks = stage.manifest, stage.source.lacks
    if manifest.intent != "product" or lacks("intent"):
        return
    where = stage.source.where(("intent",))
    memory = manifest.memory
    remembers = memory and (memory.sessions or memory.long_term)
    if not (remembers or lacks("memory", "sessions") or lacks("memory", "longTerm")):
        yield _essential("memory", "add e.g. memory: {sessions: {retention: 30d}}", where)
    if not (manifest.tools or lacks("tools", ANY)):
        yield _essential("scopes", "add a tool with the scopes of what it may do", where)
    if not (any(suite.gates for suite in manifest.evals) or lacks("evals", ANY, "gates", ANY)):
        fix = "add e.g. evals: [{name: faq, dataset: evals/faq.yaml, gates: [{metric: contains, min: 0.9}]}]"
        yield _essential("eval gates", fix, where)
    if manifest.tracing is None and not lacks("tracing"):
        yield _essential("tracing", "add e.g. tracing: {content: redacted, retention: 30d}", where)


def _essential(what: str, fix: str, where: Where) -> Problem:
    summary = f"a product needs {what}, and this manifest has none"
    return Problem("BP101", summary, where, fix=f"{fix}; or write `intent: script`")


def promotion(stage: StageManifest, loaded: LoadedManifest) -> Iterator[Problem]:
    """`from` names another stage, without a circle, and scripts have none."""
    start = stage.promoted_from
    if start is None:
        return
    origin = dict.fromkeys(loaded.stage_names) | {s.name: s.promoted_from for s in loaded.stages.values()}
    where = stage.source.tree.where(("stages", stage.name, "from"))
    if stage.manifest.intent == "script" and not stage.source.lacks("intent"):
        fix = "write `intent: product` and add what it asks for, or remove `from`"
        yield Problem("BP117", f"a script is not promoted, but stage `{stage.name}` has `from`", where, fix=fix)
    if start not in origin and not loaded.source.lost_at("stages"):
        fix = did_you_mean(start, [name for name in origin if name != stage.name])
        yield Problem("BP103", f"there is no stage `{start}`", where, fix=fix)
    seen = [stage.name]
    while start is not None and start not in seen:
        seen.append(start)
        start = origin.get(start)
    if start == stage.name:
        circle = " → ".join([*seen, start])
        yield Problem("BP109", f"the stages are promoted in a circle: {circle}", where, fix="remove one `from`")


def entrypoints(stage: StageManifest, files: ProjectFiles) -> Iterator[Problem]:
    """Every entrypoint is a function that a file of the project defines."""
    for index, tool in enumerate(stage.manifest.tools):
        if isinstance(tool, PythonTool):
            where = stage.source.where(("tools", index, "entrypoint"))
            trouble = _entrypoint(tool.entrypoint, files)
            if trouble:
                yield Problem(trouble.code, trouble.summary, where, fix=trouble.fix)


def _entrypoint(entrypoint: str, files: ProjectFiles) -> FileTrouble | None:
    module, _, function = entrypoint.partition(":")
    base = module.replace(".", "/")
    path = next((p for p in (f"{base}.py", f"{base}/__init__.py") if (files.project / p).is_file()), None)
    if path is None:
        fix = f"create {base}.py next to agent.yaml, or mend the entrypoint; installed packages are not searched"
        return FileTrouble("BP110", f"there is no module `{module}` in the project", fix)
    try:
        tree = ast.parse(files.text(path), path)
    except SyntaxError as error:
        return FileTrouble("BP110", f"{path}:{error.lineno} is not valid Python: {error.msg}", "mend the file")
    except FileTrouble as trouble:
        return trouble
    except ValueError as error:
        return FileTrouble("BP110", f"{path} is not valid Python: {error}", "mend the file")
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if function in defined:
        return None
    fix = did_you_mean(function, [name for name in defined if not name.startswith("_")], f"define it in {path}")
    return FileTrouble("BP110", f"{path} defines no function `{function}`", fix)


def runs_code(tool: Tool) -> bool:
    """Whether a tool runs code of the project, or may."""
    return isinstance(tool, PythonTool) or (isinstance(tool, McpTool) and tool.command is not None)


def code(stage: StageManifest, files: ProjectFiles) -> Iterator[Problem]:
    """The project's code can be read, where a tool runs it."""
    index = next((index for index, tool in enumerate(stage.manifest.tools) if runs_code(tool)), None)
    if index is not None:
        try:
            files.code()
        except FileTrouble as trouble:
            yield from _told(trouble, stage.source.where(("tools", index)))


def _told(trouble: FileTrouble, where: Where) -> Iterator[Problem]:
    for each in trouble.each():
        yield Problem(each.code, each.summary, where, fix=each.fix)


def instructions(stage: StageManifest) -> Iterator[Problem]:
    """The instructions are what the agent is told, not the name of a file that says it."""
    written = stage.manifest.instructions
    if isinstance(written, str) and _FILE_LIKE.fullmatch(written.strip()):
        where = stage.source.where(("instructions",))
        fix = f"write instructions: {{file: {written.strip()}}}"
        yield Problem("BP013", "instructions is the name of a file, not what the agent is told", where, fix=fix)


def named_files(stage: StageManifest, files: ProjectFiles) -> Iterator[tuple[Path, Problem]]:
    """Instructions, datasets and API documents that are not inside the project or cannot be read, by their path."""
    manifest = stage.manifest
    if isinstance(manifest.instructions, FileName):
        yield from _trouble(stage, ("instructions", "file"), _not_empty, files, manifest.instructions.file)
    for index, suite in enumerate(manifest.evals):
        yield from _trouble(stage, ("evals", index, "dataset"), _dataset, files, suite.dataset)
    for index, tool in enumerate(manifest.tools):
        if isinstance(tool, HttpTool):
            yield from _trouble(stage, ("tools", index, "openapi", "file"), openapi, files, tool.openapi.file)
    for verb, sandboxed in (("read", manifest.sandbox.read), ("write", manifest.sandbox.write)):
        for index, path in enumerate(sandboxed):
            yield from _trouble(stage, ("sandbox", verb, index), _no_folder, files, path)
    if manifest.runtime and manifest.runtime.requirements:
        path = manifest.runtime.requirements
        yield from _trouble(stage, ("runtime", "requirements"), _requirements, files, path)


_FileCheck = Callable[[ProjectFiles, str], None]


def _trouble(
    stage: StageManifest, at: Path, check: _FileCheck, files: ProjectFiles, path: str
) -> Iterator[tuple[Path, Problem]]:
    try:
        check(files, path)
    except FileTrouble as trouble:
        yield at, Problem(trouble.code, trouble.summary, stage.source.where(at), fix=trouble.fix)


def _no_folder(files: ProjectFiles, path: str) -> None:
    """A path of the sandbox inside the project names no folder as if it were a file, and no secrets."""
    if not path.startswith("/"):
        below = path.removesuffix("/*")
        if files.locate(below).is_dir() != path.endswith("*"):
            fix = f"write `{below}/*`" if files.locate(below).is_dir() else f"write `{below}`"
            raise FileTrouble("BP119", f"`{path}` does not say what it is: a folder, or a file", fix)


def _not_empty(files: ProjectFiles, path: str) -> None:
    if not files.text(path).strip():
        raise FileTrouble("BP119", f"`{path}` is empty", "write the instructions into it")


def _dataset(files: ProjectFiles, path: str) -> None:
    files.one(path)
    if not path.endswith((".yaml", ".yml", ".jsonl")):
        raise FileTrouble(
            "BP119", f"the dataset `{path}` is neither YAML nor JSONL", "name it *.yaml, *.yml or *.jsonl"
        )


def _requirements(files: ProjectFiles, path: str) -> None:
    from bedplate.blueprint.requirements import NotPinned, requirements_of

    try:
        if not requirements_of(files.text(path)):
            raise FileTrouble("BP119", f"`{path}` names no package", "write them, or remove `runtime`")
    except NotPinned as found:
        what = f"`{path}` line {found.line} is no `name==version` with `--hash=sha256:…`: {found.text[:60]}"
        fix = "make the file by `uv pip compile --generate-hashes` or `pip-compile --generate-hashes`"
        raise FileTrouble("BP762", what, fix) from found


def openapi(files: ProjectFiles, path: str) -> None:
    """Raises FileTrouble where a file is no OpenAPI 3 document."""
    import yaml

    text = files.text(path)
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        document = json.loads(text) if path.endswith(".json") else yaml.load(text, loader)
    except (ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise FileTrouble("BP111", f"`{path}` cannot be read: {reason}", "mend the file") from error
    version = document.get("openapi") if isinstance(document, dict) else None
    if not (isinstance(version, str) and version.startswith("3.") and isinstance(document.get("paths"), dict)):
        fix = "it needs `openapi: 3.x` and `paths` at the top; convert Swagger 2 documents first"
        raise FileTrouble("BP111", f"`{path}` is no OpenAPI 3 document", fix)


def data_sources(stage: StageManifest, files: ProjectFiles) -> tuple[list[DataSource], list[Problem]]:
    """The data sources with their files, and what is wrong with them."""
    from bedplate.blueprint.digest import files_digest
    from bedplate.blueprint.grants import line

    found: list[DataSource] = []
    problems: list[Problem] = []
    for index, source in enumerate(stage.manifest.data):
        if not isinstance(source, FilesData):
            continue
        where = stage.source.where(("data", index, "path"))
        try:
            root, refs = files.documents(source.path, source.include, source.exclude)
            if not refs and stage.source.whole_at("data", index):
                fix = "mend `path`, `include` or `exclude`; hidden files never count"
                raise FileTrouble("BP118", f"the data source `{source.name}` has no documents", fix)
        except FileTrouble as trouble:
            problems += _told(trouble, where)
            continue
        below = "" if root == files.project else root.relative_to(files.project).as_posix() + "/"
        item = line(stage.source.where(("data", index)))
        written = (source.path, tuple(source.include or ()), tuple(source.exclude))
        digest = files_digest(refs, below)
        found.append(
            DataSource(source.name, str(root), tuple(refs), digest, item, *written, labels=tuple(source.labels))
        )
    return found, problems
