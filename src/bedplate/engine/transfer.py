"""The state as a document, out of a stack and into one: what `pulumi stack export` and `pulumi stack import` exchange.

Goes in: a state, or a document. Comes out: a deployment (`{"version": 3, "deployment": …}`), or a snapshot that may
take a state's place. A document is looked through whole before anything is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bedplate.engine.api import StackRef
from bedplate.engine.encoding import decode_deployment, encode_deployment
from bedplate.engine.history import Begun
from bedplate.engine.integrity import flaws
from bedplate.engine.places import BACKUP, Place
from bedplate.engine.secrets import Keyring
from bedplate.engine.state import Snapshot
from bedplate.engine.storage import Loaded, Storage, encoded, note
from bedplate.problems import BedplateError, Problem

_FEATURES: Final = frozenset({"replaceWith"})
"""Of Pulumi's deployment features (pulumi/pulumi, pkg/resource/stack/deployment.go) those that this engine has."""
_REFUSED: Final = {"snippets": "snippets", "extensions": "extensions"}


def exported(loaded: Loaded, version: str, now: float, *, show_secrets: bool) -> dict[str, Any]:
    """The state as a document, its secrets encrypted or, where that is asked for, in plain text.

    Pulumi leaves out what is empty, and so does this.
    """
    document = encode_deployment(loaded.snapshot, None if show_secrets else loaded.keys, version, now)
    for resource in document["deployment"]["resources"]:
        for key in ("inputs", "outputs"):
            if not resource[key]:
                del resource[key]
    if not loaded.snapshot.pending:
        del document["deployment"]["pending_operations"]
    return document


def imported(
    document: Mapping[str, Any], stack: StackRef, place: Place, current: Keyring, environment: Mapping[str, str]
) -> tuple[Snapshot, Keyring]:
    """The snapshot of a document and the keys of its secrets; `current` where it brings none.

    Raises BedplateError BP252 with everything that is wrong with it, BP212 for another version, BP214 without its key.
    """
    deployment = _deployment(document)
    providers = deployment.get("secrets_providers")
    keys = Keyring(place.keys, providers, environment, shared=place.shared) if providers else current
    try:
        snapshot = decode_deployment(deployment, keys)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _refused(f"it is no deployment: {type(error).__name__}: {error}") from error
    wrong = [*_strangers(snapshot, stack), *flaws(snapshot)]
    if len(snapshot.resources) != len(deployment.get("resources") or ()):
        wrong.append("two resources in it are the same")
    if wrong:
        raise BedplateError(*(problem for what in wrong for problem in _refused(what).problems))
    return snapshot, keys


def bring_in(
    place: Place,
    begun: Begun,
    version: str,
    clock: Callable[[], float],
    environment: Mapping[str, str],
    stack: StackRef,
    document: Mapping[str, Any],
) -> tuple[str, ...]:
    """Put a document in the place of the state, under the lock. A state that is damaged is set aside first.

    Returns where what was there before is now. Raises BedplateError as `imported` does; the state is then as it was.
    """
    with place.held(begun.kind, clock):
        whole, current = True, Keyring(place.keys, None, environment, shared=place.shared)
        try:
            # What the journal holds is folded first, so that it is in the backup.
            current = Storage(place, begun, version, clock, environment, whole=True).keys
        except BedplateError as error:
            if error.problems[0].code not in {"BP211", "BP215"}:
                raise
            whole = False
        snapshot, keys = imported(document, stack, place, current, environment)
        kept = _kept(place) if whole else _set_aside(place)
        place.replace(encoded(snapshot, keys, version, clock()), over_damage=not whole)
        note(place, begun.ended("succeeded", clock(), {}))
    return kept


def _kept(place: Place) -> tuple[str, ...]:
    return () if place.read().state is None else (f"{place.label}/{BACKUP}",)


def _set_aside(place: Place) -> tuple[str, ...]:
    files = place.read()
    there = {False: files.state is not None, True: bool(files.journal)}
    return tuple(place.set_aside(journal=journal) for journal, is_there in there.items() if is_there)


def _deployment(document: Mapping[str, Any]) -> Mapping[str, Any]:
    version, deployment = document.get("version"), document.get("deployment")
    if version not in {3, 4}:
        fix = "export it again with a newer Pulumi, or with this Bedplate"
        raise BedplateError(Problem("BP212", f"the document has version {version}, and version 3 is read", fix=fix))
    if not isinstance(deployment, Mapping):
        raise _refused("it has no deployment")
    names = [name for name in document.get("features") or () if name not in _FEATURES]
    names += [name for key, name in _REFUSED.items() if deployment.get(key)]
    if names:
        raise _refused(f"the embedded engine does not have what it uses: {', '.join(names)}")
    return deployment


def _strangers(snapshot: Snapshot, stack: StackRef) -> list[str]:
    """Resources of another stack or project, by the beginning of their URNs."""
    own = f"urn:pulumi:{stack.name}::{stack.project}::"
    found = {"::".join(r.urn.split("::")[:2]) for r in snapshot.resources.values() if not r.urn.startswith(own)}
    return [f"it holds resources of {name}, and this stack is {own.rstrip(':')}" for name in sorted(found)]


def _refused(what: str) -> BedplateError:
    fix = "mend the document, or export it again from the stack that it comes from"
    return BedplateError(Problem("BP252", f"the document cannot be imported: {what}", fix=fix))
