"""The managed loop: `python -I -m bedplate.runtime.agent CONFIG.json`, inside the sandbox.

Goes in: jobs from the gateway (docs/internals.md, "The agent's side of the gateway"). Comes out: each turn's events. It
knows one address, `http://127.0.0.1:$BEDPLATE_PORT`, holds no credentials but the turn's capability, writes no file.

It imports neither `openai`, `mcp` nor `pydantic_ai.mcp`, and of pydantic-ai as little as it can: those cost memory and
seconds in every stage, and that library's minor versions come weekly.
"""
