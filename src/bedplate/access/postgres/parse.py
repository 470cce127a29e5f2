"""Boolean SQL expressions as PostgreSQL prints them, read into a tree: the part of its grammar that `expressions` uses.

Source of the forms: `pg_get_expr` of PostgreSQL 15 to 18. Anything else is refused with its place, never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    name: str


@dataclass(frozen=True)
class Value:
    """A literal: its text, and whether it was a bare number, a quoted text or a word (true, false)."""

    text: str
    form: str


@dataclass(frozen=True)
class Cast:
    """`of::type`."""

    of: Node
    type: str


@dataclass(frozen=True)
class Call:
    """A function, with its schema where it is printed, and its arguments. `once`: inside a `(SELECT …)`."""

    name: tuple[str, ...]
    arguments: tuple[Node, ...]
    once: bool = False


@dataclass(frozen=True)
class Array:
    """`ARRAY[…]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Compare:
    """`left op right`; with `any`, right is an array of which one element must compare."""

    left: Node
    op: str
    right: Node
    any: bool = False


@dataclass(frozen=True)
class IsNull:
    """`of IS NULL`, or IS NOT NULL."""

    of: Node
    negated: bool


@dataclass(frozen=True)
class All:
    """A conjunction or (`any`) a disjunction."""

    parts: tuple[Node, ...]
    any: bool = False


Node: TypeAlias = Column | Value | Cast | Call | Array | Compare | IsNull | All

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>E?'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*")|(?P<number>\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)|(?P<op>::|<<=|>=|<=|~~|<>|[()\[\],.=<>]))""",
    re.VERBOSE,
)
_OPERATORS: Final = frozenset({"=", ">=", "<=", ">", "<", "~~"})


class Unread(ValueError):
    """An expression of another shape than those that are emitted. The message says where."""


def parse(text: str) -> Node:
    """The tree of one expression. Raises `Unread`."""
    reader = _Reader(text)
    node = reader.either()
    reader.end()
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.tokens = self._tokens()

    def _tokens(self) -> list[tuple[str, str, int]]:
        found: list[tuple[str, str, int]] = []
        at = 0
        while self.text[at:].strip():
            match = _TOKEN.match(self.text, at)
            if match is None or match.lastgroup is None:
                raise Unread(f"character {at + 1} of `{self.text}`")
            found.append((match.lastgroup, match[match.lastgroup], at))
            at = match.end()
        return found

    def peek(self, *words: str) -> bool:
        """Whether the next tokens are these words or signs; quoted names and texts are none."""
        ahead = self.tokens[self.at : self.at + len(words)]
        return len(ahead) == len(words) and all(
            kind in {"word", "op"} and text == word for (kind, text, _), word in zip(ahead, words, strict=True)
        )

    def take(self, *words: str) -> bool:
        if found := self.peek(*words):
            self.at += len(words)
        return found

    def need(self, word: str) -> None:
        if not self.take(word):
            self.fail()

    def next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            self.fail()
        kind, text, _ = self.tokens[self.at]
        self.at += 1
        return kind, text

    def fail(self) -> None:
        at = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)
        raise Unread(f"character {at + 1} of `{self.text}`")

    def end(self) -> None:
        if self.at != len(self.tokens):
            self.fail()

    def either(self) -> Node:
        return self._joined("OR", self.both, any=True)

    def both(self) -> Node:
        return self._joined("AND", self.comparison, any=False)

    def _joined(self, word: str, part: Callable[[], Node], *, any: bool) -> Node:
        parts = [part()]
        while self.take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else All(tuple(parts), any)

    def comparison(self) -> Node:
        left = self.operand()
        if self.take("IS", "NOT", "NULL"):
            return IsNull(left, negated=True)
        if self.take("IS", "NULL"):
            return IsNull(left, negated=False)
        op = next((op for op in _OPERATORS if self.peek(op)), None)
        if op is None:
            return left
        self.need(op)
        if not self.take("ANY", "("):
            return Compare(left, op, self.operand())
        right = self.operand()
        self.need(")")
        return Compare(left, op, right, any=True)

    def operand(self) -> Node:
        node = self.primary()
        while self.take("::"):
            node = Cast(node, self.type_name())
        return node

    def type_name(self) -> str:
        words = [self.name()]
        while words[0] in {"timestamp", "character", "double"} and self.tokens[self.at : self.at + 1]:
            kind, text, _ = self.tokens[self.at]
            if kind != "word" or text not in {"with", "without", "time", "zone", "varying", "precision"}:
                break
            words.append(self.name())
        suffix = ""
        while self.take("[", "]"):
            suffix += "[]"
        return " ".join(words) + suffix

    def name(self) -> str:
        kind, text = self.next()
        if kind == "word":
            return text
        if kind != "quoted":
            self.at -= 1
            self.fail()
        return text[1:-1].replace('""', '"')

    def primary(self) -> Node:
        if self.take("(", "SELECT"):
            return self._once()
        if self.take("("):
            node = self.either()
            self.need(")")
            return node
        if self.take("ARRAY", "["):
            return Array(self._list("]"))
        kind, text = self.next()
        if kind in {"text", "number"}:
            return Value(_unquoted(text), kind)
        self.at -= 1
        if self.take("true") or self.take("false"):
            return Value(text, "word")
        return self._named()

    def _named(self) -> Node:
        names = [self.name()]
        while self.take("."):
            names.append(self.name())
        if self.take("("):
            return Call(tuple(names), self._list(")"))
        if len(names) > 1:
            self.fail()
        return Column(names[0])

    def _list(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self.take(closing):
            if items:
                self.need(",")
            items.append(self.either())
        return tuple(items)

    def _once(self) -> Node:
        """`( SELECT schema.f(…) AS f)`."""
        call = self._named()
        if not isinstance(call, Call):
            self.fail()
        assert isinstance(call, Call)
        if self.take("AS"):
            self.name()
        self.need(")")
        return Call(call.name, call.arguments, once=True)


def _unquoted(text: str) -> str:
    if text.startswith("E'"):
        return re.sub(r"\\(.)", r"\1", text[2:-1].replace("''", "'"))
    return text[1:-1].replace("''", "'") if text.startswith("'") else text
