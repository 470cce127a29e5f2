"""Words: what of a question is searched for, and the stems that index and query share."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

TOKENIZER = "porter unicode61 remove_diacritics 2"
# English words that carry no topic, question words among them. Short words that are topics in manuals
# (`up`, `if`, `for`, `in`) matter only where code is meant; as plain words of a question they do not.
_STOP_WORDS = """
a about actually after again all also am an and any anyone anything are as at be because been before being best both
but by can cannot could did do does doing done each else ever every exactly exist exists explain find for from get
gets getting give gives go going good got had happen happens has have having he help her here him his how i if in into
is isn it its just know let like look lot make makes many may me mean means might more most much must my no not now of
off on once one only or other our out over own please possible really same say see shall she should show so some
something still such sure take taken takes tell than that the their them then there these they thing things this those
through to too try under until up us use used uses using very via want wants was way ways we well were what whats when
where whether which while who whom whose why will with won without work works would yes yet you your s t d ll m re ve
don doesn didn isnt aren couldn shouldn wasn weren wouldn
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
_HOW = re.compile(r"\bhow\s+(?:long|often|far|old|big|large|much|many)\b", re.IGNORECASE)
_TOKEN = re.compile(r"\w+(?:[._/:\-]+\w+)*", re.UNICODE)
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
MAX_TOKENS = 40
_DEFINITION = re.compile(
    r"what(?:'s|\s+(?:is|are|does))\s+(?:an?\s+|the\s+)?"
    r"(?:(?P<does>[\w .-]{1,60}?)\s+(?:do|mean)|(?P<is>[\w .-]{1,60}?))\s*\??",
    re.IGNORECASE,
)
# Words that manuals and the people who ask use for one another. A related word counts for less than the word itself.
_SYNONYMS = """
remove delete destroy erase forget clear
start run launch begin
stop end quit shutdown
choose select pick set configure change
folder directory
dollar dollars money cost price
error problem failure
show display print list view
install setup
e-mail email mail
teach learn
limit bound maximum max
permission permissions scope scopes right rights
password secret secrets credential credentials key
log logs
conversation chat talk
"""
_GROUPS = [line.split() for line in _SYNONYMS.strip().splitlines()]
_RELATED = {word: tuple(other for other in group if other != word) for group in _GROUPS for word in group}


@dataclass(frozen=True)
class Token:
    """One word of a query: the ways in which it is looked for (`FileNotFound`, `File Not Found`), and related words."""

    text: str
    forms: tuple[str, ...]
    related: tuple[str, ...] = ()

    @property
    def expression(self) -> str:
        """The token in FTS5's query language; quoted, so that no character of it is syntax."""
        quoted = [f'"{form}"' for form in (*self.forms, *self.related)]
        return quoted[0] if len(quoted) == 1 else f"({' OR '.join(quoted)})"


def tokens_of(query: str) -> list[Token]:
    """The words of `query` that say what it is about; all of them where nothing else is left. At most 40."""
    text = _HOW.sub(" ", query.replace("\0", " ").replace("’", "'"))
    words = list(dict.fromkeys(_TOKEN.findall(text) or _TOKEN.findall(query)))
    topical = [w for w in words if w.lower() not in STOP_WORDS and (len(w) > 1 or not w.islower())]
    return [Token(w, (w, *_split(w)), _RELATED.get(w.lower(), ())) for w in (topical or words)[:MAX_TOKENS]]


def defined_in(query: str) -> str:
    """What a question asks the meaning of (`scope` of "What is a scope?"), empty for any other question."""
    match = _DEFINITION.fullmatch(query.strip())
    return (match["is"] or match["does"] or "") if match else ""


def phrase_of(query: str) -> str:
    """The whole of `query` as one FTS5 phrase, stop words included; empty where it has no word."""
    words = _TOKEN.findall(query.replace("\0", " "))[:MAX_TOKENS]
    return f'"{" ".join(words)}"' if words else ""


def parts_of(text: str) -> str:
    """The words inside the compound names of `text`: `Runtime Error` for every `RuntimeError`."""
    return " ".join(" ".join(split) for word in _COMPOUND.findall(text) if (split := _split(word)))


_COMPOUND = re.compile(r"\b\w*[a-z][A-Z]\w*\b")


def _split(word: str) -> tuple[str, ...]:
    if not re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]", word):
        return ()
    parts = _CAMEL.findall(word)
    return (" ".join(parts),) if len(parts) > 1 else ()


class Stemmer:
    """The tokenizer of the index applied to any text, by SQLite itself so that the two cannot differ."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute(f"CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='{TOKENIZER}')")
        self._db.execute("CREATE VIRTUAL TABLE stems USING fts5vocab(texts, instance)")

    def stems(self, texts: list[str]) -> list[list[str]]:
        """The stems of each text in order. Not safe to call from two threads at once."""
        found: list[list[tuple[int, str]]] = [[] for _ in texts]
        self._db.execute("BEGIN")
        try:
            self._db.executemany("INSERT INTO texts(rowid, text) VALUES (?, ?)", list(enumerate(texts)))
            for document, offset, term in self._db.execute("SELECT doc, offset, term FROM stems"):
                found[document].append((offset, term))
        finally:
            self._db.execute("ROLLBACK")
        return [[term for _, term in sorted(terms)] for terms in found]

    def close(self) -> None:
        """Release the memory."""
        self._db.close()
