"""Secrets that stand in a manifest by value, and messages without them: those end up in logs and review comments.

Goes in: a document with its places. Comes out: problems and the paths of the values. No value is ever repeated. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bedplate.manifest.errors import dotted
from bedplate.manifest.yamltree import Path, Tree
from bedplate.problems import Problem

_SECRETS = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("an API key", re.compile(r"\b(sk|rk|pk)[-_](live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_-]{20,}")),
    ("an AWS access key", re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})")),
    ("a Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}")),
    ("a signed token", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.")),
    ("a password in a URL", re.compile(r"://[^\s/:@]+:[^\s/@]+@")),
)
_QUERY = re.compile(
    r"[?&;#]([\w.-]*[_.-])?(api_?key|key|token|secret|password|passwd|sig|signature|auth|access_?token)=[^&;#]",
    re.IGNORECASE,
)
"""A parameter of a URL's query that is a secret by its name."""
_URLS = ("url", "baseUrl")


def literal_secrets(tree: Tree) -> Iterator[tuple[Path, Problem]]:
    """Texts that look like secrets, wherever they stand."""
    for path, text in leaves(tree.data, ()):
        kind = next((kind for kind, form in _SECRETS if isinstance(text, str) and form.search(text)), None)
        if kind:
            fix = "move it to `.env`, refer to it as {secret: name}, and revoke it if it was committed"
            yield path, Problem("BP016", f"this looks like {kind}", tree.where(path), fix=fix)


def secrets_in_queries(tree: Tree) -> Iterator[tuple[Path, Problem]]:
    """URLs with a secret in their query."""
    fix = "remove it from the URL, hand it over by `credentials: {secret: name}`, and revoke it if committed"
    for path, text in leaves(tree.data, ()):
        if path and path[-1] in _URLS and isinstance(text, str) and _QUERY.search(text):
            summary = f"the query of `{dotted(path)}` holds a secret"
            yield path, Problem("BP016", summary, tree.where(path), fix=fix)


def scrubbed(problem: Problem) -> Problem:
    """The problem without texts that look like secrets."""
    texts = [problem.summary, problem.detail, problem.fix]
    for _, form in _SECRETS:
        texts = [form.sub("…", text) for text in texts]
    return replace(problem, summary=texts[0], detail=texts[1], fix=texts[2])


def leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every scalar of the document with its path."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from leaves(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from leaves(inner, (*path, index))
        case _:
            yield path, value
