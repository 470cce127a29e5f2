"""The gateway: the only process that holds credentials, and the only way out of the agent.

Goes in: `run/gateway.json` (`config`), callers' requests (`outer`), the agent's requests (`inner`). Comes out: answers,
rows in the store, spans. Every call of the agent carries the capability of one turn and is decided by `access.decide`
(`dispatch`). It reads no manifest and changes nothing of a stage but its memory.
"""
