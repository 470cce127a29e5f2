"""Renders the golden comments as a browser shows them: for a person to look at, light and dark, on a desk and a phone.

    python tests/review_pages.py OUTPUT_FOLDER

Goes in: cases/review/golden/*.md. Come out: an HTML page a comment, and screenshots where Chromium is installed. The
style is like GitHub's, not GitHub's own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from markdown_it import MarkdownIt

GOLDEN = Path(__file__).parent / "cases/review/golden"
SIZES = {"desk": (900, 1500), "phone": (500, 1500)}
"""A browser's window is at least 500 wide: the phone's page is an inner frame of 390."""
STYLE = """
:root { color-scheme: light; --fg: #1f2328; --bg: #fff; --soft: #f6f8fa; --line: #d1d9e0;
  --add: #dafbe1; --del: #ffebe9; --alert: #fff8c5 }
:root.dark { color-scheme: dark; --fg: #f0f6fc; --bg: #0d1117; --soft: #151b23; --line: #3d444d;
  --add: #12261e; --del: #25171c; --alert: #272115 }
body { margin: 16px; font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
  color: var(--fg); background: var(--bg); overflow-wrap: break-word }
h3 { font-size: 1.25em; margin: 0 0 16px } h4 { font-size: 1em; margin: 24px 0 16px } p, pre, table { margin: 0 0 16px }
code { font: 85%/1.45 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--soft); padding: .2em .4em;
  border-radius: 6px; white-space: break-spaces }
pre { background: var(--soft); padding: 16px; overflow: auto; border-radius: 6px }
pre code { padding: 0; background: none; white-space: pre }
table { border-collapse: collapse; display: block; width: max-content; max-width: 100%; overflow: auto }
th, td { padding: 6px 13px; border: 1px solid var(--line) } tr:nth-child(2n) { background: var(--soft) }
.add { background: var(--add) } .del { background: var(--del) } .alert { background: var(--alert) }
"""
_CLASSES = {"+": "add", "-": "del", "!": "alert"}


def page(comment: str, theme: str) -> str:
    """A comment as a whole page."""
    markdown = MarkdownIt("commonmark", {"highlight": _coloured}).enable("table")
    body = markdown.render(comment)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
    return f'<!doctype html><html class="{theme}"><head>{head}</head><body>{body}</body></html>'


def _coloured(code: str, language: str, _attributes: str) -> str:
    """The colours of a `diff` fence, as platforms give them by the first character of a line."""
    from html import escape

    lines = [(escape(line), _CLASSES.get(line[:1]) if language == "diff" else None) for line in code.splitlines()]
    return "\n".join(f'<span class="{kind}">{line}</span>' if kind else line for line, kind in lines)


def main(folder: Path) -> None:
    """Write every page, and a picture of each where there is a browser."""
    folder.mkdir(parents=True, exist_ok=True)
    browser = shutil.which("chromium")
    for path in sorted(GOLDEN.glob("*.md")):
        for theme in ("light", "dark"):
            html = folder / f"{path.stem}.{theme}.html"
            html.write_text(page(path.read_text(), theme))
            phone = folder / f"{path.stem}.{theme}.phone.html"
            phone.write_text(f'<iframe src="{html.name}" style="border:0" width="390" height="1450"></iframe>')
            if browser:
                _picture(browser, html, "desk")
                _picture(browser, phone, "phone")


def _picture(browser: str, html: Path, size: str) -> None:
    width, height = SIZES[size]
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    shot = f"--screenshot={html.with_name(f'{html.stem}.{size}.png')}"
    subprocess.run([browser, *options, shot, html.resolve().as_uri()], check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
