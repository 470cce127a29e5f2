"""A call that waits for a person, through the whole product: declared, asked, decided, made once, gone on with."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from cli_support import bedplate, ok
from stage_support import Model, Stage, stage, wait_for

TILL = '''\
def pay(amount: float, to: str) -> str:
    """Pay somebody."""
    return f"paid {amount:g} to {to}"
'''
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {{name: cashier}}
intent: script
model: {{id: "scripted:m", baseUrl: "{url}/v1"}}
instructions: Pay.
tools:
  - name: till
    type: python
    entrypoint: till:pay
    scopes:
      - id: small
        call: pay
        where: {{amount: {{max: 100}}, to: {{in: [ada, bob]}}}}
        ask: {{amount: {{over: 50}}}}
        limit: {{calls: 3/1h}}
memory: {{sessions: {{retention: 30d}}}}
stages:
  prototype: {{target: local}}
"""


class Obliging(Model):
    """Makes the call that it is told was approved; else does what the question says."""

    def _do(self, request: Any, word: str, rest: str) -> None:
        approved = re.match(r"(\w+)\.(\w+) (\{.*\}) is approved", f"{word} {rest}")
        if approved:
            tool, operation, arguments = approved.groups()
            word, rest = "call", f"{tool}___{operation} {arguments}"
        super()._do(request, word, rest)


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    model = Obliging()
    try:
        with stage(tmp_path_factory.mktemp("till"), MANIFEST.format(url=model.url), **{"till.py": TILL}) as found:
            yield found
    finally:
        model.close()


def pay(till: Stage, amount: Any, to: str = "ada") -> dict[str, Any]:
    found: dict[str, Any] = ok(
        till.folder, "ask", f'call till___pay {{"amount": {amount}, "to": "{to}"}}', "--json"
    ).json
    return found


def test_arguments_are_decided_by_the_gateway(till: Stage) -> None:
    """Beyond `where` a call is denied with what the scope takes; within it, below `ask`, it is made."""
    assert "paid 50 to ada" in pay(till, 50)["output"]
    assert "it takes amount ≤ 100" in pay(till, 100.01)["output"]
    assert "it takes to in [ada, bob]" in pay(till, 1, "mallory")["output"]
    assert bedplate(till.folder, "access", "why", 'till.pay {"amount": 70, "to": "ada"}').out.startswith("ask ")


def test_a_person_agrees_and_the_conversation_goes_on(till: Stage) -> None:
    """The call waits with its exact arguments, outlives every process, is made once, and the answer comes."""
    first = pay(till, 70)
    (ask,) = first["asks"]
    assert ask["arguments"] == {"amount": 70, "to": "ada"}
    shown = ok(till.folder, "asks").out
    assert ask["id"] in shown
    assert "scope small agent.yaml:12" in shown
    for name in ("gateway", "agent"):
        _kill(till, name)
    went_on = ok(till.folder, "asks", "approve", ask["id"], "--comment", "known", "--resume", "--json").json
    assert (went_on["session"], went_on["asks"]) == (first["session"], [])
    assert "paid 70 to ada" in went_on["output"]
    again = till.ask('call till___pay {"amount": 70, "to": "ada"}', "--session", first["session"]).json
    assert again["asks"][0]["id"] != ask["id"]
    trace = ok(till.folder, "traces", "show", went_on["trace"]).out
    assert f"{ask['id']} approved by" in trace


def test_a_person_refuses(till: Stage) -> None:
    """The agent hears why, and the call is not made."""
    (ask,) = pay(till, 80)["asks"]
    ok(till.folder, "asks", "deny", ask["id"], "--comment", "no receipt")
    refused = till.ask('call till___pay {"amount": 80, "to": "ada"}', "--session", _session(till, ask["id"])).json
    assert "refused it" in refused["output"]
    assert "no receipt" in refused["output"]


def test_a_budget_holds_whoever_asks(till: Stage) -> None:
    """The fourth call within the hour is denied, and says when there is room again."""
    told = [pay(till, 1, "bob")["output"] for _ in range(3)]
    assert "the limit of scope small is reached: 0 of 3 calls left in 1 h" in told[-1]


def _kill(till: Stage, name: str) -> None:
    """kill -9, and wait for the next one."""
    before = till.pid(name)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: till.status()["healthy"] and till.pid(name) != before, name)


def _session(till: Stage, ask: str) -> str:
    found = ok(till.folder, "asks", "--all", "--json").json["asks"]
    return str(next(a["session"] for a in found if a["id"] == ask))
