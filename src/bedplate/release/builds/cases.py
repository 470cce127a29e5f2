"""What a change does to the cases that an eval asks. Reads the datasets of suites whose file differs, and no other.

Goes in: two sides. Comes out: for each eval of both whose dataset differs a `CaseChange`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from posixpath import normpath
from typing import TYPE_CHECKING, Any

from bedplate.blueprint.model import FileRef
from bedplate.problems import BedplateError
from bedplate.release.builds.compare import Side

if TYPE_CHECKING:
    from bedplate.evals.model import Case

Cases = Mapping[str, "Case"]


@dataclass(frozen=True)
class CaseChange:
    """`before` and `after` are numbers of cases, None where the dataset cannot be read.

    `gone` and `ungraded` name cases that are no longer asked and those that lost graders; `new` and `changed` count.
    """

    before: int | None
    after: int | None
    gone: tuple[str, ...] = ()
    ungraded: tuple[str, ...] = ()
    new: int = 0
    changed: int = 0

    @property
    def words(self) -> str:
        """`50 → 1 cases`, and what moved where the number does not tell it."""
        counts = ((self.new, "new"), (len(self.gone), "gone"), (self.changed, "changed"))
        moved = [f"{n} {word}" for n, word in counts if n]
        before, after = ("unreadable" if n is None else str(n) for n in (self.before, self.after))
        return ", ".join([f"{before} → {after} case{'' if after == '1' else 's'}", *moved])


def case_changes(old: Side, new: Side) -> dict[str, CaseChange]:
    """By eval, what happened to its cases. An eval that is new or gone is a field of the manifest."""
    before, after = dict(_datasets(old)), dict(_datasets(new))
    return {
        name: _change(_cases(old, before[name]), _cases(new, ref))
        for name, ref in after.items()
        if name in before and before[name].sha256 != ref.sha256
    }


def _datasets(side: Side) -> Iterator[tuple[str, FileRef]]:
    for suite in side.document.get("evals") or ():
        ref = side.files.get(normpath(str(suite.get("dataset", ""))))
        if ref is not None:
            yield str(suite.get("name", "")), ref


def _cases(side: Side, ref: FileRef) -> Cases | None:
    from bedplate.evals.dataset import parse_dataset

    try:
        text = side.read(ref).decode("utf-8-sig")
        return {case.name: case for case in parse_dataset(text, ref.path, proposed="allow").cases}
    except (BedplateError, UnicodeDecodeError):
        return None  # said in words: the older side may be of another version of the format


def _change(old: Cases | None, new: Cases | None) -> CaseChange:
    if old is None or new is None:
        return CaseChange(len(old) if old else None, len(new) if new else None)
    both = [(old[name], new[name]) for name in old if name in new]
    return CaseChange(
        before=len(old),
        after=len(new),
        gone=tuple(name for name in old if name not in new),
        ungraded=tuple(was.name for was, now in both if _kinds(was) - _kinds(now)),
        new=sum(name not in old for name in new),
        changed=sum(was.digest != now.digest for was, now in both),
    )


def _kinds(case: Case) -> Counter[Any]:
    return Counter(type(evaluator) for evaluator in case.evaluators)
