"""Mending a state that no command accepts any more.

Goes in: a place whose state or journal is damaged, or does not fit. Comes out: what is done about it, in sentences, and
then a state that is whole. Nothing is thrown away: what is damaged stays beside it under another name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bedplate.engine.history import Begun
from bedplate.engine.integrity import flaws, pruned
from bedplate.engine.journal import DamagedJournal, Record, read_journal
from bedplate.engine.places import BACKUP, JOURNAL, PAST, STATE, SUMS, Place
from bedplate.engine.secrets import Keyring
from bedplate.engine.state import Change, PendingOperation, Settle, Snapshot
from bedplate.engine.storage import Ledger, cut, decoded, encoded, load, lost, missing, note, parse
from bedplate.problems import BedplateError, Problem


@dataclass(frozen=True)
class Damage:
    """What is wrong with the files of a place, and what they are mended from.

    `actions` says what is done, in sentences; none where the files are whole. `past` is the journal that leads from
    `state`, a backup then, to the state on which `record` stands.
    """

    actions: tuple[str, ...] = ()
    state: bytes | None = None
    past: Record | None = None
    record: Record | None = None
    journal_damaged: bool = False
    wrong: str = ""
    """What is wrong with `state.json`: `damaged` or `missing`."""

    @property
    def base(self) -> str:
        """The digest of `state`."""
        return hashlib.sha256(self.state).hexdigest() if self.state is not None else ""

    @property
    def replayed(self) -> tuple[Record, ...]:
        """The journals whose changes `state` lacks."""
        found = (self.past, self.record if self.record and self.base not in self.record.folded else None)
        return tuple(record for record in found if record)


def examine(place: Place) -> Damage:
    """Look at the files. Raises BedplateError BP211 where there is nothing to mend the state from."""
    files = place.read()
    found = Damage(state=files.state)
    try:
        found = replace(found, record=read_journal(files.journal, f"{place.label}/{JOURNAL}"))
        if cut(files, found.record):
            what = "the journal ends before what was written: what is left of it is kept, the file is set aside"
            found = replace(found, journal_damaged=True, actions=(what,))
    except DamagedJournal as error:
        line = error.problems[0].where.line if error.problems[0].where else 0
        what = (
            f"the journal is damaged at line {line}: what stands before it is kept, and the runs after that one; "
            "the whole file is set aside"
        )
        found = replace(found, record=error.whole, journal_damaged=True, actions=(what,))
    if missing(files, found.record):
        found = _from_backup(place, found, files.written, "missing")
    elif files.state is not None and not (files.intact and _readable(place, files.state)):
        found = _vouched(place, found) or _from_backup(place, found, files.written, "damaged")
    return _fitting(found)


def _vouched(place: Place, found: Damage) -> Damage | None:
    """Where a journal names the state as it is, its sums are what is damaged."""
    past = _journal(place)
    told = {*(past.folded if past else ()), *((found.record.base, *found.record.folded) if found.record else ())}
    if found.base not in told:
        return None
    what = f"{SUMS} is damaged: it is written again, {STATE} is what the journal says"
    return replace(found, actions=(*found.actions, what))


def _readable(place: Place, data: bytes) -> bool:
    try:
        decoded(place, parse(place, data), (), None)
    except BedplateError as error:
        if error.problems[0].code == "BP211":
            return False
        raise
    return True


def _from_backup(place: Place, found: Damage, written: str, what: str) -> Damage:
    backup = place.backup()
    found = replace(found, state=backup, wrong=what)
    past = _past(place, found, written)
    if past is None and (backup is None or not _readable(place, backup)):
        raise lost(place, f"there is no whole {BACKUP} to make it from again either", what)
    if past is not None:
        sources = PAST if backup is None else f"{BACKUP} and {PAST}"
        how = f"it is made again from {sources}, and nothing is lost"
    elif found.base == written or (found.record and found.record.base == found.base):
        how = f"{BACKUP}, a copy of it, takes its place, and nothing is lost"
    elif written:
        how = f"{BACKUP}, the state before the last update, takes its place"
    else:
        how = f"{BACKUP}, the state before the last update (a copy of it after the first one), takes its place"
    kept = "; it is set aside" if what == "damaged" else ""
    return replace(found, past=past, actions=(*found.actions, f"{STATE} is {what}: {how}{kept}"))


def _past(place: Place, found: Damage, written: str) -> Record | None:
    """The journal behind the backup, if it is whole, begins there and ends where the journal of now begins."""
    past = _journal(place)
    if past is None or past.base != found.base or (found.state is not None and not _readable(place, found.state)):
        return None
    if written and written not in past.folded:
        return None
    return past if found.record is None or found.record.base in past.folded else None


def _journal(place: Place) -> Record | None:
    """The journal of the past, if it is whole."""
    try:
        return read_journal(place.past(), PAST)
    except DamagedJournal:
        return None


def _fitting(found: Damage) -> Damage:
    if found.record is None or found.past or found.base in {found.record.base, *found.record.folded}:
        return found
    what = "the journal belongs to another state: it is set aside, and what it records is not applied"
    return replace(found, record=None, journal_damaged=True, actions=(*found.actions, what))


def mend(
    place: Place, begun: Begun, version: str, clock: Callable[[], float], environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Do what `examine` says, under the lock; the sentences, and where the damaged files are now."""
    with place.held(begun.kind, clock):
        found = examine(place)
        if not found.actions:
            return ()
        update = begun.ended("succeeded", clock(), {})
        data = _state(place, found, version, clock(), environment)
        kept = [place.set_aside(journal=False)] if found.wrong == "damaged" else []
        if data is not None:
            if found.record and not found.journal_damaged:
                # Whatever ends this now: the journal says that it stands in the new state.
                digest = hashlib.sha256(data).hexdigest()
                place.close_log(found.record.size, found.record.closing(digest, asdict(update)))
            place.replace(data, over_damage=bool(found.wrong))
            if found.wrong:
                # Again, so that the backup is a copy of what was made here: the journals do not lead from the old one.
                place.replace(data)
        if found.journal_damaged:
            kept.append(place.set_aside(journal=True))
        elif found.record:
            place.drop_log()
        note(place, update)
        return (*found.actions, *(f"set aside: {path}" for path in kept))


def _state(place: Place, found: Damage, version: str, now: float, environment: Mapping[str, str]) -> bytes | None:
    """The state with what the journals still say. None where there is neither."""
    if found.state is None and not found.replayed:
        return None
    deployment: dict[str, Any] = {} if found.state is None else parse(place, found.state)
    told = [record.secrets for record in found.replayed if record.secrets]
    keys = Keyring(
        place.keys, deployment.get("secrets_providers") or (told or [None])[-1], environment, shared=place.shared
    )
    changes = [change for record in found.replayed for change in record.changes]
    return encoded(decoded(place, deployment, changes, keys), keys, version, now)


def foreseen(place: Place, environment: Mapping[str, str], forget: Sequence[str]) -> tuple[str, ...]:
    """What a repair would do, in sentences. Raises BedplateError BP211 where it could do nothing."""
    damage = examine(place)
    if damage.actions:
        return damage.actions
    snapshot = load(place, environment, decrypt=False).snapshot
    dropped = {operation.resource.urn for operation in _forgotten(snapshot, forget)}
    waiting = [
        f"{p.resource.name}: {p.type} was interrupted; "
        + ("it is taken out of the state" if urn in dropped else "its provider is asked what became of it")
        for urn, p in snapshot.pending.items()
    ]
    return (*waiting, *flaws(snapshot))


def tidy(ledger: Ledger, forget: Sequence[str]) -> tuple[str, ...]:
    """Take out what names something that is not there, and the pending operations that a person has settled."""
    before = flaws(ledger.snapshot)
    forgotten = _forgotten(ledger.snapshot, forget)
    changes: list[Change] = [*pruned(ledger.snapshot), *(Settle(operation.resource.urn) for operation in forgotten)]
    if changes:
        ledger.record(*changes)
    left = flaws(ledger.snapshot)
    return (
        *(f"{operation.resource.name}: {operation.type} is taken out of the state" for operation in forgotten),
        *(f"taken out: {flaw}" for flaw in before if flaw not in left),
        *(f"left, because nobody can know what was meant: {flaw}" for flaw in left),
    )


def _forgotten(snapshot: Snapshot, names: Sequence[str]) -> list[PendingOperation]:
    """The pending operations with these names or URNs. Raises BedplateError BP256 for a name that has none."""
    found = []
    for name in names:
        meant = [p for urn, p in snapshot.pending.items() if name in {urn, p.resource.name}]
        if len(meant) != 1:
            there = ", ".join(snapshot.pending) or "none"
            what = f"{name} is not the name of one pending operation"
            raise BedplateError(Problem("BP256", what, fix=f"name one of these by its URN: {there}"))
        found += meant
    return found
