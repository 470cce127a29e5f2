"""One file to a `Document`: decoding, and the reader that its suffix names."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from bedplate.search.html_reader import read_html
from bedplate.search.markdown_reader import read_markdown
from bedplate.search.model import Document, Unread
from bedplate.search.rest_reader import read_rest
from bedplate.search.sections import Sections

MAX_BYTES = 32 * 1024 * 1024
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"))
_BOMS16 = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]+)|<\?xml[^>]{0,100}?encoding=[\"']([\w.:-]+)", re.I
)
_CODING = re.compile(rb"\A(?:.*\n)?\s*\.\.\s+-\*-.*?coding:\s*([\w.-]+)")
# Pages of generated sites that list and link but say nothing themselves.
_FURNITURE = re.compile(r"(?:^|/)(?:genindex(?:-[\w-]+)?|search|py-modindex|modindex|404)\.html?$")


def _read_plain(path: str, text: str) -> Document:
    sections = Sections()
    for paragraph in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        sections.block(paragraph)
    return Document(path, PurePosixPath(path).name, sections.finish())


_READERS: dict[str, Callable[[str, str], Document]] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".rst": read_rest,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".txt": _read_plain,
    ".text": _read_plain,
}


def is_document(path: str) -> bool:
    """Whether the suffix is one that is read, and the file no index page of a generated site."""
    return PurePosixPath(path).suffix.lower() in _READERS and not _FURNITURE.search(path)


def read_document(root: Path, path: str) -> Document | Unread:
    """Read `root/path`. An unreadable, too large or binary file comes back as `Unread`, it does not raise."""
    try:
        file = root / path
        if file.stat().st_size > MAX_BYTES:
            return Unread(path, f"larger than {MAX_BYTES // 1024 // 1024} MiB")
        raw = file.read_bytes()
    except OSError as error:
        return Unread(path, error.strerror or type(error).__name__)
    text = decode(raw)
    if text is None:
        return Unread(path, "not text in UTF-8, UTF-16, Latin-1 or the encoding that it declares")
    return _READERS[PurePosixPath(path).suffix.lower()](path, text)


def decode(raw: bytes) -> str | None:
    """The text: by byte order mark, declared charset, UTF-8, then Latin-1. None for what is no text at all.

    Zero bytes are dropped; more than one control character in a hundred means binary.
    """
    text = _decoded(raw)
    if text is None:
        return None
    controls = sum(text.count(chr(n)) for n in range(32) if n not in (9, 10, 12, 13))
    return text.replace("\0", "") if controls * 100 <= len(text) else None


def _decoded(raw: bytes) -> str | None:
    for mark, name in (*_BOMS, *_BOMS16):
        if raw.startswith(mark):
            return _try(raw, name)
    declared = _CHARSET.search(raw[:2048]) or _CODING.search(raw[:512])
    names = [next(g for g in declared.groups() if g).decode("ascii", "ignore")] if declared else []
    return next((text for name in (*names, "utf-8", "latin-1") if (text := _try(raw, name)) is not None), None)


def _try(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
