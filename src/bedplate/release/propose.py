"""Propose eval cases from the documents that the manifest declares, into a file that a person reviews."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.blueprint.model import DataSource
from bedplate.release.target import Target

if TYPE_CHECKING:
    from bedplate.evals.generate import Candidate
    from bedplate.search import Hit, SearchIndex


def propose_cases(target: Target, out: Path, *, limit: int) -> dict[str, Any]:
    """Write at most `limit` candidates to `out`; how many, and of how many search finds the source.

    Reads the documents themselves, so nothing has to be up. Raises BedplateError where `out` exists already or nothing
    could be proposed.
    """
    from bedplate.evals.generate import check_retrieval, propose, write_candidates
    from bedplate.search import SearchIndex, build_index

    candidates: list[Candidate] = []
    with tempfile.TemporaryDirectory() as folder:
        for source in target.blueprint.data:
            path = Path(folder) / f"{source.name}.db"
            paths = _below_root(source, Path(target.blueprint.project))
            build_index(Path(source.root), [_Named(name) for name in paths], path)
            index = SearchIndex(path)
            passages = [hit for name in paths for hit in index.open(name)]
            found = propose(passages, limit=limit - len(candidates))
            candidates += check_retrieval(found, partial(_search, index))
            index.close()
    write_candidates(out, candidates, file=str(out))
    retrieved = sum(bool(c.retrieved) for c in candidates)
    return {"file": str(out), "cases": len(candidates), "retrieved": retrieved}


def _search(index: SearchIndex, query: str, limit: int) -> Sequence[Hit]:
    return index.search(query, limit, lambda _: True)


@dataclass(frozen=True)
class _Named:
    path: str


def _below_root(source: DataSource, project: Path) -> list[str]:
    """Paths of the source's files below its root, as they stand in the index; the blueprint's are the project's."""
    root = Path(source.root)
    return [(project / file.path).relative_to(root).as_posix() for file in source.files]
