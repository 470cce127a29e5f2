"""`load`: agent.yaml to a checked `Manifest`, or every problem in it at once.

Goes in: a path or text. Comes out: `LoadedManifest`: the base manifest, and each stage's with its overlay merged. It
reads one file and nothing else; what the manifest refers to is checked by `bedplate.blueprint`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from bedplate.manifest import planned
from bedplate.manifest.errors import dotted, translate
from bedplate.manifest.overlay import Source, merged
from bedplate.manifest.project import MANIFEST_NAME, missing
from bedplate.manifest.yamltree import MAX_BYTES, Path, Tree, read
from bedplate.problems import BedplateError, Problem, Where

if TYPE_CHECKING:
    from bedplate.manifest.models import Manifest

_SECRETS = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("an API key", re.compile(r"\b(sk|rk|pk)[-_](live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_-]{20,}")),
    ("an AWS access key", re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})")),
    ("a Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}")),
    ("a signed token", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.")),
    ("a password in a URL", re.compile(r"://[^\s/:@]+:[^\s/@]+@")),
)
_QUERY = re.compile(
    r"[?&;#]([\w.-]*[_.-])?(api_?key|key|token|secret|password|passwd|sig|signature|auth|access_?token)=[^&;#]",
    re.IGNORECASE,
)
"""A parameter of a URL's query that is a secret by its name."""
_URLS = ("url", "baseUrl")


@dataclass(frozen=True)
class StageManifest:
    """One stage: the manifest with the stage's overlay merged in, and where its parts were written."""

    name: str
    manifest: Manifest
    source: Source
    overlaid: bool
    promoted_from: str | None = None


@dataclass(frozen=True)
class LoadedManifest:
    """A manifest that is right in itself. `document` is the plain data, `text` the file as it was."""

    manifest: Manifest
    source: Source
    stages: Mapping[str, StageManifest]
    text: str
    file: str
    project: FilePath

    @property
    def document(self) -> Mapping[str, Any]:
        """The manifest as plain data: what the digests cover."""
        document: Mapping[str, Any] = self.source.data
        return document

    @cached_property
    def lines(self) -> Mapping[str, Where]:
        """The place of every value by dotted path; things in a list by their name, else their index."""
        return {name_path(path, self.document): where for path, where in self.source.tree.values.items() if path}


def name_path(path: Path, data: Any) -> str:
    """`("tools", 0, "use")` as `tools.docs.use`: items that have a name by it, others by their index."""
    parts: list[str] = []
    for part in path:
        data = data[part]
        named = isinstance(part, int) and isinstance(data, Mapping) and isinstance(data.get("name"), str)
        parts.append(data["name"] if named else str(part))
    return ".".join(parts)


def load(path: FilePath) -> LoadedManifest:
    """Read and check a manifest; a folder means its agent.yaml. Raises BedplateError with every problem (BP0xx)."""
    path = path / MANIFEST_NAME if path.is_dir() else path
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # before it is opened: a pipe would wait, a device never end
            fix = "name a file with --file"
            raise BedplateError(Problem("BP001", f"{path} is no regular file", Where(path.name), fix=fix))
        if found.st_size > MAX_BYTES:
            raise BedplateError(
                Problem("BP008", f"{path.name} is larger than 1 MiB", Where(path.name), fix="move long texts to files")
            )
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BedplateError(missing(path)) from error
    except OSError as error:
        fix = "make it readable, or name another with --file"
        raise BedplateError(
            Problem("BP001", f"cannot read {path}: {error.strerror}", Where(path.name), fix=fix)
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fix = "save the file as UTF-8"
        raise BedplateError(Problem("BP009", f"{path.name} is not UTF-8", Where(path.name, line), fix=fix)) from error
    return parse(text, path.name, path.parent.resolve())


def parse(text: str, filename: str, project: FilePath) -> LoadedManifest:
    """Check a manifest's text. Raises BedplateError with every problem found (BP0xx)."""
    tree = read(text, filename)
    if not isinstance(tree.data, dict):
        from bedplate.manifest.fields import kind_of

        summary = f"{filename} must be a mapping of sections, not {kind_of(tree.data)}"
        raise BedplateError(Problem("BP010", summary, Where(filename, 1, 1), fix="start one with `bedplate init`"))
    checks = _Checks(tree)
    base = checks.base()
    stages = checks.stages(base)
    checks.raise_problems()
    assert base is not None  # no problems means a manifest
    return LoadedManifest(base, Source(tree, tree.data), stages, text, filename, project.resolve())


class _Checks:
    """Collects the problems of the base and of every stage, each once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.problems: dict[tuple[str, Where | None, str], Problem] = {}
        found, self.blocked = planned.find(tree.data, tree.where)
        self.add(found + _literal_secrets(tree))
        self._secrets_in_queries()
        self._fixed_sections()
        self._nothing_written()

    def add(self, problems: list[Problem]) -> None:
        for problem in map(_scrubbed, problems):
            self.problems.setdefault((problem.code, problem.where, problem.summary), problem)

    def raise_problems(self) -> None:
        if self.problems:
            order = sorted(self.problems.values(), key=lambda p: (p.where.line, p.where.column) if p.where else (0, 0))
            raise BedplateError(*order)

    def base(self) -> Manifest | None:
        return self.validate(Source(self.tree, self.tree.data), self.blocked)

    def stages(self, base: Manifest | None) -> Mapping[str, StageManifest]:
        """Each stage's manifest, in the order written; without stages there is one, `prototype`."""
        from bedplate.manifest.models import OVERLAID

        written = self.tree.data.get("stages")
        if not isinstance(written, dict) or not written:
            whole = Source(self.tree, self.tree.data)
            return {"prototype": StageManifest("prototype", base, whole, overlaid=False)} if base else {}
        result: dict[str, StageManifest] = {}
        for name, overlay in written.items():
            if not isinstance(overlay, dict):
                continue  # said when the base was validated
            source = merged(self.tree, name, OVERLAID)
            manifest = self.validate(source, [*self.blocked, *self._blocked_in(name)])
            if manifest:
                result[name] = StageManifest(
                    name, manifest, source, bool(set(overlay) & set(OVERLAID)), overlay.get("from")
                )
        return result

    def _blocked_in(self, stage: str) -> list[Path]:
        """Paths of the merged document that a planned thing in this stage's overlay makes useless to check."""
        prefix = ("stages", stage)
        return [path[2:3] for path in self.blocked if path[:2] == prefix and len(path) > 2]

    def _fixed_sections(self) -> None:
        """Overlays leave alone what is the same in every stage."""
        from bedplate.manifest.models import FIXED

        for path in self.tree.keys:
            if len(path) == 3 and path[0] == "stages" and path[2] in FIXED:
                self.blocked.append(path)
                fix = "remove it here; it is the same in every stage"
                summary = f"stage `{path[1]}` may not change `{path[2]}`"
                self.add([Problem("BP112", summary, self.tree.where(path, key=True), fix=fix)])

    def _nothing_written(self) -> None:
        """A key without a value says nothing; only in an overlay it means something: remove."""
        for path, value in _leaves(self.tree.data, ()):
            if value is None and path and path[0] != "stages":
                self.blocked.append(path)
                fix = "write a value after the colon ({} for a section with its defaults), or remove the key"
                self.add([Problem("BP010", f"`{dotted(path)}` has no value", self.tree.where(path), fix=fix)])

    def _secrets_in_queries(self) -> None:
        """URLs with a secret in their query. Nothing else is said of them, since that would show the value."""
        for path, text in _leaves(self.tree.data, ()):
            if path and path[-1] in _URLS and isinstance(text, str) and _QUERY.search(text):
                self.blocked.append(path)
                fix = (
                    "remove it from the URL, hand it over by `credentials: {secret: name}`, and revoke it if committed"
                )
                summary = f"the query of `{dotted(path)}` holds a secret"
                self.add([Problem("BP016", summary, self.tree.where(path), fix=fix)])

    def validate(self, source: Source, blocked: list[Path]) -> Manifest | None:
        from pydantic import ValidationError

        from bedplate.manifest.models import Manifest

        try:
            return Manifest.model_validate(source.data)
        except ValidationError as error:
            self.add(translate(error, source, blocked))
            return None


def _literal_secrets(tree: Tree) -> list[Problem]:
    """Texts that look like secrets, wherever they stand. The text itself is never repeated."""
    found: list[Problem] = []
    for path, text in _leaves(tree.data, ()):
        kind = next((kind for kind, form in _SECRETS if isinstance(text, str) and form.search(text)), None)
        if kind:
            fix = "move it to `.env`, refer to it as {secret: name}, and revoke it if it was committed"
            found.append(Problem("BP016", f"this looks like {kind}", tree.where(path), fix=fix))
    return found


def _scrubbed(problem: Problem) -> Problem:
    """The problem without texts that look like secrets: messages end up in logs and review comments."""
    texts = [problem.summary, problem.detail, problem.fix]
    for _, form in _SECRETS:
        texts = [form.sub("…", text) for text in texts]
    return replace(problem, summary=texts[0], detail=texts[1], fix=texts[2])


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every scalar of the document with its path."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from _leaves(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from _leaves(inner, (*path, index))
        case _:
            yield path, value
