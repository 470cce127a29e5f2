"""Many people at once: everyone gets the answer to their own question, as themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from cli_support import ok
from stage_support import Stage

NAMES = (
    *("Avocet", "Bittern", "Curlew", "Dunlin", "Egret", "Fulmar", "Gannet", "Heron", "Ibis", "Jackdaw"),
    *("Kestrel", "Lapwing", "Merlin", "Nuthatch", "Osprey", "Plover", "Quail", "Redstart", "Siskin", "Turnstone"),
)
EACH = 10
QUESTIONS = {
    "How long do I have to return an order?": "60 days",
    "What is my name?": "",
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The scaffolded support agent, up."""
    folder = tmp_path_factory.mktemp("agent")
    ok(folder, "init", ".", "--template", "support", "--intent", "product", "--name", "support")
    ok(folder, "up")
    found = Stage(folder)
    yield found
    found.destroy()


async def _ask(client: httpx2.AsyncClient, user: str, question: str) -> tuple[str, str, dict[str, Any]]:
    reply = await client.post("/invocations", json={"input": question, "userId": user})
    assert reply.status_code == 200, reply.text
    return user, question, reply.json()


async def test_two_hundred_at_once(agent: Stage) -> None:
    """200 questions of 20 users at once: no error, a session each, and each name told back to its owner only."""
    limits = httpx2.Limits(max_connections=250, max_keepalive_connections=250)
    async with httpx2.AsyncClient(
        base_url=agent.url, headers=agent.headers, trust_env=False, timeout=120, limits=limits
    ) as client:
        await asyncio.gather(*(_ask(client, name.lower(), f"My name is {name}.") for name in NAMES))
        questions = [list(QUESTIONS)[number % 2] for number in range(EACH)]
        answers = await asyncio.gather(*(_ask(client, name.lower(), q) for q in questions for name in NAMES))
    assert len(answers) == 200
    assert len({answer["sessionId"] for _, _, answer in answers}) == 200
    assert len({answer["turnId"] for _, _, answer in answers}) == 200
    assert len({answer["traceId"] for _, _, answer in answers}) == 200
    for user, question, answer in answers:
        expected = QUESTIONS[question] or user.capitalize()
        assert expected in answer["output"]
        others = [name for name in NAMES if name.lower() != user and name in answer["output"]]
        assert not others, f"{user} was told of {others}"
    assert all(p["restarts"] == 0 for p in agent.status()["processes"])
