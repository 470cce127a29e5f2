"""`ask` and `chat`: talk to a running agent."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage, User
from bedplate.cli.output import printable, say, show, show_json, show_line

if TYPE_CHECKING:
    from bedplate.release.running import RunningStage
    from bedplate.runtime.client import Answer

DEFAULT_USER = "me"

Session = Annotated[str | None, typer.Option("--session", help="Go on with this conversation.", metavar="ID")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("ask")(ask)
    app.command("chat")(chat)


def ask(
    question: Annotated[str, typer.Argument(help="What to ask; `-` reads standard input.")],
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    user: User = DEFAULT_USER,
    session: Session = None,
    as_json: AsJson = False,
) -> int:
    """Ask the agent one question and print its answer with its sources."""
    import asyncio

    running = _running(file, stage)
    text = _standard_input() if question == "-" else question
    answer = asyncio.run(_ask(running, text, user, session, stream=not as_json))
    if as_json:
        show_json(_document(answer))
    else:
        _after(answer)
        say(f"\nsession {answer.session}   trace {answer.trace[:12]}")
    return 0


def go_on(file: object, stage: str | None, decided: str, user: str, as_json: bool) -> int:
    """Let the agent go on with a call that was decided, and print its answer."""
    import asyncio

    answer = asyncio.run(_go_on(_running(file, stage), decided, user, stream=not as_json))
    if as_json:
        show_json(_document(answer))
    else:
        _after(answer)
    return 0


def chat(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    user: User = DEFAULT_USER,
    session: Session = None,
    as_json: AsJson = False,
) -> int:
    """Talk with the agent, line by line, in one session. An empty line or Ctrl-D ends it."""
    return _chat(_running(file, stage), user, session, as_json)


def _chat(running: RunningStage, user: str, session: str | None, as_json: bool) -> int:
    """Reads in the main thread, so that Ctrl-C ends the conversation at once."""
    import asyncio

    from bedplate.cli.output import fail
    from bedplate.problems import BedplateError

    if sys.stdin.isatty():
        say(f"{running.target.label} at {running.url}. An empty line ends the conversation.")
    while text := _line():
        try:
            answer = asyncio.run(_ask(running, text, user, session, stream=not as_json))
        except BedplateError as error:
            code = fail(error, as_json=as_json)
            if not sys.stdin.isatty():
                return code
            continue
        session = answer.session
        if as_json:
            show_line(_document(answer))
        else:
            _after(answer)
            show("")
    if session and sys.stdin.isatty():
        say(f"Go on later: bedplate chat --session {session}")
    return 0


def _standard_input() -> str:
    from bedplate.problems import BedplateError, Problem

    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BedplateError(Problem("BP712", "the question on standard input is not UTF-8")) from error


def _line() -> str:
    if sys.stdin.isatty():
        sys.stderr.write("› ")
        sys.stderr.flush()
    return sys.stdin.readline().strip()


def _running(file: object, stage: str | None) -> RunningStage:
    from pathlib import Path

    from bedplate.release.running import running_stage
    from bedplate.release.target import open_target

    return running_stage(open_target(Path(str(file)), stage))


def _write(piece: str) -> None:
    sys.stdout.write(_harmless(piece) if sys.stdout.isatty() else piece)
    sys.stdout.flush()


async def _go_on(running: RunningStage, decided: str, user: str, *, stream: bool) -> Answer:
    from bedplate.runtime.client import StageClient

    timeout = running.target.blueprint.limits.timeout
    async with StageClient(running.url, running.api_key, timeout=timeout) as client:
        return await client.resume(decided, user=user, on_text=_write if stream else None)


async def _ask(running: RunningStage, text: str, user: str, session: str | None, *, stream: bool) -> Answer:
    from bedplate.runtime.client import StageClient

    def again() -> None:
        say("\n(the agent was restarted and answers again)")

    timeout = running.target.blueprint.limits.timeout
    async with StageClient(running.url, running.api_key, timeout=timeout) as client:
        return await client.ask(text, user=user, session=session, on_text=_write if stream else None, on_reset=again)


def _harmless(piece: str) -> str:
    """Text of a model for a terminal, which must not be steered by it: of control characters only line breaks count."""
    return "".join(ch if ch in "\n\t" or unicodedata.category(ch) != "Cc" else "\ufffd" for ch in piece)


def _after(answer: Answer) -> None:
    """What follows the streamed text: a line break and the sources that the text does not name itself."""
    show("")
    missing = [source for source in answer.sources if source not in answer.output]
    if missing:
        show("\n".join(f"source: {printable(source)}" for source in missing))
    for ask in answer.asks:
        say(f"waits for a person: {ask['tool']}.{ask['operation']}   bedplate asks approve {ask['id']} --resume")


def _document(answer: Answer) -> dict[str, object]:
    return {
        "schema": "bedplate.dev/answer/v1",
        "ok": True,
        "output": answer.output,
        "sources": list(answer.sources),
        "session": answer.session,
        "turn": answer.turn,
        "trace": answer.trace,
        "usage": dict(answer.usage),
        "asks": [dict(ask) for ask in answer.asks],
    }
