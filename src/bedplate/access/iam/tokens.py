"""Patterns of policies as globs of `texts`. A policy variable is one unknown character, always the same one."""

from __future__ import annotations

from functools import lru_cache

from bedplate.access.iam.document import Pattern, Variable, Wild
from bedplate.access.iam.texts import FOLDED, ONE, ONE_IN_FIELD, RUN, RUN_IN_FIELD, TOKEN, Glob, Text

ARN: Glob = (*"arn:", RUN_IN_FIELD, ":", RUN_IN_FIELD, ":", RUN_IN_FIELD, ":", RUN_IN_FIELD, ":", RUN)


@lru_cache(maxsize=65536)
def glob(pattern: Pattern, *, folded: bool = False, fields: bool = False) -> Glob:
    """The glob of a pattern; letters of either case if `folded`; by the fields of an ARN if `fields`."""
    tokens: list[str] = []
    for part in pattern.parts:
        in_field = fields and tokens.count(":") < 5
        match part:
            case Wild.RUN:
                tokens.append(RUN_IN_FIELD if in_field else RUN)
            case Wild.ONE:
                tokens.append(ONE_IN_FIELD if in_field else ONE)
            case Variable():
                tokens.append(token(part))
            case str():
                tokens += [_letter(ch) for ch in part] if folded else part
    return tuple(tokens)


def _letter(ch: str) -> str:
    return FOLDED + ch.lower() if ch.lower() != ch.upper() and len(ch.lower()) == len(ch.upper()) == 1 else ch


@lru_cache(maxsize=1024)
def token(variable: Variable) -> str:
    """The token of a policy variable: its key, and its default if it has one."""
    return TOKEN + variable.key + ("" if variable.default is None else f",{variable.default}")


def variable_of(token_: str) -> Variable:
    """The variable that a token stands for."""
    key, comma, default = token_.removeprefix(TOKEN).partition(",")
    return Variable(key, default if comma else None)


def is_variable(token_: str) -> bool:
    """Whether a place in a text is a policy variable."""
    return len(token_) > 1 and token_[0] == TOKEN


def plain(text: Text) -> bool:
    """Whether a text holds no policy variable."""
    return all(len(ch) == 1 for ch in text)


def letters(text: str) -> Text:
    """A text without variables."""
    return tuple(text)
