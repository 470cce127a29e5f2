"""What a prover says about two sets of rules: the same, narrower, wider with a request that shows it, or unproved.

`assumed` holds what an answer takes for granted, one sentence each, to be shown with it.
"""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

W = TypeVar("W", covariant=True)


@dataclass(frozen=True)
class Same:
    """Both sides decide every request alike."""

    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Narrower:
    """The new side permits nothing that the old one refuses, and refuses something that the old one permits."""

    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wider(Generic[W]):
    """The new side permits `witness`, which the old one does not; it may refuse other things."""

    witness: W
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unproved:
    """No answer, and why: a time limit, a thing that has no known meaning, or two judges who disagree."""

    reason: str


Answer: TypeAlias = Same | Narrower | Wider[W] | Unproved
