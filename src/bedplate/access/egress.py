"""The allow-list of outgoing connections: which process may send what where. Pure.

Goes in: scopes over URLs, and addresses that are needed besides (model providers, MCP servers). Comes out: one rule a
line, as JSON, for a proxy that is every process's only way out; `permits` and `connects` are what such a proxy asks.
Hosts are compared as they stand in a rule, in lower case: a rule for a name says nothing of an IP address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from bedplate.access.artefacts import Artefact, Compiled, Line, Remainder
from bedplate.access.facts import METHODS
from bedplate.access.globs import matches
from bedplate.access.model import Grant, ScopeSet
from bedplate.access.urls import UrlRefused, normalise_url
from bedplate.problems import BedplateError, Problem, Where

PORTS: Final = {"http": 80, "https": 443}
_FIELDS: Final = {"process", "scheme", "host", "port", "methods", "path"}


@dataclass(frozen=True)
class Rule:
    """`process` may send requests with `methods` to `path` (a glob) at one host and port.

    None for methods and path: any, since nothing but the host can be seen in the connection.
    """

    process: str
    scheme: str
    host: str
    port: int
    methods: tuple[str, ...] | None = None
    path: str | None = None
    grant: str = ""
    where: str = ""

    def __str__(self) -> str:
        methods = "any method" if self.methods is None else "/".join(m.upper() for m in self.methods)
        return f"{self.process}: {methods} {self.scheme}://{self.host}:{self.port}{self.path or '/*'}"


@dataclass(frozen=True)
class Address:
    """A URL below which `process` must be able to send requests although no scope says so; `where` says what does."""

    process: str
    url: str
    methods: tuple[str, ...] = ("post",)
    where: str = ""


def compile(
    scopes: ScopeSet, processes: Mapping[str, str], addresses: Sequence[Address] = (), *, inspected: bool = False
) -> Compiled:
    """The allow-list. `processes` says for each tool which process sends its requests (the gateway for http tools).

    `inspected`: the proxy sees inside TLS; else of https it sees host and port only, and the rest is listed as left
    over. Raises BedplateError (BP853) with every pattern that is not one host with a path.
    """
    rules, problems = wanted(scopes, processes, addresses, inspected=inspected)
    if problems:
        raise BedplateError(*problems)
    lines = tuple(Line(json.dumps(_document(rule)), rule.grant, rule.where) for rule in rules)
    left = [rest for grant in _granted(scopes, processes) for rest in _remainder(grant, inspected)]
    return Compiled((Artefact("egress", "egress.jsonl", lines, "application/jsonl"),), tuple(left))


def wanted(
    scopes: ScopeSet, processes: Mapping[str, str], addresses: Sequence[Address] = (), *, inspected: bool = False
) -> tuple[tuple[Rule, ...], tuple[Problem, ...]]:
    """The rules that scopes and addresses come to, and the problems of those that come to none."""
    rules: list[Rule] = []
    problems: list[Problem] = []
    asked: list[tuple[str, str, tuple[str, ...], str, str]]
    asked = [(processes[g.tool], g.pattern, (g.verb,), g.id, g.where) for g in _granted(scopes, processes)]
    asked += [(a.process, f"{a.url.rstrip('/')}/*", a.methods, "", a.where) for a in addresses]
    for process, pattern, methods, grant, where in asked:
        try:
            rules.append(_rule(process, pattern, methods, grant, where, inspected))
        except UrlRefused as error:
            fix = "write scheme, host and path, e.g. https://api.example.com/v1/orders/*"
            problems.append(
                Problem("BP853", f"`{pattern[:80]}` is no rule for requests: {error}", _place(where), fix=fix)
            )
    return tuple(dict.fromkeys(rules)), tuple(problems)


def read(text: str) -> tuple[Rule, ...]:
    """The rules of an artefact. Raises ValueError with the line that is none."""
    return tuple(_read(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def validate(
    text: str,
    scopes: ScopeSet,
    processes: Mapping[str, str],
    addresses: Sequence[Address] = (),
    *,
    inspected: bool = False,
) -> tuple[str, ...]:
    """How an allow-list differs from what scopes and addresses say, in words; empty where it is the same."""
    asked = {_bare(rule) for rule in wanted(scopes, processes, addresses, inspected=inspected)[0]}
    try:
        found = {_bare(rule) for rule in read(text)}
    except ValueError as error:
        return (str(error),)
    lacking = [f"the list lacks: {rule}" for rule in sorted(map(str, asked - found))]
    return (*lacking, *(f"the list allows: {rule}, which nothing asks for" for rule in sorted(map(str, found - asked))))


def permits(rules: Iterable[Rule], process: str, method: str, url: str) -> Rule | None:
    """The first rule that lets `process` send this request, seen whole; None where none does, or the URL is unclear."""
    try:
        parts = urlsplit(normalise_url(url))
    except UrlRefused:
        return None
    for rule in rules:
        there = (rule.process, rule.scheme, rule.host, rule.port) == (
            process,
            parts.scheme,
            *_authority(parts.netloc, parts.scheme),
        )
        named = rule.methods is None or method.lower() in rule.methods
        if there and named and (rule.path is None or matches(rule.path, parts.path)):
            return rule
    return None


def connects(rules: Iterable[Rule], process: str, host: str, port: int) -> Rule | None:
    """The first rule that lets `process` open a TLS connection to this host and port (a proxy's CONNECT)."""
    name = host.lower().removesuffix(".")
    for rule in rules:
        if (rule.process, rule.scheme, rule.host, rule.port) == (process, "https", name, port):
            return rule
    return None


def _granted(scopes: ScopeSet, processes: Mapping[str, str]) -> Iterator[Grant]:
    for grant in scopes.grants:
        if grant.tool in processes and grant.verb in METHODS and "://" in grant.pattern:
            yield grant


def _rule(process: str, pattern: str, methods: tuple[str, ...], grant: str, where: str, inspected: bool) -> Rule:
    scheme, _, rest = pattern.partition("://")
    authority, slash, path = rest.partition("/")
    if "*" in scheme or "*" in authority or not slash:
        raise UrlRefused("it is not one host with a path")
    normal = urlsplit(normalise_url(f"{scheme}://{authority}/"))
    host, port = _authority(normal.netloc, normal.scheme)
    seen = inspected or normal.scheme == "http"
    sent = tuple(sorted({method.lower() for method in methods})) if seen else None
    return Rule(process, normal.scheme, host, port, sent, f"/{path}" if seen else None, grant, where)


def _authority(netloc: str, scheme: str) -> tuple[str, int]:
    """Host and port; an IPv6 address keeps its brackets."""
    host, colon, port = netloc.rpartition(":")
    if colon and port.isdigit():
        return host, int(port)
    return netloc, PORTS[scheme]


def _remainder(grant: Grant, inspected: bool) -> Iterator[Remainder]:
    def left(clause: str, reason: str) -> Remainder:
        return Remainder(grant.id, clause, reason, grant.where)

    if grant.pattern.startswith("https://") and not inspected:
        yield left("object", "the connection is encrypted: the proxy sees its host and port, not method and path")
    for path in dict.fromkeys(condition.path for condition in grant.conditions):
        yield left(".".join(path), "the proxy reads no query and no body")
    if grant.only is not None:
        yield left("only", "the proxy reads no query and no body")
    if grant.ask:
        yield left("ask", "a proxy cannot ask a person")
    if grant.budgets:
        yield left("limit", "the proxy keeps no count")


def _document(rule: Rule) -> dict[str, Any]:
    methods = None if rule.methods is None else list(rule.methods)
    where = {"process": rule.process, "scheme": rule.scheme, "host": rule.host, "port": rule.port}
    return {**where, "methods": methods, "path": rule.path}


def _read(number: int, line: str) -> Rule:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number} of the list is no JSON") from error
    match found:
        case {
            "process": str(process),
            "scheme": "http" | "https" as scheme,
            "host": str(host),
            "port": int(port),
            "methods": None | list() as methods,
            "path": None | str() as path,
        } if set(found) == _FIELDS and (methods is None or METHODS.issuperset(methods)):
            return Rule(process, scheme, host, port, None if methods is None else tuple(methods), path)
        case _:
            raise ValueError(f"line {number} of the list is no rule")


def _bare(rule: Rule) -> Rule:
    return Rule(rule.process, rule.scheme, rule.host, rule.port, rule.methods, rule.path)


def _place(where: str) -> Where | None:
    file, _, rest = where.partition(":")
    line = rest.partition(":")[0]
    return Where(file, int(line) if line.isdigit() else 0) if file else None
