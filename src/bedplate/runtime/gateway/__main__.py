"""`python -I -m bedplate.runtime.gateway CONFIG.json`: the gateway process, as the supervisor starts it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from bedplate.problems import BedplateError
from bedplate.runtime.gateway.config import load_config
from bedplate.runtime.gateway.connections import raise_descriptors, tell_accept_errors_seldom
from bedplate.runtime.gateway.gateway import Gateway, build, secrets_for
from bedplate.runtime.gateway.inner import Inner
from bedplate.runtime.gateway.serving import AgentFaces, Server
from bedplate.runtime.masking import Mask, mask_logs

log = logging.getLogger("bedplate.gateway")


async def serve(gateway: Gateway, inner: Inner, listener: socket.socket, agents: int | None) -> None:
    """Run until SIGTERM or SIGINT. The callers' socket is served last, so that who answers `/ping` is ready."""
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    tell_accept_errors_seldom(loop)
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, told_to_stop.set)
    faces, outer = AgentFaces(inner.for_agent, gateway.turns.agent_gone), Server(gateway.outer.app, listener)
    try:
        await gateway.start()
        if agents is not None:
            faces.attach(agents)
        await outer.begin()
        await told_to_stop.wait()
        await gateway.stop()
    finally:
        await asyncio.gather(outer.end(), faces.end())
        await gateway.close()


def main(arguments: list[str]) -> int:
    """Start and serve. A problem is told on standard error, which is the process's log; the exit code is then 1."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("httpx2", "httpcore2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it warns of every request that is no HTTP
    raise_descriptors()
    try:
        config = load_config(Path(arguments[0]))
        mask_logs(Mask(*secrets_for(config)))
        gateway, inner = build(config)
        listener = socket.socket(fileno=int(os.environ["BEDPLATE_LISTEN_FD"]))
        listener.setblocking(False)
        agents = os.environ.get("BEDPLATE_AGENT_FD")
        asyncio.run(serve(gateway, inner, listener, int(agents) if agents else None))
    except BedplateError as error:
        for problem in error.problems:
            log.error("%s: %s %s", problem.code, problem.summary, problem.detail)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
