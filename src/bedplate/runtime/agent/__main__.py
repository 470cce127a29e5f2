"""`python -I -m bedplate.runtime.agent CONFIG.json`, with `BEDPLATE_PORT` in the environment."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

from bedplate.problems import BedplateError
from bedplate.runtime.agent.job import gateway_url, read_config


def main(arguments: list[str]) -> int:
    """Runs the agent; 0 when it was asked to stop, 1 when it could not start."""
    try:
        config = read_config(Path(arguments[0] if arguments else "agent.json"))
        url = gateway_url(os.environ)
    except BedplateError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    gc.disable()  # importing makes garbage of nothing: the collector only costs a tenth of the start
    from bedplate.runtime.agent.loop import serve

    gc.enable()
    gc.freeze()
    asyncio.run(serve(config, url))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
