"""`load`: agent.yaml to a checked `Manifest`; `examine`: the same with its problems, to be checked further.

Goes in: a path or text. Comes out: `LoadedManifest`: the base manifest, and each stage's with its overlay merged. It
reads one file and nothing else; what the manifest refers to is checked by `bedplate.blueprint`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from bedplate.manifest import planned
from bedplate.manifest.errors import dotted, translate
from bedplate.manifest.literals import leaves, literal_secrets, scrubbed, secrets_in_queries
from bedplate.manifest.mend import Gaps, mended
from bedplate.manifest.overlay import Source, merged
from bedplate.manifest.project import MANIFEST_NAME, missing
from bedplate.manifest.yamltree import MAX_BYTES, Path, Tree, read
from bedplate.problems import BedplateError, Problem, Where

if TYPE_CHECKING:
    from bedplate.manifest.models import Manifest


@dataclass(frozen=True)
class StageManifest:
    """One stage: the manifest with the stage's overlay merged in, and where its parts were written."""

    name: str
    manifest: Manifest
    source: Source
    overlaid: bool
    promoted_from: str | None = None

    def without(self, paths: Iterable[Path]) -> StageManifest:
        """The stage without these parts and what cannot stand without them."""
        cut = frozenset(self.source.written(path) for path in paths)
        if not cut:
            return self
        manifest, source, _ = mended(self.source, Gaps(cut))
        return replace(self, manifest=manifest, source=source)


@dataclass(frozen=True)
class LoadedManifest:
    """A manifest. `document` is the plain data, `text` the file as it was.

    With `problems` (of form) its parts at fault are left out: good for finding more problems, and for nothing else.
    """

    manifest: Manifest
    source: Source
    stages: Mapping[str, StageManifest]
    text: str
    file: str
    project: FilePath
    problems: tuple[Problem, ...] = ()

    @property
    def document(self) -> Mapping[str, Any]:
        """The manifest as plain data: what the digests cover."""
        document: Mapping[str, Any] = self.source.data
        return document

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Every key of `stages`, also of a stage that is at fault."""
        written = self.source.tree.data.get("stages")
        return tuple(written) if isinstance(written, dict) else ()

    @cached_property
    def lines(self) -> Mapping[str, Where]:
        """The place of every value by dotted path; things in a list by their name, else their index."""
        return {
            name_path(path, self.source.tree.data): where for path, where in self.source.tree.values.items() if path
        }


def name_path(path: Path, data: Any) -> str:
    """`("tools", 0, "use")` as `tools.docs.use`: items that have a name by it, others by their index."""
    parts: list[str] = []
    for part in path:
        data = data[part]
        named = isinstance(part, int) and isinstance(data, Mapping) and isinstance(data.get("name"), str)
        parts.append(data["name"] if named else str(part))
    return ".".join(parts)


def load(path: FilePath) -> LoadedManifest:
    """Read a manifest that is right in itself. Raises BedplateError with every problem of form (BP0xx)."""
    return _sound(examine(path))


def parse(text: str, filename: str, project: FilePath) -> LoadedManifest:
    """Check a manifest's text. Raises BedplateError with every problem of form (BP0xx)."""
    return _sound(_examined(text, filename, project))


def _sound(loaded: LoadedManifest) -> LoadedManifest:
    if loaded.problems:
        raise BedplateError(*loaded.problems)
    return loaded


def examine(path: FilePath) -> LoadedManifest:
    """Read a manifest with its problems of form, so that the rest can be checked in the same run (`blueprint.drafts`).

    A folder means its agent.yaml. Raises BedplateError where there is nothing to check further (BP0xx).
    """
    return _examined(*_read(path))


def _read(path: FilePath) -> tuple[str, str, FilePath]:
    """The text, the file's name and the project's folder. Raises BedplateError (BP001, BP008, BP009)."""
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
    return text, path.name, path.parent.resolve()


def _examined(text: str, filename: str, project: FilePath) -> LoadedManifest:
    tree = read(text, filename)
    if not isinstance(tree.data, dict):
        from bedplate.manifest.fields import kind_of

        summary = f"{filename} must be a mapping of sections, not {kind_of(tree.data)}"
        fix = "start one with `bedplate init`"
        raise BedplateError(*tree.problems, Problem("BP010", summary, Where(filename, 1, 1), fix=fix))
    checks = _Checks(tree)
    base, source = checks.base()
    stages = checks.stages(base, source)
    problems = in_order(checks.problems)
    return LoadedManifest(base, source, stages, text, filename, project.resolve(), problems)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each problem once, by file, line and column, without texts that look like secrets."""
    unique = {(p.code, p.where, p.summary): p for p in map(scrubbed, problems)}
    nowhere = Where("")
    return tuple(sorted(unique.values(), key=lambda p: astuple(p.where or nowhere)))


class _Checks:
    """Collects the problems of the base and of every stage."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.problems = list(tree.problems)
        self.blocked = set(tree.unread)
        self.gaps = Gaps(absent=tree.doubled)
        for found, useless in (
            (self._nothing_written(), True),
            (self._fixed_sections(), True),
            (secrets_in_queries(tree), True),
            (literal_secrets(tree), False),
        ):
            self._leave_out(found, useless)

    def _leave_out(self, found: Iterable[tuple[Path, Problem]], useless: bool) -> None:
        """Report, and check the rest without these values; `useless`: nothing else is said of them either."""
        for path, problem in found:
            self.problems.append(problem)
            self.gaps = Gaps(self.gaps.cut | {path}, self.gaps.absent)
            if useless:
                self.blocked.add(path)

    def base(self) -> tuple[Manifest, Source]:
        manifest, source, gaps = self._settled(Source(self.tree, self.tree.data), self.blocked, self.gaps)
        self.gaps = Gaps(self.gaps.cut, gaps.absent)
        return manifest, source

    def stages(self, base: Manifest, whole: Source) -> Mapping[str, StageManifest]:
        """Each stage's manifest, in the order written; without stages there is one, `prototype`."""
        from bedplate.manifest.models import OVERLAID

        written = self.tree.data.get("stages")
        overlays = written if isinstance(written, dict) and ("stages",) not in self.tree.unread else {}
        vague = {lost[0] for lost in whole.lost if lost[1:] in ((), (-1,))}
        result: dict[str, StageManifest] = {}
        for name, overlay in overlays.items():
            if not isinstance(overlay, dict) or ("stages", name) in self.tree.unread:
                continue  # said when the base was validated
            blocked, gaps = self._of_stage(source := merged(self.tree, name, OVERLAID), name)
            manifest, source, _ = self._settled(source, blocked, gaps, vague)
            overlaid = bool(set(overlay) & set(OVERLAID))
            result[name] = StageManifest(name, manifest, source, overlaid, _origin(overlay))
        return result or {"prototype": StageManifest("prototype", base, whole, overlaid=False)}

    def _of_stage(self, source: Source, name: str) -> tuple[set[Path], Gaps]:
        """What the file's tree tells of the overlay: an unread or doubtful part of a section spoils the section."""
        unread = {path[2:3] for path in self.tree.unread if path[:2] == ("stages", name)}
        blocked = self.blocked | {source.written(section) for section in unread}
        doubtful = {path[2:3] for path in self.gaps.absent if path[:2] == ("stages", name) and len(path) > 2}
        return blocked, Gaps(self.gaps.cut, self.gaps.absent | doubtful)

    def _settled(
        self, source: Source, blocked: set[Path], gaps: Gaps, vague: Collection[str | int] = ()
    ) -> tuple[Manifest, Source, Gaps]:
        """The manifest without what is wrong, and what that is; every problem is kept.

        `vague` sections are those of which the base lacks parts: an overlay says less than the whole, so that nothing
        can be told to be missing there.
        """
        from pydantic import ValidationError

        from bedplate.manifest.models import Manifest

        found, at = planned.find(source.data, source.where)
        self.problems += found
        blocked = blocked | {source.written(path) for path in at}
        gaps = Gaps(gaps.cut | blocked, gaps.absent)
        try:
            manifest = Manifest.model_validate(source.data)
        except ValidationError as error:
            self.problems += translate(error, source, blocked, vague)
            gaps = gaps.widened(error, source)
        else:
            if not gaps:
                return manifest, source, gaps
        manifest, source, found_later = mended(source, gaps, blocked)
        self.problems += found_later
        return manifest, source, gaps

    def _fixed_sections(self) -> Iterator[tuple[Path, Problem]]:
        """Overlays leave alone what is the same in every stage."""
        from bedplate.manifest.models import FIXED

        for path in self.tree.keys:
            if len(path) == 3 and path[0] == "stages" and path[2] in FIXED:
                fix = "remove it here; it is the same in every stage"
                summary = f"stage `{path[1]}` may not change `{path[2]}`"
                yield path, Problem("BP112", summary, self.tree.where(path, key=True), fix=fix)

    def _nothing_written(self) -> Iterator[tuple[Path, Problem]]:
        """A key without a value says nothing; only in an overlay it means something: remove."""
        for path, value in leaves(self.tree.data, ()):
            if value is None and path and path[0] != "stages":
                fix = "write a value after the colon ({} for a section with its defaults), or remove the key"
                yield path, Problem("BP010", f"`{dotted(path)}` has no value", self.tree.where(path), fix=fix)


def _origin(overlay: Mapping[str, Any]) -> str | None:
    """The stage that `from` names, if it is a name at all; else the base's validation says so."""
    from bedplate.manifest.fields import SLUG

    origin = overlay.get("from")
    return origin if isinstance(origin, str) and re.fullmatch(SLUG, origin) else None
