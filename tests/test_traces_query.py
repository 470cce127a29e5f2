"""Queries and the text tree, over segments written directly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedplate.problems import BedplateError
from bedplate.problems.catalogue import catalogue
from bedplate.traces import conventions as c
from bedplate.traces.erasure import erase_person
from bedplate.traces.query import get_trace, list_traces, message_text, tail, to_json
from bedplate.traces.redact import Redactor
from bedplate.traces.render import render_trace
from bedplate.traces.rows import span_rows
from bedplate.traces.segments import Writer
from bedplate.traces.tree import TraceSpan, preorder
from traces_support import message, span_id, trace_id

NOON = 1_800_014_400  # 2027-01-15 12:00 UTC


def write(folder: Path, *spans: dict[str, Any], at: float = NOON) -> None:
    writer = Writer(folder, clock=lambda: at)
    rows, refused = span_rows(message(*spans), Redactor(content="full"))
    assert refused == 0
    writer.write(rows)
    writer.close()


def root(number: int, at: float = NOON, **more: Any) -> dict[str, Any]:
    start = int(at * 1e9)
    return {
        "trace": trace_id(number), "span": span_id(number), "name": "invoke_agent support", "start": start,
        "end": start + 2_000_000_000, c.OPERATION: c.INVOKE_AGENT, c.AGENT_NAME: "support", c.CONVERSATION: "s1",
        c.INPUT_MESSAGES: json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"question {number}"}]}]),
        **more,
    }  # fmt: skip


def child(number: int, of: int, span: int, **more: Any) -> dict[str, Any]:
    start = NOON * 10**9 + span * 1_000_000
    fields = {"name": f"step {span}", "start": start, "end": start + 500_000, "parent": span_id(of)}
    return {"trace": trace_id(number), "span": span_id(span), **fields, **more}


def test_the_latest_come_first_and_filters_hold(tmp_path: Path) -> None:
    """Traces are listed newest first, over several days, by time, session, stage, status and words."""
    write(tmp_path, root(1, NOON - 86_400), at=NOON - 86_400)
    write(tmp_path, root(2, NOON, **{c.CONVERSATION: "s2"}), root(3, NOON + 1, status=2, message="model away"))
    ids = [s.trace_id for s in list_traces(tmp_path)]
    assert ids == [trace_id(n).hex() for n in (3, 2, 1)]

    def found(**given: Any) -> list[int]:
        return [int(s.trace_id, 16) for s in list_traces(tmp_path, **given)]

    assert found(limit=2) == [3, 2]
    assert found(since=NOON) == [3, 2]
    assert found(session="s2") == [2]
    assert found(status="error") == [3]
    assert found(status="ok") == [2, 1]
    assert found(stage="prototype", text="QUESTION 1") == [1]
    assert found(stage="prod") == []
    for absent in ("100%", "_", "role", "user", "content", "messages"):
        assert found(text=absent) == []
    assert list_traces(tmp_path)[0].error == "model away"


def test_quotes_are_found(tmp_path: Path) -> None:
    """Text with quotes and accents is found although it is stored as JSON inside JSON."""
    said = json.dumps([{"role": "user", "content": 'he said "né" twice\\n'}])
    write(tmp_path, root(1, **{c.TOOL_RESULT: 'he said "no" twice'}), root(2, **{c.INPUT_MESSAGES: said}))
    assert [s.trace_id for s in list_traces(tmp_path, text='said "no"')] == [trace_id(1).hex()]
    assert [s.trace_id for s in list_traces(tmp_path, text='SAID "né" TWICE\\')] == [trace_id(2).hex()]


def test_no_traces_is_an_empty_list(tmp_path: Path) -> None:
    """A folder that is not there, or empty, has no traces."""
    assert list_traces(tmp_path / "missing") == []
    assert list_traces(tmp_path) == []


def begins(prefix: str) -> dict[str, Any]:
    return root(1, trace=bytes.fromhex(prefix.ljust(32, "0")))


def test_a_prefix_is_enough_if_it_is_one_traces(tmp_path: Path) -> None:
    """A trace is found by the beginning of its id; no match and several matches are different errors."""
    write(tmp_path, begins("abc0"), begins("abc1"), begins("def"))
    assert get_trace(tmp_path, " DEF ").summary.input.startswith("question")
    for prefix, code in (("ab", "BP602"), ("123", "BP601"), ("", "BP601"), ("zz", "BP601"), ("%", "BP601")):
        with pytest.raises(BedplateError) as caught:
            get_trace(tmp_path, prefix)
        assert caught.value.problems[0].code == code
        assert code in catalogue()


def test_a_trace_over_midnight_is_whole(tmp_path: Path) -> None:
    """Spans that were received on two days make one trace."""
    midnight = NOON + 43_200
    write(tmp_path, child(1, 1, 2), at=midnight - 1)
    write(tmp_path, root(1, midnight - 2), at=midnight + 1)
    assert len(list(tmp_path.glob("*.db"))) == 2
    assert [span.depth for span in get_trace(tmp_path, trace_id(1).hex()).spans] == [0, 1]
    assert len(list_traces(tmp_path)) == 1


def test_a_turn_without_its_root_is_unfinished(tmp_path: Path) -> None:
    """A turn whose gateway died is listed as unfinished, and its spans are shown as orphans."""
    write(tmp_path, child(1, 99, 2, **{c.OPERATION: c.EXECUTE_TOOL, c.DECISION: "deny"}))
    (summary,) = list_traces(tmp_path, status="unfinished")
    assert list_traces(tmp_path, status="ok") == list_traces(tmp_path, status="error") == []
    assert (summary.status, summary.tool_calls, summary.denials) == ("unfinished", 1, 1)
    (span,) = get_trace(tmp_path, trace_id(1).hex()).spans
    assert span.orphan
    assert "parent missing" in render_trace(get_trace(tmp_path, trace_id(1).hex()))


def test_a_broken_segment_is_named(tmp_path: Path) -> None:
    """A damaged day is an error that names its file, not a shorter list."""
    write(tmp_path, root(1))
    (tmp_path / "2027-01-14.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(BedplateError, match=r"BP603.*2027-01-14"):
        list_traces(tmp_path)


def test_tail_gives_turns_as_they_end(tmp_path: Path) -> None:
    """`tail` starts with what comes after it began, gives each turn once, and a long turn when it ends."""
    write(tmp_path, root(1))
    steps: Iterator[Any] = iter([
        lambda: write(tmp_path, child(2, 2, 20)),
        lambda: write(tmp_path, root(2, NOON - 300), root(3)),
        lambda: None,
        lambda: write(tmp_path, root(4)),
    ])  # fmt: skip
    seen = []
    for summary in tail(tmp_path, clock=lambda: NOON + 5, sleep=lambda _: next(steps)()):
        seen.append(int(summary.trace_id, 16))
        if len(seen) == 3:
            break
    assert seen == [2, 3, 4]


def test_odd_numbers_stay_json(tmp_path: Path) -> None:
    """What JSON has no number for is text, so that a trace stays JSON and can be erased."""
    odd = {c.COST: float("nan"), "a": float("inf"), "b": [float("-inf")], "n": 2**63 - 1}
    write(tmp_path, root(1, **odd))
    (span,) = get_trace(tmp_path, trace_id(1).hex()).spans
    assert (span.cost, span.attributes["a"], span.attributes["b"], span.attributes["n"]) == (
        None,
        "inf",
        ["-inf"],
        2**63 - 1,
    )
    assert erase_person(tmp_path, "support", "nobody", token="t", sessions=["s1", ""]) == 1


def test_a_trace_is_json(tmp_path: Path) -> None:
    """A trace and a summary are plain JSON values."""
    write(tmp_path, root(1), child(1, 1, 2))
    trace = get_trace(tmp_path, trace_id(1).hex())
    assert json.loads(json.dumps(to_json(trace)))["spans"][1]["depth"] == 1
    assert json.loads(json.dumps(to_json(trace.summary)))["trace_id"] == trace.trace_id


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ('[{"role":"user","parts":[{"type":"text","content":"hi"}]}]', "hi"),
        ('[{"role":"system","content":"s"},{"role":"user","content":"hi"}]', "hi"),
        ('[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image"}]}]', "hi "),
        ("plain words", "plain words"),
        ("[]", "[]"),
        (None, ""),
        ("[1]", "1"),
        ('{"parts": null}', ""),
    ],
)
def test_the_text_of_messages_is_read_in_any_shape(messages: Any, text: str) -> None:
    """The preview shows the last message in OpenTelemetry's, OpenAI's and Anthropic's shapes, and never fails."""
    assert message_text(messages).strip() in (text.strip(), "")


def test_the_tree_shows_what_was_decided(tmp_path: Path) -> None:
    """The text tree has names, times, tokens, decisions with their line, denials and errors."""
    tool = {c.OPERATION: c.EXECUTE_TOOL, c.TOOL_NAME: "docs.search"}
    write(
        tmp_path,
        root(1),
        child(1, 1, 2, name="chat m", **{c.OPERATION: c.CHAT, c.INPUT_TOKENS: 900, c.OUTPUT_TOKENS: 80, c.COST: 0.002}),
        child(
            1,
            1,
            3,
            name="execute_tool docs.search",
            **tool,
            **{c.DECISION: "allow", c.GRANT: "g1", c.GRANT_WHERE: "agent.yaml:12"},
        ),
        child(1, 1, 4, name="execute_tool mail.send", **tool, **{c.DECISION: "deny", c.REASON: "no scope of mail"}),
        child(1, 1, 5, name="execute_tool crm.get", status=2, message="timed out", **tool),
    )
    shown = render_trace(get_trace(tmp_path, trace_id(1).hex()), width=120)
    assert "900→80 tokens · $0.0020" in shown
    assert "allow g1 agent.yaml:12" in shown
    assert "✗ execute_tool mail.send" in shown
    assert "deny · no scope of mail" in shown
    assert "└─ ✗ execute_tool crm.get" in shown
    assert "timed out" in shown
    assert "asked: question 1" in shown
    assert "900 tokens in, 80 out · $0.0020 · 3 tool calls, 1 denied" in shown


@pytest.mark.parametrize("width", [20, 40, 60, 80, 160])
def test_lines_fit_the_terminal(tmp_path: Path, width: int) -> None:
    """No line is wider than the terminal, from 40 columns up, wide characters and long names included."""
    long = {"name": "execute_tool " + "検索ツール" * 20, c.DECISION: "deny", c.REASON: "because " * 30}
    write(
        tmp_path, root(1, **{c.INPUT_MESSAGES: "word " * 100}), child(1, 1, 2, **long), child(1, 2, 3), child(1, 3, 4)
    )
    trace = get_trace(tmp_path, trace_id(1).hex())
    shown = render_trace(trace, width, content=True)
    for line in shown.splitlines():
        assert sum(2 if "ぁ" <= ch <= "鿿" else 1 for ch in line) <= max(width, 40)


def test_text_from_tools_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """Escape sequences and newlines in names, messages and content are shown, not sent."""
    evil = "\x1b[2J\x1b]0;owned\x07\r\u202eabc\nfake line"
    write(
        tmp_path,
        root(1, name=evil, status=2, message=evil, **{c.INPUT_MESSAGES: evil, c.CONVERSATION: evil}),
        child(1, 1, 2, name=evil),
    )
    trace = get_trace(tmp_path, trace_id(1).hex())
    shown = render_trace(trace, 100, content=True)
    assert not set("\x1b\x07\r\u202e") & set(shown)
    assert not any(line.startswith("fake line") for line in shown.splitlines())


def bare(number: int, parent: int, started: int) -> TraceSpan:
    parent_id = span_id(parent).hex() if parent else ""
    return TraceSpan(
        span_id(number).hex(), parent_id, "n", "", "agent", started, started, 0, "", "", "", "", "", "", "", None, None,
        None, {}, {}, [],
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=9))
def test_every_span_is_in_the_tree_once(links: list[tuple[int, int]]) -> None:
    """Whatever parents spans claim, circles and missing ones included, each is shown once and below its parent."""
    spans = [bare(n, parent, started) for n, (parent, started) in enumerate(links, 1)]
    tree = preorder(spans)
    assert sorted(s.span_id for s in tree) == sorted(s.span_id for s in spans)
    path: list[str] = []
    for span in tree:
        del path[span.depth :]
        assert span.depth == 0 or path[-1] == span.parent_id
        path.append(span.span_id)
    assert all(after.depth <= before.depth + 1 for before, after in pairwise(tree))


def test_a_chain_thousands_deep_is_shown(tmp_path: Path) -> None:
    """An agent that nests without end breaks neither the tree nor its rendering."""
    write(tmp_path, root(1), *(child(1, n, n + 1) for n in range(1, 3000)))
    trace = get_trace(tmp_path, trace_id(1).hex())
    assert trace.spans[-1].depth == 2999
    assert len(render_trace(trace, 80).splitlines()) > 3000
