"""Taking out what must not be kept: secrets always, personal data and message text as the manifest says.

Goes in: text and attributes. Comes out: the same with marks in place of what was taken. Every scanner here runs in time
linear in the text: patterns are anchored or bounded, and cheap look-ups decide first whether one is tried at all.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import quote

from bedplate.traces import conventions as c

Content = Literal["none", "redacted", "full"]
REDACTED = "[redacted]"
SHORT = 6
"""Characters. A shorter text holds no address, number or key."""
MAX_NAMES = 4096
MIN_SECRET = 4
"""Characters. A shorter exact value would blank out ordinary text."""
MIN_LINE = 16
"""Characters. A shorter line of a secret with several is punctuation."""


class Redactor:
    """Redacts for one setting of `tracing.content`.

    `none` drops what people, models and tools said; `redacted` keeps it with e-mail addresses, phone and card numbers
    masked; `full` keeps those too. `secrets` are exact values that never pass, whatever the setting; neither does what
    looks like a key, token or password.
    """

    def __init__(self, content: Content = "redacted", secrets: Sequence[str] = ()) -> None:
        self.content = content
        self._exact = spellings(secrets)
        self._names: dict[str, str | None] = {}
        self._masks: tuple[Callable[[str], str], ...] = (mask_credentials,)
        if content != "full":
            self._masks += (mask_email, _mask_numbers)

    def text(self, s: str) -> str:
        """The text with everything masked that may not be kept."""
        for exact in self._exact:
            if exact in s:
                s = s.replace(exact, REDACTED)
        if len(s) < SHORT:
            return s
        for mask_one in self._masks:
            s = mask_one(s)
        return s

    def message(self, s: str) -> str:
        """The text of an error: content, so `none` drops it."""
        return "" if self.content == "none" else self.text(s)

    def body(self, value: Any) -> Any:
        """The body of a log record: content, so `none` drops it."""
        return None if self.content == "none" else self.value(value)

    def attributes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Span attributes under their newest names: content dropped for `none`, secret names and values masked.

        Where an older name and the newest are both there, the newest wins.
        """
        kept: dict[str, Any] = {}
        for name, value in given.items():
            key = self._name(name)
            if key is None or (key != name and key in given):
                continue
            kept[key] = self._named(key, value)
        return kept

    def _name(self, name: str) -> str | None:
        """What an attribute is called here; None where it is dropped. Names recur, so answers are kept."""
        if name in self._names:
            return self._names[name]
        dropped = self.content == "none" and c.is_content(name)
        known = None if dropped else self.text(c.canonical(name))
        if len(self._names) < MAX_NAMES:
            self._names[name] = known
        return known

    def value(self, value: Any) -> Any:
        """A JSON value, redacted to its leaves."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(k)): self._named(str(k), v) for k, v in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case bytes():
                return self.text(value.decode("utf-8", "replace"))
            case _:
                return value

    def _named(self, name: str, value: Any) -> Any:
        if is_secret_name(name) and not isinstance(value, bool | int | float | None):
            return REDACTED
        return self.value(value)


def mask(text: str, kinds: Sequence[str]) -> str:
    """Mask some kinds of personal data: `email`, `phone`, `card`. Raises KeyError for another kind."""
    for kind in kinds:
        text = PERSONAL[kind](text)
    return text


_SECRET_NAMES = """
accesskey accesstoken apikey authorization bearer clientsecret cookie cookies credential credentials idtoken
passphrase passwd password privatekey pwd refreshtoken secret secretkey secrets setcookie token
"""
_SECRET_WORDS = frozenset(_SECRET_NAMES.split())
_KEY_OWNERS = frozenset({"api", "private", "access", "secret", "signing", "encryption"})
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_secret_names: dict[str, bool] = {}


def is_secret_name(name: str) -> bool:
    """Whether an attribute or argument of this name holds a secret: `api_key`, `Authorization`, `dbPassword`."""
    known = _secret_names.get(name)
    if known is None:
        parts = [p.lower() for p in _PARTS.findall(name[-200:])]
        known = bool(_SECRET_WORDS.intersection(parts)) or any(
            a in _KEY_OWNERS and b == "key" for a, b in pairwise(parts)
        )
        if len(_secret_names) < MAX_NAMES:
            _secret_names[name] = known
    return known


def spellings(secrets: Sequence[str], least: int = MIN_SECRET) -> tuple[str, ...]:
    """Each secret of at least so many characters as it is, as JSON, as Python shows it, in a URL and in Base64.

    Of one with several lines (a private key) the longer lines too, because logs come by the line. The longest is first,
    so that none hides in another.
    """
    found: set[str] = set()
    for secret in (s.strip() for s in secrets):
        if len(secret) < least:
            continue
        found |= {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
        found |= {line.strip() for line in secret.splitlines() if len(line.strip()) >= MIN_LINE}
        for code in (base64.b64encode, base64.urlsafe_b64encode):
            coded = code(secret.encode()).decode()
            found |= {quote(secret, safe=""), coded, coded.rstrip("=")}
    return tuple(sorted(found, key=lambda s: (-len(s), s)))


# --- credentials ------------------------------------------------------------------------------------------------------

_KEYS = re.compile(
    r"(?:(?<![\w-])(?:sk|rk|pk)-[\w-]{16,}+|(?:sk|rk|pk)_(?:live|test)_\w{10,}+|gh[pousr]_\w{20,}+|github_pat_\w{20,}+"
    r"|glpat-[\w-]{16,}+|xox[abeprs]-[\w-]{10,}+|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}+|npm_\w{30,}+|hf_\w{20,}+"
    r"|pypi-[\w-]{30,}+|(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?)",
    re.ASCII,
)
_BEARER = re.compile(r"(bearer[ \t]{1,4})([\w.~+/=-]{8,}+)", re.IGNORECASE | re.ASCII)
_BASIC = re.compile(
    r"(authorization[\"'\\]{0,4}\s{0,3}[:=]\s{0,3}[\"'\\]{0,4}basic[ \t]{1,4})([\w+/=-]{4,}+)", re.I | re.A
)
_URL_USER = re.compile(r"(://[^\s/@:]{1,100}:)([^\s/@]{1,200})(?=@)")
_WORDS = ("password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "api", "key", "credential")
_ASSIGNED = re.compile(
    r"((?:password|passwd|passphrase|secret|token|authorization|cookie|api[ _-]?key|access[_-]?key|private[_-]?key"
    r"|secret[_-]?key|credentials?)[\"'\\]{0,4}\s{0,3}[:=]\s{0,3})"
    r"([\"'][^\"'\\\n]{1,500}[\"']|\\{1,3}\"[^\"\\\n]{1,500}\\{1,3}\"|(?!bearer\b|basic\b)[^\s\"'\\,;&{}\[\]()<]{4,500})",
    re.IGNORECASE,
)
_BEGIN, _END = "-----BEGIN ", "-----END "


def mask_credentials(s: str) -> str:
    """Mask private keys, provider keys, JWTs, bearer tokens, passwords in URLs, and `password: …`."""
    if _BEGIN in s:
        s = _mask_blocks(s)
    if _may_hold_key(s):
        s = _KEYS.sub(REDACTED, s)
    if "://" in s and "@" in s:
        s = _URL_USER.sub(rf"\1{REDACTED}", s)
    if ":" not in s and "=" not in s and "earer" not in s and "EARER" not in s:
        return s
    lower = s.lower()
    if "bearer" in lower:
        s = _BEARER.sub(_bearer, s)
    if "basic" in lower:
        s = _BASIC.sub(rf"\1{REDACTED}", s)
    if any(word in lower for word in _WORDS):
        s = _ASSIGNED.sub(_assigned, s)
    return s


def _may_hold_key(s: str) -> bool:
    # Written out: this runs on every text, and a loop would cost more than the look-ups.
    return (
        "sk-" in s or "sk_" in s or "eyJ" in s or "gh" in s or "pk-" in s or "pk_" in s or "rk-" in s or "rk_" in s
        or "xox" in s or "AKIA" in s or "ASIA" in s or "AIza" in s or "glpat-" in s or "npm_" in s or "hf_" in s
        or "pypi-" in s
    )  # fmt: skip


def _bearer(found: re.Match[str]) -> str:
    # "bearer authentication" is prose; a token has a digit or is long.
    token = found[2]
    return f"{found[1]}{REDACTED}" if len(token) >= 24 or any(ch.isdigit() for ch in token) else found[0]


def _assigned(found: re.Match[str]) -> str:
    value = found[2]
    end = re.match(r"\\{0,3}[\"']", value)
    mark = end[0] if end else ""
    return f"{found[1]}{mark}{REDACTED}{mark}"


def _mask_blocks(s: str) -> str:
    """Private keys in PEM. A block that never ends is masked to the end of the text."""
    out, at = [], 0
    while (begin := s.find(_BEGIN, at)) >= 0:
        title = s.find("-----", begin + len(_BEGIN), begin + 80)
        if title < 0 or "PRIVATE" not in s[begin:title]:
            out.append(s[at : begin + len(_BEGIN)])
            at = begin + len(_BEGIN)
            continue
        out += [s[at:begin], REDACTED]
        end = s.find(_END, title)
        stop = s.find("-----", end + len(_END)) if end >= 0 else -1
        at = stop + 5 if stop >= 0 else len(s)
    return "".join([*out, s[at:]])


# --- personal data ----------------------------------------------------------------------------------------------------

_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}")


def mask_email(s: str) -> str:
    """Mask e-mail addresses. Looks only at the surroundings of each `@`, so a long word costs nothing."""
    if "@" not in s:
        return s
    out, at = [], 0
    where = s.find("@")
    while where >= 0:
        local = _LOCAL.search(s[max(at, where - 64) : where])
        domain = _DOMAIN.match(s, where + 1, where + 254) if local else None
        if local and domain:
            out += [s[at : where - len(local[0])], "[email]"]
            at = domain.end()
        where = s.find("@", max(at, where + 1))
    return "".join([*out, s[at:]])


_DIGITS = re.compile(r"\d[\d ().+/-]{5}", re.ASCII)
_CARD = re.compile(
    r"(?<![\w.-])(?:[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?"
    r"|3\d{3}([ -])\d{6}\2\d{4,5})(?!\w)",
    re.ASCII,
)
_PHONE = re.compile(r"(?<![\w.+/:-])(?:\+|\(|00|0)?\d[\d ().-]{5,20}\d(?![\w/:])", re.ASCII)
_NOT_PHONE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[.-]\d{1,2}[.-]\d{2,4}|\d{1,3}(?:\.\d{1,3}){1,3}|\d+\.\d+", re.ASCII
)
_NO_SEPARATORS = str.maketrans("", "", " ().-+")
_TO_SPACES = str.maketrans("().-+", "     ")
_CALLED = re.compile(
    r"(?:phone|tel|telephone|mobile|cell|call me|number|whatsapp|fax)\W{0,4}(?:\w{1,8}\W{1,3}){0,3}\Z", re.I
)


def mask_card(s: str) -> str:
    """Mask card numbers: 13 to 19 digits, together or in a card's groups, with a right check digit (Luhn)."""
    return _CARD.sub(lambda m: "[card]" if _luhn(m[0]) else m[0], s)


def _mask_numbers(s: str) -> str:
    return mask_phone(mask_card(s)) if _DIGITS.search(s) else s


def mask_phone(s: str) -> str:
    """Mask phone numbers: 8 to 15 digits with a `+`, a leading zero or groups, or named as a phone number before."""
    return _PHONE.sub(_phone, s)


def _phone(found: re.Match[str]) -> str:
    said = found[0]
    digits = len(said.translate(_NO_SEPARATORS))
    if not 8 <= digits <= 15 or _NOT_PHONE.fullmatch(said):
        return said
    groups = len(said.translate(_TO_SPACES).split())
    if said[0] == "+" or (said[0] in "(0" and digits >= 9) or (3 <= groups <= 6 and 9 <= digits <= 12):
        return "[phone]"
    named = _CALLED.search(found.string, max(0, found.start() - 40), found.start())
    return "[phone]" if named else said


def _luhn(number: str) -> bool:
    digits = [int(ch) for ch in number if ch.isdigit()][::-1]
    doubled = (d * 2 - 9 if d > 4 else d * 2 for d in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


PERSONAL: dict[str, Callable[[str], str]] = {"email": mask_email, "phone": mask_phone, "card": mask_card}
"""The kinds of personal data that `redact` in a manifest can name."""
