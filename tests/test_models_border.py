"""Providers that lie: endless and oversized answers, rubbish in every field, empty answers, keys that come back."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.responses import JSONResponse, Response, StreamingResponse

from bedplate.problems import BedplateError
from bedplate.runtime.models import ModelRouter
from bedplate.runtime.models.border import checked
from models_support import Upstream, delta, router, serving, spec, sse, text_stream

ASK = {"messages": [{"role": "user", "content": "hi"}]}
KEY = "sekrit-0123456789"


class _Loader(yaml.SafeLoader):
    """YAML with `!repeat [x, n]` and `!join [text, …]`."""


def _repeat(loader: _Loader, node: yaml.SequenceNode) -> Any:
    value, times = loader.construct_sequence(node, deep=True)
    return value * times


_Loader.add_constructor("!repeat", _repeat)
_Loader.add_constructor("!join", lambda loader, node: "".join(loader.construct_sequence(node, deep=True)))


def cases(name: str) -> dict[str, dict[str, Any]]:
    """The cases of a file by name."""
    text = (Path(__file__).parent / "cases/models" / name).read_text("utf-8")
    return {case["name"]: case for case in yaml.load(text, _Loader)}


def answer(case: Mapping[str, Any]) -> Response:
    """What the provider of a case answers."""
    match case:
        case {"endless": {"start": start, "again": again, "media": media}}:
            return StreamingResponse(endless(start, again), media_type=media)
        case {"events": events}:
            return sse(*events, done=case.get("dialect") != "anthropic")
        case {"body": body}:
            return JSONResponse(body)
        case _:
            return Response(case["text"].encode("utf-8", "surrogateescape"), media_type=case.get("media", "text/html"))


async def endless(start: str, again: str) -> AsyncIterator[str]:
    """Never ends. Gives way, so that the server notices who hangs up."""
    yield start
    while True:
        yield again
        await asyncio.sleep(0)


def model_of(case: Mapping[str, Any]) -> str:
    """A model whose provider speaks the case's dialect."""
    return "anthropic:m" if case.get("dialect") == "anthropic" else "mine:m"


def good(case: Mapping[str, Any]) -> Callable[[], Response]:
    """An answer in the case's dialect that says "second"."""
    if case.get("dialect") != "anthropic":
        return lambda: text_stream("second")
    block = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "second"}}
    end = [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    return lambda: sse(block, *end, done=False)


async def streamed(model: ModelRouter) -> tuple[list[dict[str, Any]], BedplateError | None]:
    """The deltas that a caller gets, and the error that ends them."""
    said: list[dict[str, Any]] = []
    try:
        async for piece in model.stream(ASK, deadline=time.time() + 20):
            said += [c["delta"] for c in piece.data["choices"]]
    except BedplateError as error:
        return said, error
    return said, None


RUBBISH = cases("rubbish.yaml")


@pytest.mark.parametrize("name", RUBBISH)
async def test_rubbish_leads_to_the_fallback_and_without_one_to_bp470(name: str) -> None:
    """No word of an answer without end or of wrong types is passed on; the next model answers, or BP470 says why."""
    case = RUBBISH[name]
    other = model_of(case).replace(":m", ":other")
    async with serving(Upstream(lambda: answer(case), good(case), lambda: answer(case)).app()) as url:
        reply = await router(spec(url, model_of(case), fallback=(other,))).chat(ASK, deadline=time.time() + 20)
        said, error = await streamed(router(spec(url, model_of(case))))
    assert (reply.model, reply.body["choices"][0]["message"]["content"]) == (other, "second")
    assert said == []
    assert error is not None
    [problem] = error.problems
    assert problem.code == "BP470"
    assert case["says"] in problem.summary


BROKEN_OFF = cases("broken_off.yaml")


@pytest.mark.parametrize("name", BROKEN_OFF)
async def test_rubbish_after_the_first_word_is_an_answer_that_broke_off(name: str) -> None:
    """What was said stays said, nobody takes over, and BP476 says why."""
    case = BROKEN_OFF[name]
    async with serving(Upstream(lambda: answer(case)).app()) as url:
        fallback = (model_of(case).replace(":m", ":other"),)
        said, error = await streamed(router(spec(url, model_of(case), fallback=fallback)))
    assert said
    assert error is not None
    [problem] = error.problems
    assert problem.code == "BP476"
    assert case["says"] in problem.summary


UNDERSTOOD = cases("understood.yaml")


@pytest.mark.parametrize("name", UNDERSTOOD)
async def test_what_providers_add_to_the_plain_form_breaks_nothing(name: str) -> None:
    """Nulls, unknown fields, reasoning, parts and odd orders come to the same answer, streamed and whole."""
    case = UNDERSTOOD[name]
    async with serving(Upstream(lambda: answer(case)).app()) as url:
        model = router(spec(url, model_of(case)))
        reply = await model.chat(ASK, deadline=time.time() + 5)
        said, error = await streamed(model)
    [choice] = reply.body["choices"]
    calls = [call["function"]["name"] for call in choice["message"].get("tool_calls", ())]
    assert error is None
    assert (choice["message"]["content"] or "") == case.get("said", "") == "".join(d.get("content", "") for d in said)
    assert calls == case.get("calls", [])
    assert [c["function"]["name"] for d in said for c in d.get("tool_calls", ()) if "id" in c] == calls
    assert choice["finish_reason"] == ("tool_calls" if calls else "stop")
    if "usage" in case:
        assert [reply.input_tokens, reply.output_tokens] == case["usage"]


@pytest.mark.parametrize("model", ["mine:m", "anthropic:m"])
async def test_half_a_character_in_a_question_is_replaced(model: str) -> None:
    """What UTF-8 cannot hold is sent as a question mark, and the rest as it is."""
    up = Upstream(good({"dialect": "anthropic"} if model == "anthropic:m" else {}))
    async with serving(up.app()) as url:
        body = {"messages": [{"role": "user", "content": "grün \ud83d"}]}
        reply = await router(spec(url, model)).chat(body, deadline=time.time() + 5)
    assert reply.body["choices"][0]["message"]["content"] == "second"
    assert "grün ?" in repr(up.requests[0]["messages"])


EMPTY: dict[str, Callable[[], Response]] = {
    "a stream": lambda: sse(delta(role="assistant", content=""), delta("stop")),
    "one piece": lambda: JSONResponse({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}),
    "no tool calls": lambda: sse(delta(content=None, tool_calls=[]), delta("tool_calls")),
}


@pytest.mark.parametrize("case", EMPTY)
async def test_an_empty_answer_leads_to_the_fallback_and_the_last_one_is_passed_on(case: str) -> None:
    """Another model is asked where there is one; where there is none, the agent gets the empty answer."""
    async with serving(Upstream(EMPTY[case], lambda: text_stream("second"), EMPTY[case]).app()) as url:
        reply = await router(spec(url, fallback=("mine:other",))).chat(ASK, deadline=time.time() + 5)
        alone = await router(spec(url)).chat(ASK, deadline=time.time() + 5)
    assert reply.model == "mine:other"
    assert alone.body["choices"][0]["message"]["content"] == ""


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_an_answer_that_a_bound_or_a_filter_made_empty_is_the_answer(finish: str) -> None:
    """Another model would not mend that, so it is not asked."""
    async with serving(Upstream(lambda: sse(delta(finish))).app()) as url:
        reply = await router(spec(url, fallback=("mine:other",))).chat(ASK, deadline=time.time() + 5)
    assert (reply.model, reply.body["choices"][0]["finish_reason"]) == ("mine:m", finish)


async def test_a_compressed_answer_is_refused() -> None:
    """What was not asked for could unpack to a thousand times its size; it is not unpacked."""
    up = Upstream(lambda: Response(b"x", headers={"Content-Encoding": "gzip", "Content-Type": "text/event-stream"}))
    async with serving(up.app()) as url:
        with pytest.raises(BedplateError, match=r"BP470.*compressed"):
            await router(spec(url)).chat(ASK, deadline=time.time() + 5)
    assert up.headers[0]["accept-encoding"] == "identity"


ERRORS = {
    "a refused key": (lambda: JSONResponse({"error": {"message": f"user {KEY} sorry"}}, 401), "BP474"),
    "a key where the message is cut": (lambda: JSONResponse({"error": "y " * 115 + KEY}, 500), "BP470"),
    "an error within a stream": (lambda: sse({"error": {"message": f"user {KEY} sorry"}}), "BP470"),
    "a refused request": (lambda: JSONResponse({"message": f"user {KEY} sorry"}, 400), "BP477"),
    "an error in the middle": (lambda: sse(delta(content="x"), {"error": f"user {KEY} sorry"}), "BP476"),
    "an error of Anthropic": (lambda: sse({"type": "error", "error": {"message": f"user {KEY} sorry"}}), "BP470"),
}


@pytest.mark.parametrize("case", ERRORS)
async def test_a_key_that_a_provider_repeats_is_in_no_problem(case: str) -> None:
    """Neither the key nor its beginning stands in a problem, nor in what a log would print of it."""
    said, code = ERRORS[case]
    async with serving(Upstream(said).app()) as url:
        _, error = await streamed(router(spec(url, "anthropic:a" if "Anthropic" in case else "mine:m")))
    assert error is not None
    assert error.problems[0].code == code
    assert "sekrit-0" not in repr(error.problems)
    assert "[secret] sorry" in repr(error.problems) or "is cut" in case
    assert "sekrit-0" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_a_key_in_an_answer_is_taken_out_however_it_is_cut(size: int) -> None:
    """Text, reasoning and arguments pass with the key replaced, and all else as it was, its beginnings too."""
    text = f"se {KEY}{KEY} seksekrit-01234 {KEY} sek"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    call = {"index": 0, "id": KEY, "function": {"name": f"f{KEY}"}}
    begun = [delta(content=p, reasoning=p, tool_calls=[{"index": 0, "function": {"arguments": p}}]) for p in pieces]
    async with serving(Upstream(lambda: sse(delta(tool_calls=[call]), *begun, delta("stop"))).app()) as url:
        model = router(spec(url))
        said, error = await streamed(model)
        message = (await model.chat(ASK, deadline=time.time() + 5)).body["choices"][0]["message"]
    clean = text.replace(KEY, "[secret]")
    calls = [c for d in said for c in d.get("tool_calls", ())]
    assert error is None
    assert message["content"] == "".join(d.get("content", "") for d in said) == clean
    assert "".join(d.get("reasoning", "") for d in said) == clean
    assert message["tool_calls"][0]["function"] == {"name": "f[secret]", "arguments": clean}
    assert "".join(c["function"].get("arguments", "") for c in calls) == clean
    assert calls[0]["id"] == "[secret]"


async def test_a_stand_in_for_a_key_takes_nothing_out() -> None:
    """A key as short as "none" is none, and the word stays in answers."""

    async def stream() -> Any:
        yield delta("stop", content="none at all")

    [chunk] = [data async for data in checked(stream(), "none")]
    assert chunk["choices"][0]["delta"] == {"content": "none at all"}


@pytest.mark.parametrize("key", ["schlüssel-1234", "sk-12\u201334", "sk 1234", "sk-12\n34"])
async def test_a_secret_that_no_header_can_hold_is_said_by_its_name(key: str) -> None:
    """BP496 names the secret and the variable, without the value, and nothing is sent."""
    up = Upstream(lambda: text_stream("x"))
    async with serving(up.app()) as url:
        model = ModelRouter(spec(url), read_secret=lambda _: key, search_tools=frozenset, local_url=None)
        _, error = await streamed(model)
    assert error is not None
    [problem] = error.problems
    assert (problem.code, up.requests) == ("BP496", [])
    assert "the-key" in problem.summary
    assert "THE_KEY" in problem.fix
    assert key not in repr(problem)
