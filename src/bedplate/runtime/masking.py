"""Secrets out of what comes back from whoever was given them: models, APIs, MCP servers, and the log of it all.

Goes in: text or JSON that somebody else wrote. Comes out: the same with `[secret]` for each exact value, however it is
spelled (`traces.redact.spellings`). A value taken apart or encoded otherwise is not found.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from bedplate.traces.redact import MIN_SECRET, spellings

SECRET = "[secret]"


class Mask:
    """Masks `secrets`; None and values of fewer than `least` characters are none: they would blank ordinary words."""

    def __init__(self, *secrets: str | None, least: int = MIN_SECRET) -> None:
        self._spellings = spellings([secret for secret in secrets if secret], least)

    def text(self, text: str) -> str:
        """The text without them. Mask first, cut then: half a secret would not be found."""
        for spelling in self._spellings:
            text = text.replace(spelling, SECRET)
        return text

    def value(self, value: Any) -> Any:
        """A JSON value without them, to its keys and leaves."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(key): self.value(item) for key, item in value.items()}
            case list():
                return [self.value(item) for item in value]
            case int() | float():
                shown = repr(value)
                return value if (masked := self.text(shown)) == shown else masked
            case _:
                return value

    def begun(self, text: str) -> str:
        """The longest end of `text` that may be the beginning of one of them."""
        ends = (s[:size] for s in self._spellings for size in range(len(s) - 1, 0, -1) if text.endswith(s[:size]))
        return max(ends, key=len, default="")


class MaskedLog(logging.Formatter):
    """Formats as `told` does, without secrets: a library's traceback may quote what a server said."""

    def __init__(self, told: logging.Formatter, mask: Mask) -> None:
        super().__init__()
        self._told, self._mask = told, mask

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return self._mask.text(self._told.format(record))


def mask_logs(mask: Mask) -> None:
    """From now on the handlers of the root logger write no secret."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(MaskedLog(handler.formatter or logging.Formatter(), mask))
