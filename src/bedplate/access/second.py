"""A second opinion on a proof, from cvc5: the question is written anew for its theories of strings and arithmetic.

`Question` is the core that any prover of access may use: texts with globs, numbers, sets of values, truth. `of_iam`
asks it whether new IAM rules permit a request that old ones do not; it shares the types of policies with the prover
of `access.iam`, and nothing else. cvc5 comes with the extra `proof`; without it there is no second opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from bedplate.access.iam.document import Rules

Opinion: TypeAlias = Literal["wider", "not wider", "unknown"]
# A term of cvc5, which has no types for Python.
Term: TypeAlias = Any


def installed() -> bool:
    """Whether cvc5 can be asked."""
    return find_spec("cvc5") is not None


@dataclass(frozen=True)
class Any1:
    """A part of a glob: any run of characters, or exactly one (`run` False); no colon if `in_field`."""

    run: bool
    in_field: bool = False


# A glob: texts as they are, and wildcards.
Parts: TypeAlias = Sequence[str | Any1]


class Question:
    """One satisfiability question. Texts, numbers and sets are made by name; what is asserted must all be so.

    `short`: look for short texts first, which finds most answers sooner and a few not at all.
    """

    def __init__(self, seconds: float, *, short: bool = True) -> None:
        cvc5 = import_module("cvc5")
        self._kinds = cvc5.Kind
        self._solver = cvc5.Solver()
        self._solver.setLogic("QF_SLIRA")
        self._solver.setOption("tlimit-per", str(max(1, int(seconds * 1000))))
        self._solver.setOption("strings-exp", "true")
        self._solver.setOption("strings-fmf", str(short).lower())
        self._made: dict[tuple[str, str], Term] = {}

    def text(self, name: str) -> Term:
        """A text that the solver chooses."""
        return self._constant(name, "text", self._solver.getStringSort)

    def number(self, name: str) -> Term:
        """A real number that the solver chooses."""
        return self._constant(name, "number", self._solver.getRealSort)

    def choice(self, name: str) -> Term:
        """True or false, as the solver chooses."""
        return self._constant(name, "choice", self._solver.getBooleanSort)

    def _constant(self, name: str, kind: str, sort: Callable[[], Term]) -> Term:
        if (name, kind) not in self._made:
            self._made[name, kind] = self._solver.mkConst(sort(), f"{name}#{kind}")
        return self._made[name, kind]

    def truth(self, value: bool) -> Term:
        """True or false."""
        return self._solver.mkBoolean(value)

    def all(self, terms: Sequence[Term]) -> Term:
        """All of them; of none: true."""
        return self._joined(self._kinds.AND, terms, True)

    def any(self, terms: Sequence[Term]) -> Term:
        """One of them; of none: false."""
        return self._joined(self._kinds.OR, terms, False)

    def _joined(self, kind: Term, terms: Sequence[Term], empty: bool) -> Term:
        terms = list(dict.fromkeys(terms))
        return self.truth(empty) if not terms else terms[0] if len(terms) == 1 else self._solver.mkTerm(kind, *terms)

    def no(self, term: Term) -> Term:
        """Not so."""
        return self._solver.mkTerm(self._kinds.NOT, term)

    def like(self, text: Term, globs: Sequence[Parts], *, folded: bool = False) -> Term:
        """One of the globs matches the whole text; letters of either case match if `folded`."""
        return self.any([self._one_like(text, glob, folded) for glob in globs])

    def _one_like(self, text: Term, glob: Parts, folded: bool) -> Term:
        if not folded and all(isinstance(part, str) for part in glob):
            return self._equal(text, self._text("".join(map(str, glob))))
        return self._solver.mkTerm(self._kinds.STRING_IN_REGEXP, text, self._glob(glob, folded))

    def same(self, one: Term, other: Term) -> Term:
        """Both are the same value."""
        return self._equal(one, other)

    def whole(self, text: Term) -> Term:
        """The text is a whole number in its shortest spelling."""
        kinds, make = self._kinds, self._solver.mkTerm
        digits = [make(kinds.REGEXP_RANGE, self._text(low), self._text("9")) for low in "01"]
        zero, minus = (make(kinds.STRING_TO_REGEXP, self._text(text)) for text in "0-")
        number = make(kinds.REGEXP_CONCAT, make(kinds.REGEXP_OPT, minus), digits[1], make(kinds.REGEXP_STAR, digits[0]))
        return make(kinds.STRING_IN_REGEXP, text, make(kinds.REGEXP_UNION, zero, number))

    def _equal(self, one: Term, other: Term) -> Term:
        return self._solver.mkTerm(self._kinds.EQUAL, one, other)

    def _text(self, value: str) -> Term:
        plain = (ch if " " <= ch <= "~" and ch != "\\" else f"\\u{{{ord(ch):x}}}" for ch in value)
        return self._solver.mkString("".join(plain), True)

    def _glob(self, parts: Parts, folded: bool) -> Term:
        made = [self._part(part, folded) for part in parts if part != ""]
        if not made:
            return self._solver.mkTerm(self._kinds.STRING_TO_REGEXP, self._text(""))
        return made[0] if len(made) == 1 else self._solver.mkTerm(self._kinds.REGEXP_CONCAT, *made)

    def _part(self, part: str | Any1, folded: bool) -> Term:
        kinds, solver = self._kinds, self._solver
        if isinstance(part, str):
            if folded:
                return self._folded(part)
            return solver.mkTerm(kinds.STRING_TO_REGEXP, self._text(part))
        one = solver.mkTerm(kinds.REGEXP_ALLCHAR)
        if part.in_field:
            colon = solver.mkTerm(kinds.STRING_TO_REGEXP, self._text(":"))
            one = solver.mkTerm(kinds.REGEXP_DIFF, one, colon)
        return solver.mkTerm(kinds.REGEXP_STAR, one) if part.run else one

    def _folded(self, text: str) -> Term:
        kinds, solver = self._kinds, self._solver
        letters = []
        for ch in text:
            cases = [c for c in dict.fromkeys((ch.lower(), ch.upper())) if len(c) == 1] or [ch]
            terms = [solver.mkTerm(kinds.STRING_TO_REGEXP, self._text(c)) for c in cases]
            letters.append(terms[0] if len(terms) == 1 else solver.mkTerm(kinds.REGEXP_UNION, *terms))
        return letters[0] if len(letters) == 1 else solver.mkTerm(kinds.REGEXP_CONCAT, *letters)

    def between(self, number: Term, low: Fraction | None, high: Fraction | None, *, strict: bool = False) -> Term:
        """From `low` to `high`, both included unless `strict`; None: no bound."""
        kinds = self._kinds
        above, below = (kinds.GT, kinds.LT) if strict else (kinds.GEQ, kinds.LEQ)
        bounds = ((above, low), (below, high))
        return self.all([self._solver.mkTerm(k, number, self._real(b)) for k, b in bounds if b is not None])

    def _real(self, value: Fraction) -> Term:
        return self._solver.mkReal(value.numerator, value.denominator)

    def possible(self, *terms: Term) -> bool | None:
        """Whether all terms can be so at once; None if cvc5 does not know in its time."""
        for term in terms:
            self._solver.assertFormula(term)
        result = self._solver.checkSat()
        return True if result.isSat() else False if result.isUnsat() else None


def of_iam(seconds: float) -> Callable[[Rules, Rules], Opinion] | None:
    """An oracle for `access.iam.prove.widens` that asks for at most `seconds`; None if cvc5 is not installed."""
    if not installed():
        return None
    from bedplate.access.iam.encode import wider

    def ask(old: Rules, new: Rules) -> Opinion:
        found = wider(Question(seconds / 2), old, new)
        if found is None:
            found = wider(Question(seconds / 2, short=False), old, new)
        return "unknown" if found is None else "wider" if found else "not wider"

    return ask


@lru_cache(maxsize=1)
def version() -> str | None:
    """The version of cvc5, None if it is not installed."""
    if not installed():
        return None
    from importlib.metadata import version as version_of

    return version_of("cvc5")
