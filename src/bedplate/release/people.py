"""What a stage keeps about a person: show it, erase it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedplate.release.stagestore import with_store


def remembered(manifest: Path, stage: str | None, user: str) -> dict[str, Any]:
    """Sessions and facts of one person, as JSON values."""
    with with_store(manifest, stage) as (target, store):
        return store.export(target.blueprint.name, user)


def erase(manifest: Path, stage: str | None, user: str) -> dict[str, int]:
    """Erase one person: conversations, facts, and the content of their traces. What was erased, counted."""
    from bedplate.traces.erasure import erase_person

    with with_store(manifest, stage) as (target, store):
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
    return {"conversations": counts.sessions, "messages": counts.messages, "facts": counts.facts, "traces": traces}
