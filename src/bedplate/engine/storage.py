"""The state of a stack: `state.json` with the journal on top of it, wherever they are kept.

Goes in: a place. Comes out: the stack's `Snapshot` as it is at this instant, and changes made durable before they are
relied on. What is damaged is refused with the way to mend it, never guessed at.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bedplate.engine.api import Step, Update
from bedplate.engine.encoding import decode_change, decode_deployment, encode_changes, encode_deployment
from bedplate.engine.history import Begun, begun_of, line_of, updates_of
from bedplate.engine.journal import DamagedJournal, Journal, Record, read_journal
from bedplate.engine.places import BACKUP, JOURNAL, STATE, Files, Place
from bedplate.engine.secrets import Keyring
from bedplate.engine.state import PROVIDER_PREFIX, Change, Snapshot
from bedplate.problems import BedplateError, Problem, Where

_SHARE = 2
"""A journal is written into the state when it is as long as the state divided by this."""


@dataclass(frozen=True)
class Loaded:
    """What stands in a place: the snapshot with the journal applied, the keys, the digest of `state.json`."""

    snapshot: Snapshot
    keys: Keyring
    digest: str = ""
    record: Record | None = None
    size: int = 0
    """Bytes of `state.json`."""
    mark: str = ""
    """What is noted of the journal, to find it cut short."""

    @property
    def exists(self) -> bool:
        """Whether anything is deployed, or may be."""
        return bool(self.snapshot.resources or self.snapshot.pending)


def load(place: Place, environment: Mapping[str, str], *, decrypt: bool = True) -> Loaded:
    """Read state and journal. Secrets are masked without `decrypt`.

    Raises BedplateError: BP211 damaged, BP212 another version, BP214 no key, BP215 journal of another state.
    """
    for attempt in range(5):
        files = place.read()
        record = read_journal(files.journal, f"{place.label}/{JOURNAL}")
        digest = hashlib.sha256(files.state).hexdigest() if files.state is not None else ""
        if missing(files, record):
            pass  # Or a first run wrote it after we had looked for it.
        elif files.intact and not cut(files, record) and (record is None or digest in {record.base, *record.folded}):
            return _loaded(place, environment, record, files, digest, decrypt)
        # A run that is folding right now replaced one file between our two reads: look again.
        time.sleep(0.02 * (attempt + 1))
    if missing(files, record):
        raise damaged(place, "the files beside it are those of a stack that has been deployed", "missing")
    if not files.intact:
        raise damaged(place, "its bytes are not those that were written (state.json.sha256)")
    if cut(files, record):
        raise DamagedJournal(
            f"{place.label}/{JOURNAL}", 0, "it ends before what was written (state.json.sha256)", record
        )
    raise BedplateError(
        Problem(
            "BP215",
            "the journal does not belong to state.json",
            where=Where(f"{place.label}/{JOURNAL}"),
            detail="state.json was altered or replaced after the journal was begun.",
            fix="put back the state.json of that time, or set the journal aside with `bedplate state repair`",
        )
    )


def missing(files: Files, record: Record | None) -> bool:
    """Whether there was a state, and it is gone. The journal of a first run stands on none, and holds all there is."""
    return files.state is None and (files.remains or record is not None) and (record is None or record.base != "")


def cut(files: Files, record: Record | None) -> bool:
    """Whether the journal lacks what stood in it when the last run ended."""
    return bool(files.mark) and (record is None or files.mark not in record.marks)


def _loaded(
    place: Place, environment: Mapping[str, str], record: Record | None, files: Files, digest: str, decrypt: bool
) -> Loaded:
    deployment = {} if files.state is None else parse(place, files.state)
    replay = record if record and digest not in record.folded else None
    providers = deployment.get("secrets_providers") or (replay.secrets if replay else None)
    keys = Keyring(place.keys, providers, environment, shared=place.shared)
    snapshot = decoded(place, deployment, replay.changes if replay else (), keys if decrypt else None)
    return Loaded(snapshot, keys, digest, record, len(files.state or b""), files.mark)


def decoded(
    place: Place, deployment: Mapping[str, Any], changes: Sequence[list[Any]], keys: Keyring | None
) -> Snapshot:
    """The snapshot of a deployment with changes on top. Raises BedplateError BP211 where they are none."""
    try:
        snapshot = decode_deployment(deployment, keys)
        for change in changes:
            snapshot.apply(decode_change(change, keys))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise damaged(place, f"{type(error).__name__}: {error}") from error
    return snapshot


def parse(place: Place, data: bytes) -> dict[str, Any]:
    """The deployment in a state. Raises BedplateError BP211 for what is none, BP212 for one of another version."""
    try:
        document = json.loads(data)
    except ValueError as error:
        raise damaged(place, str(error)) from error
    version = document.get("version") if isinstance(document, dict) else None
    if version is None or not isinstance(document.get("deployment"), dict):
        raise damaged(place, "it is JSON, but not a Pulumi deployment")
    if version != 3:
        raise BedplateError(
            Problem(
                "BP212",
                f"state.json has version {version}, and this Bedplate reads version 3",
                where=Where(f"{place.label}/{STATE}"),
                fix="use the Bedplate that wrote it, or export the state from there as version 3",
            )
        )
    deployment: dict[str, Any] = document["deployment"]
    return deployment


def damaged(place: Place, detail: str, how: str = "damaged") -> BedplateError:
    """BP211 for the state in this place."""
    if place.backup() is None and not place.past():
        return lost(place, detail, how)
    fix = f"`bedplate state repair` says what it can make again from {BACKUP} and the journals, and does it"
    return _damaged(place, detail, fix, how)


def lost(place: Place, detail: str, how: str = "damaged") -> BedplateError:
    """BP211 for a state that cannot be made again."""
    fix = (
        "`bedplate state import` a copy of your own; or, to begin anew, remove what it describes by hand and then "
        f"every file there whose name begins with {STATE} or {JOURNAL}"
    )
    return _damaged(place, detail, fix, how)


def _damaged(place: Place, detail: str, fix: str, how: str) -> BedplateError:
    where = Where(f"{place.label}/{STATE}")
    return BedplateError(Problem("BP211", f"{STATE} is {how}", where=where, detail=detail, fix=fix))


@dataclass
class _Group:
    """Changes of one step on their way into the journal."""

    changes: tuple[Change, ...]
    raw: list[Any]
    done: bool = False
    error: BaseException | None = None


class Ledger:
    """The snapshot of a running update. A change is in the journal before it is in memory.

    Steps that end while another is being written go into the journal together, in one write. Without a journal (a
    preview) changes stay in memory.
    """

    def __init__(self, loaded: Loaded, journal: Journal | None) -> None:
        self.snapshot, self._keys, self._journal = loaded.snapshot, loaded.keys, journal
        self._queue, self._writing = threading.Lock(), threading.Lock()
        self._waiting: list[_Group] = []

    def record(self, *changes: Change) -> None:
        """Make changes durable, then visible. Raises BedplateError BP213, or BP250 where the lease was lost."""
        group = _Group(changes, encode_changes(changes, self._keys) if self._journal else [])
        with self._queue:
            self._waiting.append(group)
        with self._writing:
            if not group.done:
                self._write()
        if group.error is not None:
            raise group.error

    def _write(self) -> None:
        with self._queue:
            groups, self._waiting = self._waiting, []
        try:
            if self._journal is not None:
                self._journal.append([group.raw for group in groups])
        except BaseException as error:  # noqa: BLE001 - each of the steps that wait raises it
            for group in groups:
                group.done, group.error = True, error
            return
        for group in groups:
            for change in group.changes:
                self.snapshot.apply(change)
            group.done = True


@dataclass
class Storage:
    """The open state of one update. `ledger` is what the update works on; what is in `steps` is counted at its end.

    With `whole` the journal that is there is written into `state.json` first.
    """

    place: Place
    run: Begun
    version: str
    clock: Callable[[], float]
    environment: Mapping[str, str]
    steps: list[Step] = field(default_factory=list)
    whole: bool = False

    def __post_init__(self) -> None:
        loaded = load(self.place, self.environment)
        self.keys, self._size, digest, before = loaded.keys, loaded.size, loaded.digest, loaded.record
        if before is None:
            # What is left here at most is a first line cut short: nothing was begun.
            self.place.drop_log()
        elif before.ended is not None and digest not in before.folded and not self.whole:
            # Whoever wrote its end may have died before it was noted.
            if loaded.mark != before.sum:
                self.place.mark(before.sum)
            note(self.place, Update(**before.ended))
        else:
            digest, before = self._adopt(loaded, before), None
        log = self.place.open_log(before.size if before else 0)
        self._journal = Journal(log, digest, asdict(self.run), loaded.keys, before)
        self.ledger = Ledger(loaded, self._journal)

    def _adopt(self, loaded: Loaded, record: Record) -> str:
        """Fold the journal of a run that died, or that is not to stay."""
        digest = loaded.digest
        if digest in record.folded:
            update = Update(**record.folded[digest])
        else:
            died = begun_of(record.run).ended("interrupted", self.clock(), {})
            update = Update(**record.ended) if record.ended is not None else died
            data = self._encode(loaded.snapshot)
            digest = hashlib.sha256(data).hexdigest()
            self.place.close_log(record.size, record.closing(digest, asdict(update)))
            self.place.replace(data)
        note(self.place, update)
        self.place.drop_log()
        return digest

    def close(self, result: str) -> None:
        """Make what happened lasting, in the journal or in `state.json`, and note it in the history.

        Touches nothing where nothing happened.
        """
        update = self.run.ended(result, self.clock(), dict(Counter(step.op for step in self.steps)))
        if not self._journal.used:
            self._journal.close(remove=False)
            if result != "succeeded":
                note(self.place, update)
            return
        snapshot = self.ledger.snapshot
        if all(resource.type.startswith(PROVIDER_PREFIX) for resource in snapshot.resources.values()):
            snapshot.resources.clear()
        if snapshot.resources and self.place.whole_below < self._size > self._journal.size * _SHARE:
            self._keep(update)
        else:
            self.fold(update)

    def _keep(self, update: Update) -> None:
        """Leave the changes in the journal, to which the next run adds its own."""
        update = replace(update, number=len(self.place.updates()) + 1)
        try:
            self._journal.ended(asdict(update))
            self.place.mark(self._journal.sum)
        finally:
            self._journal.close(remove=False)
        note(self.place, update)

    def fold(self, update: Update) -> None:
        """Write everything into `state.json`, so that no journal is left."""
        snapshot = self.ledger.snapshot
        data = self._encode(snapshot)
        try:
            self._journal.folded(hashlib.sha256(data).hexdigest(), asdict(update))
            self.place.replace(data)
        except BaseException:
            # The journal stays: it holds what could not be written.
            self._journal.close(remove=False)
            raise
        note(self.place, update)
        self._journal.close(remove=True)
        if not snapshot.resources and not snapshot.pending:
            self.place.erase()

    def _encode(self, snapshot: Snapshot) -> bytes:
        return encoded(snapshot, self.keys, self.version, self.clock())


def encoded(snapshot: Snapshot, keys: Keyring, version: str, now: float) -> bytes:
    """The bytes of a `state.json`."""
    return json.dumps(encode_deployment(snapshot, keys, version, now), indent=1).encode() + b"\n"


def note(place: Place, update: Update) -> None:
    """Add an update to the history. Only called by the holder of the lock."""

    def line(number: int, last: bytes) -> bytes | None:
        # A run that died right after it had noted this is not noted twice. Whoever keeps a journal has its number.
        noted = bool(last) and last.rstrip() == line_of(update, number - 1).rstrip()
        noted = noted or 0 < update.number < number
        return None if noted else line_of(update, number)

    place.note(line)


@contextmanager
def opened(
    place: Place, run: Begun, version: str, clock: Callable[[], float], environment: Mapping[str, str]
) -> Iterator[Storage]:
    """The state for one update, locked; lasting at the end, however it ends. Raises BedplateError, as `load` does."""
    with place.held(run.kind, clock):
        storage = Storage(place, run, version, clock, environment)
        try:
            yield storage
        except BaseException:
            storage.close("failed")
            raise
        storage.close("succeeded")


def history(place: Place) -> tuple[Update, ...]:
    """The updates of the past, the newest first. Raises BedplateError BP211 for a damaged history."""
    return updates_of(place.updates(), f"{place.label}/history")
