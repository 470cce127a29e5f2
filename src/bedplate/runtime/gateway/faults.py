"""The gateway's own errors, each with its code. Goes in: what was at fault. Comes out: `BedplateError`s to raise.

Their HTTP statuses stand in `STATUS`; what they mean at length in `problems/codes/gateway.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bedplate.problems import BedplateError, Problem

STATUS: Final[Mapping[str, int]] = {
    "BP400": 400, "BP401": 401, "BP402": 413, "BP403": 400, "BP404": 400, "BP405": 409, "BP406": 503, "BP407": 503,
    "BP408": 404, "BP409": 500, "BP410": 429, "BP411": 429, "BP412": 429, "BP413": 429, "BP414": 504, "BP415": 502,
    "BP416": 502, "BP417": 503, "BP418": 502, "BP419": 502, "BP420": 400, "BP421": 503, "BP422": 409, "BP423": 404,
    "BP424": 503, "BP430": 401, "BP431": 403,
    "BP461": 403, "BP463": 409, "BP475": 400, "BP477": 400, "BP479": 504, "BP491": 429, "BP494": 504,
    "BP606": 400, "BP607": 413,
}  # fmt: skip
"""The HTTP status of a code; 502 for every other, which comes from a tool, a model or the store."""


def _error(code: str, summary: str, fix: str = "", detail: str = "") -> BedplateError:
    return BedplateError(Problem(code, summary, detail=detail, fix=fix))


# A caller's request


def bad_request(what: str) -> BedplateError:
    """The request is not what its route takes."""
    return _error("BP400", f"the request cannot be used: {what}", "See docs/http.md for the shape of a request.")


def unauthorized() -> BedplateError:
    """No API key, or a wrong one."""
    return _error("BP401", "the API key is missing or wrong", "Send `Authorization: Bearer <key>`.")


def too_large(limit: int) -> BedplateError:
    """A body over `limit` bytes."""
    return _error("BP402", f"the request is larger than {limit} bytes", "Send less in one request.")


def bad_input(what: str) -> BedplateError:
    """The question itself is empty or too long."""
    return _error("BP403", f"the input {what}", "Send a question of reasonable length as text.")


def bad_name(what: str) -> BedplateError:
    """A session, user or idempotency key that cannot be one."""
    return _error("BP404", f"{what} must be 1 to 256 characters out of A-Z a-z 0-9 . _ : - @ +", "Send another value.")


def key_reused() -> BedplateError:
    """An idempotency key that stands for another question."""
    return _error(
        "BP405", "this idempotency key was used for another question", "Send a new key with each new question."
    )


def queue_full() -> BedplateError:
    """More turns wait than may."""
    return _error("BP406", "too many turns are waiting", "Ask again later.")


def stopping() -> BedplateError:
    """The gateway is about to end."""
    return _error("BP407", "the gateway is stopping", "Ask again in a moment, with the same Idempotency-Key.")


def no_route(method: str, path: str) -> BedplateError:
    """A path or method that does not exist."""
    return _error("BP408", f"there is nothing at {method} {path[:100]}", "See docs/http.md for what exists.")


def internal() -> BedplateError:
    """A fault of the gateway itself."""
    return _error("BP409", "the gateway failed at this request", "See `bedplate logs gateway`, and report it.")


# A turn


def over_limit(name: str, limit: float, where: str) -> BedplateError:
    """A turn went past one of its limits."""
    code = {"requests": "BP410", "toolCalls": "BP411", "tokens": "BP412", "cost": "BP413"}[name]
    what = f"{limit:g} US dollars" if name == "cost" else f"{limit:g}"
    place = f" ({where})" if where else ""
    return _error(code, f"the turn went past limits.{name}: {what}{place}", f"Raise limits.{name}, or ask for less.")


def timed_out(limit: float) -> BedplateError:
    """A turn took longer than it may."""
    return _error("BP414", f"the turn took longer than limits.timeout: {limit:g} s", "Raise it, or ask for less.")


def died_after(calls: str) -> BedplateError:
    """The agent or gateway died when a call may have had an effect."""
    return _error(
        "BP415", f"the turn broke off after {calls} had started, and is not repeated",
        "Look whether the call had its effect before you ask again.",
    )  # fmt: skip


def died_twice() -> BedplateError:
    """The agent died in both attempts."""
    return _error("BP416", "the agent died in this turn, twice", "See `bedplate logs agent`.")


def nobody_took_it(limit: float) -> BedplateError:
    """No agent asked for work in time."""
    return _error(
        "BP417", f"no agent took the turn within {limit:g} s", "See `bedplate status`, `bedplate logs agent`."
    )


def interrupted() -> BedplateError:
    """The gateway ended in the middle of a turn that nobody can ask for again."""
    return _error("BP418", "the gateway was restarted in the middle of this turn", "Send it with an Idempotency-Key.")


def agent_failed(message: str) -> BedplateError:
    """What the agent itself reported."""
    return _error("BP419", f"the agent failed: {message}", "See `bedplate traces` for the turn.")


def bad_stream(what: str) -> BedplateError:
    """The agent's report on a turn cannot be read."""
    return _error("BP420", f"the agent's report on the turn {what}", "See `bedplate logs agent`.")


def still_waiting(ask: str) -> BedplateError:
    """Going on with what nobody has decided yet."""
    return _error("BP422", f"{ask} still waits for a person", "Decide it: `bedplate asks`.")


def frozen(words: str) -> BedplateError:
    """The stage is frozen: nothing is done."""
    return _error("BP424", words, "When it is safe again: `bedplate thaw`.")


def no_ask(ask: str) -> BedplateError:
    """An ask that is not there, or is another user's: which of the two is not told."""
    return _error("BP423", f"there is no ask {ask[:64]} of this user", "Use the id that an answer named.")


# The agent's requests


def too_much_at_once() -> BedplateError:
    """Bodies of an agent that together are more than the gateway holds for it."""
    return _error("BP421", "the agent sends too much at once", "Send less at a time, or the same again later.")


def no_capability() -> BedplateError:
    """No capability, one that never was, or one whose turn is over."""
    return _error("BP430", "this needs the capability of a running turn")


def other_turn() -> BedplateError:
    """A capability used for a turn that is not its own."""
    return _error("BP431", "this capability is for another turn")


# Tools


def denied(reason: str) -> BedplateError:
    """The decider said no."""
    return _error("BP440", f"not allowed: {reason}")


def bad_arguments(name: str, what: str) -> BedplateError:
    """Arguments outside the operation's schema."""
    return _error("BP441", f"the arguments of {name} are refused: {what}")


def no_operation(name: str) -> BedplateError:
    """An operation that does not exist or is not granted: which of the two is not told."""
    return _error("BP442", f"there is no tool {name}")


def slow_tool(name: str) -> BedplateError:
    """A call that did not end before the turn's deadline."""
    return _error("BP443", f"{name} did not answer in time")


def broken_tool(name: str, kind: str) -> BedplateError:
    """A tool that raised what it should have answered."""
    return _error("BP444", f"{name} failed ({kind})")


# Starting


def no_secret(name: str, why: str) -> BedplateError:
    """A secret that is not where it belongs."""
    return _error("BP448", f"secret {name} cannot be read", "Run `bedplate up` again.", why)


def bad_config(name: str, why: str) -> BedplateError:
    """A configuration that is none."""
    return _error("BP449", f"{name} cannot be read as the gateway's configuration", "Run `bedplate up` again.", why)


def stored(error: BedplateError) -> str:
    """An error as the store keeps it with a turn."""
    problem = error.problems[0]
    return f"{problem.code}: {problem.summary}"


def restored(text: str) -> BedplateError:
    """The error that `stored` wrote."""
    code, _, summary = text.partition(": ")
    return _error(code, summary, f"See `bedplate explain {code}`.")


def status_of(error: BedplateError) -> int:
    """The HTTP status for an error."""
    return STATUS.get(error.problems[0].code, 502)
