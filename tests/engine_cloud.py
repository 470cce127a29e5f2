"""A fake cloud and programs as data, for the tests of the engine."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bedplate.engine import (
    Checked,
    CheckFailure,
    Created,
    Diff,
    EmbeddedEngine,
    Outcome,
    Properties,
    ReadResult,
    Resource,
    StackRef,
    diff_properties,
)
from bedplate.engine.provider import UNKNOWN
from bedplate.problems import BedplateError, Problem


class Cloud:
    """What exists: by id. Records the order of calls."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.fail: set[tuple[str, str]] = set()
        self.failing: dict[str, int] = {}
        """How often a call still fails, by `verb name`."""
        self.stopped: set[str] = set()
        self.violations: list[str] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def call(self, verb: str, name: str) -> None:
        with self._lock:
            self.calls.append((verb, name))
            left = self.failing.get(f"{verb} {name}", 0)
            self.failing[f"{verb} {name}"] = left - 1
        if (verb, name) in self.fail or left > 0:
            raise BedplateError(Problem("BP205", f"the cloud refuses to {verb}"))

    def expect_present(self, verb: str, name: str, addresses: Sequence[str]) -> None:
        """Note a step that ran before something it depends on."""
        with self._lock:
            there = {f"at/{id}" for id in self.things}
            missing = [address for address in addresses if address not in there]
            if missing:
                self.violations.append(f"{verb} {name} without {missing}")

    def expect_unused(self, id: str) -> None:
        """Note the deletion of something that is still referred to."""
        with self._lock:
            users = [other for other, news in self.things.items() if f"at/{id}" in news.get("refs", ())]
            if users:
                self.violations.append(f"delete {id} used by {users}")

    def number(self) -> int:
        with self._lock:
            return next(self._numbers)


class Thing(Resource):
    """`name` names it, `size` and `refs` change in place, `zone` replaces. Outputs: inputs and `address`, `token`."""

    type: ClassVar[str] = "test:index:Thing"
    replace_keys: ClassVar[frozenset[str]] = frozenset({"zone"})
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"address", "token"})
    stable_outputs: ClassVar[frozenset[str]] = frozenset({"address"})
    secret_outputs: ClassVar[frozenset[str]] = frozenset({"token"})
    delete_first: ClassVar[bool] = False

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def check(self, news: Properties, olds: Properties | None) -> Checked:
        self.cloud.call("check", news["name"])
        if news.get("size") == -1:
            return Checked(news, (CheckFailure("size", "must not be negative"),))
        return Checked({"size": 1, **news})

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        self.cloud.call("diff", news["name"])
        diff = diff_properties(old_inputs, news, self.replace_keys)
        note = "not running" if news["name"] in self.cloud.stopped else ""
        return Diff(diff.properties, delete_before_replace=self.delete_first, note=note)

    def create(self, news: Properties) -> Created:
        self.cloud.call("create", news["name"])
        self.cloud.expect_present("create", news["name"], news.get("refs", ()))
        id = f"{news['name']}-{self.cloud.number()}"
        self.cloud.things[id] = dict(news)
        return Created(id, self._outputs(id, news))

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        self.cloud.call("read", str(inputs.get("name", id)))
        if id not in self.cloud.things:
            return None
        news = self.cloud.things[id]
        return ReadResult(id, news, self._outputs(id, news))

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        self.cloud.call("update", news["name"])
        self.cloud.expect_present("update", news["name"], news.get("refs", ()))
        self.cloud.stopped.discard(news["name"])
        self.cloud.things[id] = dict(news)
        return self._outputs(id, news)

    def delete(self, id: str, outputs: Properties) -> None:
        self.cloud.call("delete", outputs["name"])
        if not self.delete_first:
            self.cloud.expect_unused(id)
        self.cloud.things.pop(id, None)

    def _outputs(self, id: str, news: Properties) -> dict[str, Any]:
        return {**news, "address": f"at/{id}", "token": f"hunter2-{id}"}


class Exclusive(Thing):
    """A `Thing` of which there can be only one at a time: replaced by deleting first."""

    type: ClassVar[str] = "test:index:Exclusive"
    delete_first: ClassVar[bool] = True


class PlainThing(Thing):
    """A `Thing` without secrets: no key has to be derived, which makes thousands of updates affordable."""

    secret_outputs: ClassVar[frozenset[str]] = frozenset()


class PlainExclusive(Exclusive):
    """An `Exclusive` without secrets."""

    secret_outputs: ClassVar[frozenset[str]] = frozenset()


Spec = Mapping[str, Any]
TYPES = {"Thing": "test:index:Thing", "Exclusive": "test:index:Exclusive"}


def build(specs: Sequence[Spec], exports: Mapping[str, str] | None = None) -> Callable[[], None]:
    """A program from data: `{name, type?, props?, refs?: [names], after?: [names], parent?, options?: {…}}`.

    `refs` makes a property of the addresses of others; `exports` maps an output to `resource.property`.
    """

    def program() -> None:
        import pulumi

        made: dict[str, Any] = {}
        for spec in specs:
            options = {**spec.get("options", {})}
            if "after" in spec:
                options["depends_on"] = [made[name] for name in spec["after"]]
            if "parent" in spec:
                options["parent"] = made[spec["parent"]]
            if "aliases" in options:
                options["aliases"] = [pulumi.Alias(**a) if isinstance(a, dict) else a for a in options["aliases"]]
            _add_special(spec, options, made)
            if spec.get("type") == "Component":
                made[spec["name"]] = pulumi.ComponentResource(
                    "test:index:Component", spec["name"], None, pulumi.ResourceOptions(**options)
                )
                continue
            props: dict[str, Any] = {"name": spec["name"], "address": None, "token": None, **spec.get("props", {})}
            for key in spec.get("secret", ()):
                props[key] = pulumi.Output.secret(props[key])
            if "invoke" in spec:
                props["found"] = pulumi.runtime.invoke_async(spec["invoke"], {})
            if "refs" in spec:
                props["refs"] = [made[name].address for name in spec["refs"]]
            made[spec["name"]] = pulumi.CustomResource(
                TYPES.get(spec.get("type", "Thing"), spec.get("type", "")),
                spec["name"],
                props,
                pulumi.ResourceOptions(**options),
            )
        for name, path in (exports or {}).items():
            resource, _, key = path.partition(".")
            pulumi.export(name, getattr(made[resource], key))

    return program


def _add_special(spec: Spec, options: dict[str, Any], made: Mapping[str, Any]) -> None:
    """Options that cannot be written as data."""
    import pulumi

    if "deleted_with" in options:
        options["deleted_with"] = made[options["deleted_with"]]
    if "replace_with" in options:
        options["replace_with"] = [made[name] for name in options["replace_with"]]
    if "custom_timeouts" in options:
        options["custom_timeouts"] = pulumi.CustomTimeouts(**options["custom_timeouts"])
    if "transforms" in spec:
        options["transforms"] = [lambda _args: None]
    if "reference" in spec:
        pulumi.StackReference("other/stack")
    if "provider" in spec:
        options["provider"] = pulumi.ProviderResource("test", "mine", {})


class Bench:
    """An engine on a fake cloud, with one stack in a folder."""

    def __init__(self, folder: Path, cloud: Cloud | None = None, *, secrets: bool = True) -> None:
        self.cloud = cloud or Cloud()
        self.events: list[Any] = []
        self.stack = StackRef("shop", "dev", folder)
        types = (Thing, Exclusive) if secrets else (PlainThing, PlainExclusive)
        kinds = [kind(self.cloud) for kind in types]
        self.engine = EmbeddedEngine({k.type: k for k in kinds}, tool_version="0.1.0", environment={})

    def up(self, specs: Sequence[Spec], **kwargs: Any) -> Outcome:
        return self.engine.up(self.stack, build(specs, **kwargs), {}, on_event=self.events.append)

    def preview(self, specs: Sequence[Spec], **kwargs: Any) -> Outcome:
        return self.engine.preview(self.stack, build(specs, **kwargs), {}, on_event=self.events.append)

    def state(self) -> dict[str, Any]:
        import json

        found: dict[str, Any] = json.loads((self.stack.folder / "state.json").read_text("utf-8"))["deployment"]
        return found

    def write_state(self, deployment: Mapping[str, Any]) -> None:
        """Put another deployment in the place of the state, as nobody should: without its sums."""
        import json

        (self.stack.folder / "state.json").write_text(json.dumps({"version": 3, "deployment": deployment}))
        (self.stack.folder / "state.json.sha256").unlink(missing_ok=True)


def ops(outcome: Outcome) -> list[str]:
    """The steps on custom resources and components as `op name`, those of the stack itself left out."""
    return [f"{s.op} {s.name}" for s in outcome.steps if s.type != "pulumi:pulumi:Stack"]


def bench_in(tmp_path: Path, *, secrets: bool = False) -> Bench:
    """A bench on a stack below `tmp_path`."""
    return Bench(tmp_path / "dev", secrets=secrets)


def refused(call: Callable[[], object], code: str) -> Any:
    """The first problem of the error that `call` raises."""
    with pytest.raises(BedplateError) as caught:
        call()
    assert caught.value.problems[0].code == code
    return caught.value.problems[0]


__all__ = ["TYPES", "UNKNOWN", "Bench", "Cloud", "Exclusive", "Thing", "bench_in", "build", "ops", "refused"]
