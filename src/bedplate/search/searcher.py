"""`SearchIndex`: questions to an index file. Read-only, safe from several threads, never raises on odd query text."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from bedplate.problems import BedplateError, Problem
from bedplate.search.index import FORMAT
from bedplate.search.model import Hit
from bedplate.search.ranking import Candidate, Ranked, Term, diverse, rank, weight
from bedplate.search.sections import SEPARATOR
from bedplate.search.words import Stemmer, Token, defined_in, parts_of, phrase_of, tokens_of

_COLUMNS = "bm25(words, 1.0, 3.0, 1.0, 0.5)"  # title, heading, body, parts of compound names
_CANDIDATES = 40
_MAX_QUERY = 2000  # characters
_Row = tuple[int, int, float, str, str, str]  # document, part, bm25, title, heading, text


class SearchIndex:
    """An open index. Replacing the file does not disturb it: it keeps reading the one it opened."""

    def __init__(self, path: Path) -> None:
        """Raises BedplateError BP480 where `path` is missing, damaged or of another format."""
        self._lock = threading.Lock()
        self._stemmer = Stemmer()
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            self._db = sqlite3.connect(uri, uri=True, check_same_thread=False)
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found != FORMAT:
                raise sqlite3.DatabaseError(f"format {found}, this version reads {FORMAT}")
            self._passages = self._db.execute("SELECT count(*) FROM passage").fetchone()[0]
        except sqlite3.Error as error:
            raise _cannot_read(path, error) from error

    def search(self, query: str, limit: int, allowed: Callable[[str], bool]) -> list[Hit]:
        """The best passages for `query`, at most `limit` (and 40), of documents whose path `allowed` accepts.

        One hit a passage; among the first five at most two of one document. Nothing found is an empty list.
        """
        with self._lock:
            query = query[:_MAX_QUERY]
            terms = self._terms(tokens_of(query))
            if not terms or limit < 1:
                return []
            candidates = self._candidates(_expressions(terms, query), allowed, _defining(query))
            ranked = rank(terms, candidates, self._stemmer.stems([query])[0])
            return [self._hit(item) for item in diverse(ranked, limit)]

    def open(self, path: str, anchor: str | None = None) -> list[Hit]:
        """The passages of one document in order, or of one anchor in it. Empty where there is no such document."""
        with self._lock:
            rows = self._db.execute(
                "SELECT p.heading, p.anchor, p.text, d.title FROM passage p JOIN document d ON d.id = p.document "
                "WHERE d.path = ? AND (? IS NULL OR p.anchor = ?) ORDER BY p.id",
                (path, anchor, anchor),
            ).fetchall()
        return [Hit(path, heading, where, text, title=title) for heading, where, text, title in rows]

    def terms(self, query: str) -> list[Term]:
        """What of `query` is searched for, with weights."""
        with self._lock:
            return self._terms(tokens_of(query[:_MAX_QUERY]))

    def stems(self, texts: list[str]) -> list[list[str]]:
        """The stems of each text."""
        with self._lock:
            return self._stemmer.stems(texts)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
            self._stemmer.close()

    def _terms(self, tokens: list[Token]) -> list[Term]:
        forms = [form for token in tokens for form in (*token.forms, *token.related)]
        stems = iter(self._stemmer.stems(forms))
        terms: list[Term] = []
        for token in tokens:
            alternatives = tuple(tuple(next(stems)) for _ in token.forms)
            related = tuple(tuple(next(stems)) for _ in token.related)
            if alternatives[0]:
                terms.append(Term(token, alternatives, self._weight(alternatives[0]), related))
        return terms

    def _weight(self, stems: tuple[str, ...]) -> float:
        """The weight of the rarest of its stems."""
        return max(weight(self._passages, self._frequency(stem)) for stem in stems)

    def _frequency(self, stem: str) -> int:
        row = self._db.execute("SELECT passages FROM term WHERE stem = ?", (stem,)).fetchone()
        return row[0] if row else 0

    def _candidates(
        self, expressions: list[str], allowed: Callable[[str], bool], defining: re.Pattern[str] | None
    ) -> list[Candidate]:
        """The best by BM25 of each expression's passages, where `allowed` accepts their document."""
        verdicts: dict[str, bool] = {}
        rows: dict[int, _Row] = {}
        for expression in expressions:
            taken = 0
            for number, document, part, bm25, path, title, heading, text in self._matches(expression):
                if path not in verdicts:
                    verdicts[path] = allowed(path)
                if not verdicts[path]:
                    continue
                rows.setdefault(number, (document, part, -bm25, title, heading, text))
                taken += 1
                if taken == _CANDIDATES:
                    break
        return self._read(rows, defining)

    def _matches(self, expression: str) -> Iterator[tuple[int, int, int, float, str, str, str, str]]:
        # The inner query sorts numbers only; texts are read for the rows that are really taken.
        cursor = self._db.execute(
            "SELECT p.id, d.id, p.part, w.score, d.path, d.title, p.heading, p.text FROM "
            f"(SELECT rowid AS id, {_COLUMNS} AS score FROM words WHERE words MATCH ? ORDER BY score LIMIT 20000) w "
            "CROSS JOIN passage p ON p.id = w.id CROSS JOIN document d ON d.id = p.document",
            (expression,),
        )
        yield from cursor

    def _read(self, rows: dict[int, _Row], defining: re.Pattern[str] | None) -> list[Candidate]:
        texts = [
            text
            for _, _, _, title, heading, body in rows.values()
            for text in (title, heading, _last(heading), f"{body} {parts_of(f'{heading} {body}')}")
        ]
        stems = iter(self._stemmer.stems(texts))
        return [
            Candidate(
                number,
                document,
                part,
                bm25,
                next(stems),
                next(stems),
                next(stems),
                next(stems),
                bool(defining and defining.search(text)),
            )
            for number, (document, part, bm25, _, _, text) in rows.items()
        ]

    def _hit(self, item: Ranked) -> Hit:
        path, title, heading, anchor, text = self._db.execute(
            "SELECT d.path, d.title, p.heading, p.anchor, p.text FROM passage p JOIN document d ON d.id = p.document "
            "WHERE p.id = ?",
            (item.candidate.id,),
        ).fetchone()
        return Hit(path, heading, anchor, text, round(item.score, 4), title, round(item.confidence, 3))


def _expressions(terms: list[Term], query: str) -> list[str]:
    """Any of the terms, all of them, and the query as a heading. BM25 values are those of the first that finds it."""
    words = [term.token.expression for term in terms]
    both = [" OR ".join(words), " AND ".join(words)] if len(words) > 1 else words
    return [*both, f"heading : {phrase_of(query)}"]


def _defining(query: str) -> re.Pattern[str] | None:
    """Lines that say what the thing is which `query` asks the meaning of: entries of glossaries, "A scope is …"."""
    thing = defined_in(query)
    if not thing:
        return None
    words = r"\W+".join(re.escape(word.rstrip("s")) + "s?" for word in thing.split())
    return re.compile(rf"^[\s>*|`_\-]*(?:an?\s+|the\s+)?{words}[`*_]*\s*(?:[:|—–]|(?:is|are|means?)\b)", re.I | re.M)


def _last(heading: str) -> str:
    return heading.rpartition(SEPARATOR)[2]


def _cannot_read(path: Path, error: Exception) -> BedplateError:
    return BedplateError(
        Problem(
            "BP480",
            f"the search index {path.name} cannot be read",
            detail=f"{path}: {error}",
            fix="run `bedplate up` again: it builds the index anew",
        )
    )
