"""What a stage keeps about a person: show it, erase it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedplate.problems import BedplateError, Problem
from bedplate.release.target import Target, open_target


def remembered(manifest: Path, stage: str | None, user: str) -> dict[str, Any]:
    """Sessions and facts of one person, as JSON values."""
    from bedplate.store import Store

    target = _with_memory(manifest, stage)
    store = Store.open(target.paths.memory)
    try:
        return store.export(target.blueprint.name, user)
    finally:
        store.close()


def erase(manifest: Path, stage: str | None, user: str) -> dict[str, int]:
    """Erase one person: conversations, facts, and the content of their traces. What was erased, counted."""
    from bedplate.store import Store
    from bedplate.traces.erasure import erase_person

    target = _with_memory(manifest, stage)
    store = Store.open(target.paths.memory)
    try:
        agent = target.blueprint.name
        traces = erase_person(
            target.paths.traces,
            agent,
            user,
            token=target.paths.secret("sink-token").read_text("utf-8").strip(),
            sessions=[row.id for row in store.sessions(agent, user)],
            traces=store.trace_ids(agent, user),
        )
        counts = store.forget(agent, user)
    finally:
        store.close()
    return {"conversations": counts.sessions, "messages": counts.messages, "facts": counts.facts, "traces": traces}


def _with_memory(manifest: Path, stage: str | None) -> Target:
    target = open_target(manifest, stage)
    if not target.paths.memory.exists():
        name = target.blueprint.stage
        raise BedplateError(Problem("BP706", f"stage {name} is not up", fix=f"bedplate up --stage {name}"))
    return target
