"""Turns a heading of a document into the question that its section answers, where plain rules can tell.

A heading and the first sentence below it go in; a question comes out, or None. Rules, no model: what they cannot turn
into good English they leave out.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VERBS = _words("""
accept access activate add adjust allow analyze apply approve assign attach authenticate avoid back backup bind block
build cancel capture change choose clean clear clone collect combine compare compile compose compute configure confirm
connect consume control convert copy create customize debug declare decode define delete deploy describe destroy detect
develop disable discard discover display distribute divide document download edit embed enable encode encrypt enforce
ensure erase escape evaluate examine exclude execute exit expand export expose extend extract fetch filter find fix
forget format generate get give grade grant group handle hide host identify ignore implement import improve include
increase initialize insert inspect install integrate invoke iterate join keep launch learn limit list load locate lock
log loop maintain make manage map mark measure merge migrate mix modify monitor mount move name obtain omit open
optimize organize override package parse pass pin plan prepare preserve prevent print profile promote protect provide
publish purge push put query raise read receive record recover redact redirect reduce refer register reload remove
rename repeat replace report request require reset resolve restart restore restrict resume retrieve return reuse
revert review revoke roll rotate run save scale schedule search secure select send separate serve set share ship show
shut sign simulate skip sort specify split start stop store stream submit subscribe swap switch synchronize tag tell
test throw trace track train transfer transform translate trigger troubleshoot tune turn uninstall unlock unpack update
upgrade upload use validate verify view wait watch wrap write
""")

_ALSO_NOUNS = _words("""
access back backup block build change clone control copy debug display document download exit export extract filter fix
format grant group host import include insert limit list load lock log loop map mark measure mix monitor mount move name
open package pass pin plan print profile push query raise read record report request reset restart return review
roll run sample scale schedule search secure set share ship show sign split start stop store stream switch tag test
throw trace track train transfer trigger turn update upgrade upload use view wait watch wrap
""")
"""Verbs that are nouns as well: as the first word they are taken for verbs only before a word that follows a verb."""

_DOUBLED = _words(
    "begin cut debug drop embed forget get log map pin plan put run set ship shut split stop submit swap tag wrap"
)
_AFTER_VERB = _words(
    "a an the your my its this these that it all any each every up down off out on back in to with from new and"
)
_ADJECTIVES = _words("building embedding logging mapping operating packaging programming scheduling streaming testing")
"""Gerunds that stand before a noun as often as they act on it (`Logging levels`): treated as those verbs are."""

_ARTICLES = ("the ", "a ", "an ")


def _gerund(verb: str) -> str:
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ing"
    return (verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb) + "ing"


_GERUNDS = {_gerund(verb): verb for verb in _VERBS}


def question_of(heading: str, first_sentence: str, section: str = "") -> str | None:
    """The question that a section of this heading answers. `section` shows which words of it have small letters."""
    text = _tidy(heading)
    words = text.split()
    if not words or len(words) > 25:
        return None
    if text.endswith("?"):
        return text if len(words) >= 3 else None
    how_to = re.match(r"(?i)how to (\w.*)", text)
    small = frozenset(re.findall(r"\b[a-z]+\b", section))
    if how_to:
        return f"How do I {_natural(_lower_first(how_to[1]), small)}?"
    return _task(words, small) or _thing(text, first_sentence)


def _tidy(heading: str) -> str:
    """The heading without numbering, marks of code and emphasis, and a closing full stop or colon."""
    text = " ".join(heading.replace("`", "").replace("*", "").replace("¶", "").split())
    return re.sub(r"^(?:\d+(?:\.\d+)*\.?|[A-Z]\.)\s+", "", text).rstrip(".: ")


def _lower_first(text: str) -> str:
    first, _, rest = text.partition(" ")
    lowered = first if first.isupper() or any(c.isupper() for c in first[1:]) else first.lower()
    return f"{lowered} {rest}".strip()


def _natural(text: str, small: frozenset[str]) -> str:
    """`text` without the capitals of a title: words that the section writes with small letters get them."""
    return re.sub(r"\b[A-Z][a-z]+\b", lambda word: word[0].lower() if word[0].lower() in small else word[0], text)


def _task(words: list[str], small: frozenset[str]) -> str | None:
    """A heading that begins with a verb: `Install the CLI`, `Installing the CLI`."""
    first, rest = words[0].casefold(), _natural(" ".join(words[1:]), small)
    if not 2 <= len(words) <= 10 or re.search(r",|(^|\s)[–—-](\s|$)", rest):
        return None
    second = words[1].casefold()
    if words[0].isupper() or (first in _ADJECTIVES and second not in _AFTER_VERB):
        return None
    if first in _GERUNDS and second not in ("is", "are", "and", "of", "with"):
        return f"How do I {_GERUNDS[first]} {rest}?"
    verb = first in _VERBS and (first not in _ALSO_NOUNS or second in _AFTER_VERB)
    return f"How do I {first} {rest}?" if verb else None


def _thing(text: str, sentence: str) -> str | None:
    """A heading that names what the first sentence defines: `Gateway`, and `The gateway is the only process …`."""
    name = text
    for article in _ARTICLES:
        name = name[len(article) :] if name.casefold().startswith(article) else name
    if len(name.split()) > 5 or re.match(r"\w+ing \w", name):
        return None
    plain = " ".join(sentence.replace("`", "").replace("*", "").split())
    defined = re.match(rf"(?i)(the |an? )?({re.escape(name)})(?: \([^)]*\))? (is|are)\s+(?!not\b)\w+\s+\w+", plain)
    if not defined:
        return None
    article = (defined[1] or "").casefold()
    subject = _lower_first(name) if article else name
    return f"What {defined[3].casefold()} {article}{subject}?"
