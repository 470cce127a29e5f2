"""Bedplate: one `agent.yaml` compiled into an agent that can be answered for.

Goes in: a manifest. Comes out: running processes, scopes, memory, traces, eval results. This module holds the version
only, so that `bedplate --version` imports nothing else.
"""

__version__ = "0.1.0"
