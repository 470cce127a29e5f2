"""Long-term memory: facts about one user. Goes in: text. Comes out: facts. It decides no access.

Deterministic throughout: SQLite FTS5 with a Porter stemmer, a short table of what people call the same thing, and
recency. No model takes part, so the same store and question always give the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from secrets import token_hex

from bedplate.problems import BedplateError, Problem
from bedplate.store.database import Row
from bedplate.store.facts import facts_in, subject_of
from bedplate.store.model import Fact
from bedplate.store.store import Store

MAX_FACT = 500
"""Characters. A longer fact is cut at a word and ends in an ellipsis."""

_COMMON = """
a about am an and any anything are as at be been by can could did do does for from had has have how i i'm in is it
its know let like me mine my of on or our please remember said say should so tell that the their them there they
this to told us was we were what what's when where which who whom whose why will with would you your
"""
_STOP = frozenset(_COMMON.split())
# What a question says -> what a statement says. Stemming does the rest.
_SAME = {
    "name": ("called", "call"),
    "called": ("name",),
    "call": ("name",),
    "live": ("based", "home", "city", "moved", "from", "address", "reside"),
    "based": ("live",),
    "home": ("live", "address"),
    "city": ("live", "based"),
    "address": ("live",),
    "work": ("job", "employed", "employer", "engineer", "company"),
    "job": ("work", "employed"),
    "employer": ("work", "employed"),
    "company": ("work", "employer"),
    "favourite": ("favorite", "prefer", "like", "love"),
    "favorite": ("favourite", "prefer", "like", "love"),
    "prefer": ("like", "love", "favourite", "favorite", "rather"),
    "old": ("age", "years", "born"),
    "age": ("old", "years", "born"),
    "allergy": ("allergic",),
    "allergies": ("allergic",),
    "diet": ("eat", "vegetarian", "vegan", "allergic"),
    "birthday": ("born",),
    "mail": ("email",),
    "phone": ("number", "mobile"),
}
_WHO = re.compile(r"\bwho (?:am i|i am)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# Words that carry a question about the asker although they are too common to count elsewhere.
_ASKED = {"like": "like", "need": "need", "use": "use", "from": "from"}


def recall(store: Store, agent: str, user: str, query: str, limit: int = 5) -> list[Fact]:
    """What is known of the user that bears on `query`, best first; newer facts win among equals.

    A question that names nothing ("what do you know about me?") gets the most recent facts; one that names something
    unknown gets none.
    """
    words = _words(query)
    if not words:
        return _latest(store, agent, user, limit)
    rows = store.db.rows(
        "SELECT f.* FROM facts_words JOIN facts f ON f.seq = facts_words.rowid"
        " WHERE facts_words MATCH ? AND f.agent = ? AND f.user = ? AND f.expires > ?"
        " ORDER BY round(bm25(facts_words), 1), f.created DESC, f.seq DESC LIMIT ?",
        (" OR ".join(f'"{w}"' for w in words), agent, user, store.clock(), limit),
    )
    return [_fact(row) for row in rows]


def remember(
    store: Store, agent: str, user: str, text: str, source_turn: str, retention: int, redact: Sequence[str] = (),
    secrets: Sequence[str] = (),
) -> Fact:  # fmt: skip
    """Keep a fact for `retention` seconds; returns it as stored.

    Masked first: what looks like a key or password and the exact `secrets` always, personal data as `redact` says
    (email, phone, card). The same words again only renew it; a new statement on a subject that has one answer ("My
    name is …", "I live in …") replaces the old one. Raises BP469 for a text without words.
    """
    kept = _cut(_masked(" ".join(text.split()), redact, secrets))
    normal = _normal(kept)
    if not normal:
        raise BedplateError(_empty())
    subject, now = subject_of(kept), store.clock()
    with store.transaction():
        same = "agent = ? AND user = ? AND (normal = ? OR (subject IS NOT NULL AND subject = ?))"
        store.db.run(f"DELETE FROM facts WHERE {same}", (agent, user, normal, subject))
        fact = Fact(token_hex(8), kept, now, source_turn)
        store.db.run(
            "INSERT INTO facts (id, agent, user, text, subject, normal, created, expires, source_turn)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (fact.id, agent, user, kept, subject, normal, now, now + retention, source_turn),
        )
    return fact


def _latest(store: Store, agent: str, user: str, limit: int) -> list[Fact]:
    rows = store.db.rows(
        "SELECT * FROM facts WHERE agent = ? AND user = ? AND expires > ? ORDER BY created DESC, seq DESC LIMIT ?",
        (agent, user, store.clock(), limit),
    )
    return [_fact(row) for row in rows]


def _words(query: str) -> list[str]:
    said = [word.lower() for word in _WORD.findall(query.replace("’", "'")[:2000])]
    wanted = [w.removesuffix("'s") for w in said if w not in _STOP]
    if _WHO.search(query):
        wanted.append("name")
    if not wanted and not re.search(r"\babout\b", query, re.IGNORECASE):
        wanted = [w for w in said if w in _ASKED]
    expanded = [w for word in wanted for w in (word, *_SAME.get(word, ()))]
    return list(dict.fromkeys(expanded))[:64]


def _masked(text: str, redact: Sequence[str], secrets: Sequence[str]) -> str:
    from bedplate.traces.redact import Redactor, mask

    return mask(Redactor("full", secrets).text(text), redact)


def _cut(text: str) -> str:
    if len(text) <= MAX_FACT:
        return text
    return text[: MAX_FACT - 1].rsplit(" ", 1)[0] + "…"


def _normal(text: str) -> str:
    return " ".join(_WORD.findall(text.replace("’", "'").lower()))


def _fact(row: Row) -> Fact:
    return Fact(row["id"], row["text"], row["created"], row["source_turn"])


def _empty() -> Problem:
    return Problem("BP469", "there is nothing to remember in this text", fix="Say the fact in words, in one sentence.")


__all__ = ["MAX_FACT", "facts_in", "recall", "remember"]
