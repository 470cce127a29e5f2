"""Models behind the gateway's proxy: which there are, how each is called, and the two that need no provider.

Goes in: a chat completions request of the agent (OpenAI's dialect; `anthropic_dialect` translates the other one).
Comes out: the answer with tokens and price. It holds keys only while calling, decides no access, stores nothing.

Imports are light here and in `providers`: the command line's `validate` uses `check`.
"""

from bedplate.runtime.models.api import ChatReply, Chunk
from bedplate.runtime.models.providers import check
from bedplate.runtime.models.router import ModelRouter

__all__ = ["ChatReply", "Chunk", "ModelRouter", "check"]
