"""Plan receipts: what was planned, written down so that exactly that is applied later, or nothing.

Goes in: a plan as plain values. Comes out: `PlanReceipt`, its canonical JSON, and in words what moved between a receipt
and the plan made now. A receipt holds digests and what the plan's screen shows, so no secrets. Pure but for
`write_receipt` and `read_receipt`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bedplate.blueprint.digest import canonical, digest_of
from bedplate.problems import BedplateError, Problem, Where

SCHEMA = "bedplate.dev/plan-receipt/v1"
_MAX_BYTES = 16 * 1024 * 1024
_NAMED = 5
"""How many files, fields or lines that moved are named; the rest is counted."""
_CAMEL = {"tool_version": "toolVersion"}


@dataclass(frozen=True)
class PlanReceipt:
    """What was planned for one agent in one stage.

    `parts` are the digests of what the build consists of, by name (`parts_of`). `state` is the digest of what is
    deployed, `release` the last release applied there (0 for none), `baseline` in words what access was compared with.
    `changes` and `findings` are those of the plan's JSON, `verdict` is `Verdict.to_json`.
    """

    tool_version: str
    agent: str
    stage: str
    build: str
    behaviour: str
    parts: Mapping[str, str]
    state: str
    release: int
    baseline: str
    changes: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]
    verdict: Mapping[str, Any]

    @property
    def change_set(self) -> str:
        """The digest of all that would be done. Neither order nor lines in the manifest matter."""
        texts = {name: sorted(k.decode() for k in _words(getattr(self, name), str)) for name in ("changes", "findings")}
        return digest_of(texts)

    def to_json(self) -> dict[str, Any]:
        """The receipt as JSON values (schema `bedplate.dev/plan-receipt/v1`), with its own digest."""
        values = {_CAMEL.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        document = {"schema": SCHEMA, **values, "changeSet": self.change_set}
        return {**document, "digest": digest_of(document)}


def parts_of(manifest: str, document: Mapping[str, Any], files: Mapping[str, str], lock: str = "") -> dict[str, str]:
    """The parts of a build by name: each section of the manifest (`agent.yaml: tools`), each file, the lock.

    `manifest` is the manifest's name, `document` its plain data, `files` are hashes by path, `lock` that of the lock.
    """
    sections = {f"{manifest}: {name}": digest_of(value) for name, value in document.items()}
    return {**sections, **files, **({"bedplate.lock": lock} if lock else {})}


def moved(receipt: PlanReceipt, now: PlanReceipt) -> tuple[str, ...]:
    """What is different now, one line each; empty where exactly what was planned would be applied."""
    return tuple(_moved(receipt, now))


def require_same(receipt: PlanReceipt, now: PlanReceipt) -> None:
    """Raises BedplateError: BP772 where the receipt is of another agent or stage, BP773 (exit 7) where it is stale."""
    planned, current = f"{receipt.agent} → {receipt.stage}", f"{now.agent} → {now.stage}"
    if planned != current:
        fix = f"bedplate plan --stage {now.stage} --out FILE"
        if receipt.agent == now.agent:
            fix = f"apply it there: bedplate up --stage {receipt.stage} --plan FILE"
        raise BedplateError(Problem("BP772", f"the receipt is of {planned}, not of {current}", fix=fix))
    if changed := moved(receipt, now):
        summary = f"the plan of {current} is stale: {changed[0]}" + (", and more" if changed[1:] else "")
        fix = f"bedplate plan --stage {now.stage} --out FILE, and look at it again"
        raise BedplateError(Problem("BP773", summary, detail="\n".join(changed), fix=fix))


def _moved(old: PlanReceipt, new: PlanReceipt) -> Iterator[str]:
    if old.tool_version != new.tool_version:
        yield f"Bedplate was {old.tool_version} and is {new.tool_version}"
    if old.build != new.build:
        yield f"the build changed: {_parts(old.parts, new.parts)}"
    if old.behaviour != new.behaviour and old.build == new.build:
        yield "the behaviour changed although the build is the same"
    if old.release != new.release:
        yield f"the stage changed since: release {old.release or 'none'} → {new.release or 'none'}"
    elif old.state != new.state:
        yield "the stage changed since, without a release"
    if old.baseline != new.baseline:
        yield f"access was compared with {old.baseline} and is with {new.baseline}"
    yield from _lines("the plan", _words(old.changes, _change), _words(new.changes, _change))
    yield from _lines("access", _words(old.findings, _finding), _words(new.findings, _finding))
    if old.verdict.get("line") != new.verdict.get("line"):
        yield f"the verdict was “{old.verdict.get('line')}” and is “{new.verdict.get('line')}”"
    elif canonical(old.verdict) != canonical(new.verdict):
        yield "the verdict rests on other causes"


def _parts(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    words = [
        f"{name} {'changed' if name in old and name in new else 'added' if name in new else 'removed'}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    return _few(words) or "what it consists of is the same, its format is not"


def _few(words: Sequence[str]) -> str:
    more = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _words(items: Sequence[Mapping[str, Any]], name: Callable[[Mapping[str, Any]], str]) -> dict[bytes, str]:
    return {canonical(_placeless(item)): name(item) for item in items}


def _placeless(value: Any) -> Any:
    """Without lines in the manifest: a comment moves them, and means nothing."""
    match value:
        case Mapping():
            return {key: _placeless(inner) for key, inner in value.items() if key != "where"}
        case list() | tuple():
            return [_placeless(inner) for inner in value]
        case _:
            return value


def _change(change: Mapping[str, Any]) -> str:
    return f"{change['action']} {change['kind']} {change['name']}"


def _finding(finding: Mapping[str, Any]) -> str:
    return " ".join(str(finding[key]) for key in ("effect", "subject", "verb", "object"))


def _lines(what: str, old: Mapping[bytes, str], new: Mapping[bytes, str]) -> Iterator[str]:
    """What came, what went, and what is still there and says something else."""
    gone = {old[key] for key in old.keys() - new.keys()}
    come = {new[key] for key in new.keys() - old.keys()}
    for verb, names in (("gains", come - gone), ("loses", gone - come), ("differs in", gone & come)):
        if names:
            yield f"{what} {verb}: {_few(sorted(names))}"


def write_receipt(path: Path, receipt: PlanReceipt) -> None:
    """Write the receipt as canonical JSON. Raises OSError."""
    from bedplate.release.records import write_file

    write_file(path, canonical(receipt.to_json()) + b"\n")


def read_receipt(path: Path) -> PlanReceipt:
    """Read a receipt. Raises BP771 where it is none, is damaged or is of another version; OSError."""
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused(path, "is no plan receipt", "it is not JSON") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        other = isinstance(schema, str) and schema.startswith("bedplate.dev/plan-receipt/")
        what = "is a plan receipt of another version" if other else "is no plan receipt"
        raise _refused(path, what, f"its schema is {json.dumps(schema)[:80]}, not {SCHEMA}")
    return _parsed(document, path)


def _parsed(document: dict[str, Any], path: Path) -> PlanReceipt:
    written = {_CAMEL.get(f.name, f.name): f.name for f in fields(PlanReceipt)}
    try:
        receipt = PlanReceipt(**{name: document[key] for key, name in written.items()})
        _require_mappings(receipt.parts, receipt.verdict)
        whole = canonical(receipt.to_json()) == canonical(document) and not moved(receipt, receipt)
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(path, "is damaged", f"{error!s} is missing or wrong") from error
    if not whole:
        raise _refused(path, "was altered", "its content does not have the digest it says")
    return receipt


def _require_mappings(*values: object) -> None:
    if not all(isinstance(value, Mapping) for value in values):
        raise TypeError("a mapping")


def _refused(path: Path, what: str, detail: str) -> BedplateError:
    fix = f"plan again: bedplate plan --out {path}"
    return BedplateError(Problem("BP771", f"{path.name} {what}", Where(str(path)), detail=detail, fix=fix))
