"""Every set of unions of globs that some text is in, with a text for each. Exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bedplate.access.iam.texts import MOST_STATES, RUN, Machine, OutOfTime, Spent, Text, Union


class Classes(Machine):
    """The automaton of all unions; a union that no further character can undo is one bit."""

    def __init__(self, unions: Sequence[Union]) -> None:
        self._ends: list[int] = []
        super().__init__(unions, ())
        for region, union in zip(self._regions, unions, strict=True):
            self._ends.append(_for_good(region, union))

    def all(self, spent: Spent) -> Iterator[tuple[int, Text]]:
        """Bit i: in union i. Texts with a character that no glob names come first. Raises OutOfTime."""
        came = {self._start: (self._start, "")}
        found: dict[int, Text] = {}
        plain: dict[int, bool] = {}
        level = [self._start]
        while level:
            following: list[int] = []
            for state in level:
                text = self._spelled(came, state)
                mask = sum(1 << i for i, accept in enumerate(self._accepts) if state & accept)
                if mask not in found or (plain[mask] and self._other in text):
                    found[mask], plain[mask] = text, self._other not in text
                for ch in [self._other, *sorted(set(self._named(state)))]:
                    reached = self._step(state, ch)
                    if reached not in came:
                        came[reached] = (state, ch)
                        following.append(reached)
                if len(came) > MOST_STATES or spent():
                    raise OutOfTime
            level = following
        return iter(found.items())

    def _closed(self, state: int) -> int:
        state = super()._closed(state)
        for i, end in enumerate(self._ends):
            if settled := state & end:
                run = settled & -settled
                state = (state & ~self._regions[i]) | run | run << 1
        return state


def _for_good(region: int, union: Union) -> int:
    """The places in front of a run that ends a glob: from there every text is in the union."""
    made, at = 0, (region & -region).bit_length() - 1
    for glob in union:
        if glob and glob[-1] == RUN:
            made |= 1 << (at + len(glob) - 1)
        at += len(glob) + 1
    return made
