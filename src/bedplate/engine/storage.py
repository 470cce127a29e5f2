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
from dataclasses import asdict, dataclass, field
from typing import Any

from bedplate.engine.api import Step, Update
from bedplate.engine.encoding import decode_change, decode_deployment, encode_changes, encode_deployment
from bedplate.engine.history import Begun, begun_of, line_of, updates_of
from bedplate.engine.journal import Journal, Record, read_journal
from bedplate.engine.places import JOURNAL, STATE, Place
from bedplate.engine.secrets import Keyring
from bedplate.engine.state import PROVIDER_PREFIX, Change, Snapshot
from bedplate.problems import BedplateError, Problem, Where


@dataclass(frozen=True)
class Loaded:
    """What stands in a place: the snapshot with the journal applied, the keys, the digest of `state.json`."""

    snapshot: Snapshot
    keys: Keyring
    digest: str = ""
    record: Record | None = None

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
        if files.intact and (record is None or digest in {record.base, *record.folded}):
            return _loaded(place, environment, record, files.state, digest, decrypt)
        # A run that is folding right now replaced one file between our two reads: look again.
        time.sleep(0.02 * (attempt + 1))
    if not files.intact:
        raise damaged(place, "its bytes are not those that were written (state.json.sha256)")
    raise BedplateError(
        Problem(
            "BP215",
            "the journal does not belong to state.json",
            where=Where(f"{place.label}/{JOURNAL}"),
            detail="state.json was altered or replaced after an update that was interrupted.",
            fix="put back the state.json of that time, or set the journal aside with `bedplate state repair`",
        )
    )


def _loaded(
    place: Place, environment: Mapping[str, str], record: Record | None, data: bytes | None, digest: str, decrypt: bool
) -> Loaded:
    deployment = {} if data is None else parse(place, data)
    replay = record if record and digest not in record.folded else None
    providers = deployment.get("secrets_providers") or (replay.secrets if replay else None)
    keys = Keyring(place.keys, providers, environment, shared=place.shared)
    snapshot = decoded(place, deployment, replay.changes if replay else (), keys if decrypt else None)
    return Loaded(snapshot, keys, digest, record)


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


def damaged(place: Place, detail: str) -> BedplateError:
    """BP211 for the state in this place."""
    fix = "`bedplate state repair` puts back state.json.bak, the state before the last update"
    if place.backup() is None:
        fix = "`bedplate state import` a copy of your own, or remove what it describes by hand and delete the file"
    where = Where(f"{place.label}/{STATE}")
    return BedplateError(Problem("BP211", f"{STATE} is damaged", where=where, detail=detail, fix=fix))


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
    """The open state of one update. `ledger` is what the update works on; what is in `steps` is counted at its end."""

    place: Place
    run: Begun
    version: str
    clock: Callable[[], float]
    environment: Mapping[str, str]
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        loaded = load(self.place, self.environment)
        self.keys, self.interrupted, digest = loaded.keys, loaded.record is not None, loaded.digest
        if loaded.record is not None:
            digest = self._adopt(loaded, loaded.record)
        else:
            # What is left here at most is a first line cut short: nothing was begun.
            self.place.drop_log()
        self._journal = Journal(self.place.open_log(), digest, asdict(self.run), loaded.keys)
        self.ledger = Ledger(loaded, self._journal)

    def _adopt(self, loaded: Loaded, record: Record) -> str:
        """Fold the journal of a run that died."""
        digest = loaded.digest
        if digest in record.folded:
            update = Update(**record.folded[digest])
        else:
            update = begun_of(record.run).ended("interrupted", self.clock(), {})
            data = self._encode(loaded.snapshot)
            digest = hashlib.sha256(data).hexdigest()
            self.place.close_log(record.size, record.closing(digest, asdict(update)))
            self.place.replace(data)
        note(self.place, update)
        self.place.drop_log()
        return digest

    def fold(self, result: str) -> None:
        """Write what happened into `state.json` and the history. Touches nothing where nothing happened."""
        update = self.run.ended(result, self.clock(), dict(Counter(step.op for step in self.steps)))
        if not self._journal.used:
            self._journal.close(remove=False)
            if result != "succeeded":
                note(self.place, update)
            return
        snapshot = self.ledger.snapshot
        if all(resource.type.startswith(PROVIDER_PREFIX) for resource in snapshot.resources.values()):
            snapshot.resources.clear()
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
    return json.dumps(encode_deployment(snapshot, keys, version, now), indent=1, ensure_ascii=False).encode() + b"\n"


def note(place: Place, update: Update) -> None:
    """Add an update to the history. Only called by the holder of the lock."""

    def line(number: int, last: bytes) -> bytes | None:
        # A run that died right after it had noted this is not noted twice.
        noted = bool(last) and last.rstrip() == line_of(update, number - 1).rstrip()
        return None if noted else line_of(update, number)

    place.note(line)


@contextmanager
def opened(
    place: Place, run: Begun, version: str, clock: Callable[[], float], environment: Mapping[str, str]
) -> Iterator[Storage]:
    """The state for one update, locked; folded at the end, however it ends. Raises BedplateError, as `load` does."""
    with place.held(run.kind, clock):
        storage = Storage(place, run, version, clock, environment)
        try:
            yield storage
        except BaseException:
            storage.fold("failed")
            raise
        storage.fold("succeeded")


def history(place: Place) -> tuple[Update, ...]:
    """The updates of the past, the newest first. Raises BedplateError BP211 for a damaged history."""
    return updates_of(place.updates(), f"{place.label}/history")
