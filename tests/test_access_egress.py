"""The allow-list of connections: it lets through what the scopes say, names their lines, and reads back equal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedplate.access import Ask, Grant, Request, ScopeSet, UrlRefused, decide, normalise_url
from bedplate.access.egress import Address, compile, connects, permits, read, validate
from bedplate.problems import BedplateError

PROCESSES = {"stripe": "gateway", "summarise": "summarise"}
SCOPES = ScopeSet(
    (
        Grant("charges", "stripe", "get", "https://api.stripe.com/v1/charges/*", "agent.yaml:20"),
        Grant("post", "summarise", "post", "http://localhost:8080/v1/*", "agent.yaml:30"),
        Grant("docs", "docs", "read", "*", "agent.yaml:9"),
    )
)
MODEL = Address("gateway", "https://api.openai.com/v1", where="agent.yaml:5")

hosts = st.sampled_from(["a.test", "b.test", "a.test:8443", "[::1]", "10.0.0.1"])
paths = st.sampled_from(["", "x", "x/y", "x%20y", "x/../z", "X", "é"])
patterns = st.builds(
    lambda scheme, host, path: f"{scheme}://{host}/{path}",
    st.sampled_from(["http", "https"]),
    hosts,
    st.sampled_from(["*", "x", "x/*", "*y", "x*y"]),
)
methods = st.sampled_from(["get", "post", "delete"])
grants = st.builds(lambda n, verb, pattern: Grant(f"g{n}", "t", verb, pattern), st.integers(0, 9), methods, patterns)


@given(st.lists(grants, max_size=4), methods, st.sampled_from(["http", "https", "ftp"]), hosts, paths)
def test_it_permits_what_decide_allows(found: list[Grant], method: str, scheme: str, host: str, path: str) -> None:
    """Seen whole, a request passes exactly where the scopes allow it; another process's request never does."""
    scopes = ScopeSet(tuple(found))
    rules = read(compile(scopes, {"t": "t"}, inspected=True).artefacts[0].text)
    url = f"{scheme}://{host}/{path}"
    try:
        allowed = decide(scopes, Request("t", "send", method, normalise_url(url))).allowed
    except UrlRefused:
        allowed = False
    assert (permits(rules, "t", method.upper(), url) is not None) == allowed
    assert permits(rules, "other", method, url) is None


@given(st.lists(grants, max_size=4), st.booleans())
def test_it_reads_back_equal(found: list[Grant], inspected: bool) -> None:
    """The list read back is what the scopes say, and without one of its lines it is not."""
    scopes = ScopeSet(tuple(found))
    artefact = compile(scopes, {"t": "t"}, [MODEL], inspected=inspected).artefacts[0]
    assert validate(artefact.text, scopes, {"t": "t"}, [MODEL], inspected=inspected) == ()
    fewer = "".join(f"{line.text}\n" for line in artefact.lines[:-1])
    assert len(validate(fewer, scopes, {"t": "t"}, [MODEL], inspected=inspected)) == 1


def test_lines_name_the_manifest() -> None:
    """Each line knows its grant and line; the provider's address is there although no scope says so."""
    (artefact,) = compile(SCOPES, PROCESSES, [MODEL], inspected=True).artefacts
    assert [(json.loads(line.text)["host"], line.grant, line.where) for line in artefact.lines] == [
        ("api.stripe.com", "charges", "agent.yaml:20"),
        ("localhost", "post", "agent.yaml:30"),
        ("api.openai.com", "", "agent.yaml:5"),
    ]


def test_without_inspection_only_the_host_of_https_counts() -> None:
    """What a proxy cannot see inside TLS is in no rule, and is listed as left over; plain HTTP is held whole."""
    made = compile(SCOPES, PROCESSES, inspected=False)
    rules = read(made.artefacts[0].text)
    assert connects(rules, "gateway", "API.stripe.com.", 443) == rules[0]
    assert connects(rules, "gateway", "api.stripe.com", 8443) is None
    assert connects(rules, "gateway", "93.184.216.34", 443) is None
    assert connects(rules, "summarise", "api.stripe.com", 443) is None
    assert connects(rules, "summarise", "localhost", 8080) is None
    assert permits(rules, "summarise", "POST", "http://localhost:8080/v1/x") is not None
    assert permits(rules, "summarise", "GET", "http://localhost:8080/v1/x") is None
    assert [(left.grant, left.clause, left.where) for left in made.remainder] == [
        ("charges", "object", "agent.yaml:20")
    ]


def test_what_a_proxy_cannot_hold_is_listed() -> None:
    """Asking and limits are for other layers."""
    grant = Grant("g", "stripe", "get", "https://a.test/*", "agent.yaml:1", ask=Ask(always=True), only=("query",))
    left = compile(ScopeSet((grant,)), PROCESSES, inspected=True).remainder
    assert [one.clause for one in left] == ["only", "ask"]


@pytest.mark.parametrize(
    "pattern", ["https://*.a.test/x", "https://a.test", "*://a.test/", "ftp://a.test/x", "https://u@a.test/"]
)
def test_what_is_not_one_host_is_an_error(pattern: str) -> None:
    """No rule stands for several hosts."""
    with pytest.raises(BedplateError) as caught:
        compile(ScopeSet((Grant("g", "stripe", "get", pattern, "agent.yaml:3"),)), PROCESSES)
    (problem,) = caught.value.problems
    assert (problem.code, str(problem.where)) == ("BP853", "agent.yaml:3")


@pytest.mark.parametrize(
    "line",
    ["{}", "x", "[]", '{"process": "a", "scheme": "https", "host": "h", "port": 1, "methods": ["any"], "path": null}'],
)
def test_a_list_of_another_shape_is_a_difference(line: str) -> None:
    """A line that is no rule is said, never skipped."""
    assert validate(line, ScopeSet(), {}) != ()
