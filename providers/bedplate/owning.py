"""Who owns a thing at a fixed place. Goes in: a stage, a type, an id. Comes out: the owner's mark, or whether it fits.

Two resources of a stack may for a moment stand for the same file or process: one with a new address in the stack is
made before the old one is deleted. Whoever made it last owns it, by a mark in its outputs and in a file of the stage;
a delete with another mark removes nothing. It never touches the thing itself.
"""

from __future__ import annotations

import secrets
from contextlib import suppress

from bedplate.providers.bedplate.inputs import write_private

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.provider import Properties, Property

OWNER = "owner"
"""The output that holds the mark."""
OWNED = {OWNER: Property("string", "The mark of the resource that owns it: a delete with another one does nothing.")}


def take(paths: StagePaths, kind: str, id: str) -> str:
    """Become the owner; returns the mark for the outputs."""
    mark = secrets.token_hex(8)
    write_private(paths.owner(kind, id), mark)
    return mark


def keep(paths: StagePaths, kind: str, id: str, outputs: Properties) -> str:
    """The mark of an owner that is updated, as it was; a new one where its state is older than marks."""
    return str(outputs[OWNER]) if outputs.get(OWNER) else take(paths, kind, id)


def release(paths: StagePaths, kind: str, id: str, outputs: Properties) -> bool:
    """Give the thing up; whether it was owned, so that it is to be removed. A thing without a mark is anyone's."""
    file = paths.owner(kind, id)
    try:
        if file.read_text("utf-8") != outputs.get(OWNER):
            return False
    except FileNotFoundError:
        return True
    file.unlink(missing_ok=True)
    with suppress(OSError):  # others are still owned
        file.parent.rmdir()
    return True
