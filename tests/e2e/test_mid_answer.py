"""kill -9 in mid-answer, through the whole product: what the caller gets, and that an effect happens once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import httpx2
import pytest

from cli_support import Ran, ok, pids_of
from stage_support import Bookings, Model, Stage, code_of, stage, start_time, wait_for

BOOK = 'call hotel___book {"body": {"room": "7"}}'


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    served = Model()
    yield served
    served.close()


@pytest.fixture(scope="module")
def hotel() -> Iterator[Bookings]:
    served = Bookings()
    yield served
    served.close()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, model: Model, hotel: Bookings) -> Iterator[Stage]:
    """An agent with a scripted model and one tool that has an effect."""
    manifest = f"""\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {{name: concierge}}
intent: script
model: {{id: "scripted:m", baseUrl: "{model.url}/v1"}}
instructions: Book rooms.
tools:
  - name: hotel
    type: http
    openapi: {{file: hotel.json}}
    scopes: [{{post: "{hotel.url}/bookings"}}]
memory:
  sessions: {{retention: 30d}}
limits: {{timeout: 30s}}
stages:
  prototype: {{target: local}}
"""
    folder = tmp_path_factory.mktemp("concierge")
    with stage(folder, manifest, **{"hotel.json": hotel.openapi()}) as found:
        yield found


@pytest.fixture(autouse=True)
def ready(product: Stage, model: Model, hotel: Bookings) -> None:
    """Every process runs, model and service hold what they are asked, and nothing was asked before."""
    wait_for(lambda: product.status()["healthy"], "the stage did not recover from the test before")
    model.seen.clear()
    model.release.clear()
    hotel.held.bookings.clear()
    hotel.held.release.clear()


def asking(product: Stage, question: str) -> tuple[threading.Thread, list[Ran]]:
    """Ask while the test does other things."""
    results: list[Ran] = []
    thread = threading.Thread(target=lambda: results.append(product.ask(question)))
    thread.start()
    return thread, results


def kill_and_wait(product: Stage, name: str) -> None:
    """kill -9, and wait until the supervisor started another."""
    victim = product.pid(name)
    before = start_time(victim)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: start_time(victim) != before, f"{name} did not die")
    wait_for(lambda: product.status()["healthy"], f"{name} was not started again")


@pytest.mark.parametrize("name", ["agent", "gateway"])
def test_death_while_the_model_thinks(product: Stage, model: Model, name: str) -> None:
    """Whichever of the two dies while the model thinks, the caller gets the answer, from a turn that ran again."""
    thread, results = asking(product, "slow all is well")
    wait_for(lambda: model.seen, "the model was not asked")
    kill_and_wait(product, name)
    model.release.set()
    thread.join(60)
    assert results[0].code == 0, results[0].err
    assert results[0].json["output"] == "all is well"
    assert model.seen == ["slow all is well"] * 2


@pytest.mark.parametrize("name", ["agent", "gateway"])
def test_death_in_a_call_with_an_effect(product: Stage, hotel: Bookings, name: str) -> None:
    """A call that may have happened is not made again: the caller is told its name, and there is one booking."""
    thread, results = asking(product, BOOK)
    wait_for(lambda: hotel.held.bookings, "the service was not asked")
    kill_and_wait(product, name)
    hotel.held.release.set()
    thread.join(60)
    assert code_of(results[0]) == "BP415"
    assert "hotel.book" in results[0].out + results[0].err
    assert hotel.held.bookings == [{"room": "7"}]
    assert product.answer("say the next question") == "the next question"
    assert hotel.held.bookings == [{"room": "7"}]


def test_death_of_the_agent_after_an_effect(product: Stage, model: Model, hotel: Bookings) -> None:
    """Also a call that had ended before the agent died is not made again."""
    hotel.held.release.set()
    thread, results = asking(product, BOOK.replace("call", "then-slow"))
    wait_for(lambda: hotel.held.bookings and model.waiting.is_set(), "the model was not asked after the call")
    kill_and_wait(product, "agent")
    model.release.set()
    thread.join(60)
    assert code_of(results[0]) == "BP415"
    assert len(hotel.held.bookings) == 1


def test_the_conversation_goes_on_after_the_gateway_died(product: Stage, model: Model) -> None:
    """A conversation goes on although the gateway died in its second turn, and that turn is in it once."""
    first = product.ask("say one").json["session"]
    thread, results = _in_session(product, "slow two", first)
    wait_for(lambda: model.seen[-1:] == ["slow two"], "the model was not asked")
    kill_and_wait(product, "gateway")
    model.release.set()
    thread.join(60)
    assert results[0].code == 0, results[0].err
    assert product.ask("history", "--session", str(first)).json["output"] == "say one|one|slow two|two|history"


def test_a_key_gets_the_answer_after_the_gateway_died(product: Stage, model: Model) -> None:
    """A caller with a key that lost the connection asks again with it, and one turn stands behind both."""
    body, key = {"input": "slow keyed"}, {"Idempotency-Key": "key-1"}
    broken: list[Exception] = []

    def first() -> None:
        try:
            with product.client() as client:
                client.post("/invocations", json=body, headers=key)
        except httpx2.HTTPError as error:
            broken.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    wait_for(lambda: model.seen, "the model was not asked")
    kill_and_wait(product, "gateway")
    thread.join(60)
    assert broken
    model.release.set()
    with product.client() as client:
        answers = [client.post("/invocations", json=body, headers=key).json() for _ in range(2)]
    assert answers[0]["output"] == "keyed"
    assert answers[0] == answers[1]


def test_nothing_is_left_behind(product: Stage) -> None:
    """After all of that the stage has the processes it began with, no turn runs, and `destroy` leaves nothing."""
    names = sorted(p["name"] for p in product.status()["processes"])
    assert names == ["agent", "gateway", "sink"]
    with product.client() as client:
        assert client.get("/ping").json()["status"] == "Healthy"
    wait_for(lambda: _every_trace_ended(product), "a turn has no end in its trace")
    product.destroy()
    assert not pids_of(product.folder)


def _in_session(product: Stage, question: str, session: str) -> tuple[threading.Thread, list[Ran]]:
    results: list[Ran] = []
    thread = threading.Thread(target=lambda: results.append(product.ask(question, "--session", session)))
    thread.start()
    return thread, results


def _every_trace_ended(product: Stage) -> bool:
    listed = ok(product.folder, "traces", "list", "--json").json["traces"]
    return {trace["status"] for trace in listed} == {"ok", "error"}
