"""Words of the manifest: the verbs of scopes, and near misses, the word that somebody most likely meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

HTTP_VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
SQL_VERBS = ("read", "insert", "update", "delete")
FILE_VERBS = ("read",)
S3_VERBS = ("list", "read", "write", "delete")
DYNAMODB_VERBS = ("get", "query", "put", "update", "delete")
DATA_VERBS = tuple(dict.fromkeys((*FILE_VERBS, *S3_VERBS, *DYNAMODB_VERBS)))
VERBS = tuple(dict.fromkeys(("call", *HTTP_VERBS, *SQL_VERBS, *DATA_VERBS)))
"""Every verb that some scope may use."""
TOOL_TYPES = ("search", "python", "mcp", "http", "sql")
DATA_TYPES = ("files", "postgres", "s3", "dynamodb")


def one_verb(verbs: Iterable[str]) -> str:
    """The way to mend a scope whose verbs are not one."""
    return f"write exactly one of {', '.join(verbs)} in each scope; use several scopes for several verbs"


def suggest(given: str, known: Iterable[str]) -> str | None:
    """The known word that `given` most likely means: another case or separator first, then near misses."""
    known = list(known)
    flat = {_flat(word): word for word in known}
    if _flat(given) in flat:
        return flat[_flat(given)]
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    return close[0] if close else None


def _flat(word: str) -> str:
    return re.sub(r"[-_.\s]", "", word).lower()


def did_you_mean(given: str, known: Iterable[str], otherwise: str = "") -> str:
    """The question with the likeliest word, else the list of known words, else `otherwise`."""
    words = list(known)
    meant = suggest(given, words)
    if meant:
        return f"did you mean `{meant}`?"
    return f"there are {', '.join(words)}" if words else otherwise
