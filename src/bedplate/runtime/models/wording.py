"""What kind of thing a user says, by rules. Goes in: a message in English. Comes out: yes, no, or words. Pure."""

from __future__ import annotations

import re

_STOP = frozenset(
    """a about above after all also am an and any are as at be because been before but by can could did do does doing
    for from get give had has have having he her here him his how i if in into is it its just know let like list may me
    mean might more most must my no nor not now of off on once one only or other our out over please same shall she
    should show so some such tell than that the their them then there these they thing this those through to too under
    until up us use used using very want was way we were what when where which while who whom why will with would you
    your yours remember told said mention mentioned mine i'm what's""".split()  # noqa: SIM905
)
_GREETING = re.compile(
    r"(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening|day)|greetings|howdy)(?: there| all| bedplate)?\W*", re.I
)
_THANKS = re.compile(r"(?:ok(?:ay)?\W+)?(?:thanks|thank you|thx|cheers)(?: (?:a lot|very much|so much))?\W*", re.I)
_IDENTITY = re.compile(
    r"\W*(?:(?:and|so|but) )?(?:who|what) (?:exactly )?are you\b[^?]{0,20}\W*"
    r"|\W*(?:are|r) you (?:an? )?(?:real |actual )?(?:ai|llm|bot|robot|human|person|machine|(?:large )?language model|"
    r"chat ?gpt|claude)\b.{0,40}"
    r"|\W*(?:what|which) (?:kind of )?(?:language )?(?:model|llm|ai) (?:are you|is this|do you use)\b.{0,20}"
    r"|\W*what can you do(?: for me)?\W*|\W*(?:introduce yourself|help)\W*|\W*how can you help(?: me)?\W*",
    re.I,
)
_PERSONAL = re.compile(
    r"\b(?:my|mine)\b|\bwho am i\b|\b(?:i|i've|i have) (?:told|tell) you\b|\bdid i (?:say|tell|mention)\b"
    r"|\b(?:do|can|did) you (?:still )?remember\b|\bremember me\b|\babout me\b|\bwhere (?:do|did|am) i\b|\bam i\b"
    r"|\bwhat (?:do|did) i (?:like|prefer|use|do|work|speak|study|eat|drink|drive|own|need)\b"
    r"|\bdo i (?:like|prefer|live|work|own|speak|eat|drink)\b"
    r"|\bwhich \w+ (?:do|did) i (?:live|work|use|speak|prefer)\b",
    re.I,
)
_REMEMBER_THAT = re.compile(
    r"^\W*(?:please |can you |could you )?(?:remember|keep in mind|don't forget|do not forget|note)"
    r"(?: that| this)?[ :,]+",
    re.I,
)
_ASKS = re.compile(
    r"\?|^\W*(?:who|what|when|where|why|which|whose|how|is|are|can|could|do|does|did|will|would|should)\b"
    r"|\b(?:how (?:do|can|to|does)|tell me|show me|explain|help me)\b",
    re.I,
)
_CONTINUES = re.compile(r"\W*(?:and|or|but|so|then|also|what about|how about|what if|same for|in that case)\b", re.I)
_REFERS = re.compile(r"\b(?:it|its|that|this|them|they|those|these|there|one)\b", re.I)


def is_greeting(text: str) -> bool:
    """Whether the message only greets."""
    return bool(_GREETING.fullmatch(text))


def is_thanks(text: str) -> bool:
    """Whether the message only thanks."""
    return bool(_THANKS.fullmatch(text))


def asks_who(text: str) -> bool:
    """Whether the message asks what it is talking to, or what that can do."""
    return bool(_IDENTITY.fullmatch(text))


def about_the_user(text: str) -> bool:
    """Whether a question is (also) about the person who asks."""
    return bool(_PERSONAL.search(text))


def asks(text: str) -> bool:
    """Whether the message wants an answer rather than states something."""
    return bool(_ASKS.search(_REMEMBER_THAT.sub("", text, count=1)))


def statement(text: str) -> str | None:
    """What the user states of themselves or wants kept; None where the message is something else."""
    from bedplate.store.facts import facts_in

    if asks(text):
        return None
    if wants_kept(text):
        return _REMEMBER_THAT.sub("", text, count=1).strip() or None
    facts = facts_in(text)
    return " ".join(facts) or None


def wants_kept(text: str) -> bool:
    """Whether the user says in so many words that something is to be remembered."""
    return bool(_REMEMBER_THAT.match(text)) and not text.rstrip().endswith("?")


def continues(text: str) -> bool:
    """Whether a message means nothing without the one before: "and in prod?", "why?", "how do I change it?"."""
    if _CONTINUES.match(text) and len(text.split()) <= 8:
        return True
    words = content_words(text)
    return (len(words) <= 1 and len(text.split()) <= 3) or (bool(_REFERS.search(text)) and len(words) <= 2)


def content_words(text: str) -> set[str]:
    """The words that carry meaning, cut to a rough stem."""
    return {stem(w) for w in re.findall(r"[\w][\w.'-]*[\w]|\w", text.lower()) if w not in _STOP}


def stem(word: str) -> str:
    """A rough stem: plural and verb endings off."""
    for ending in ("'s", "ing", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending).rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word
