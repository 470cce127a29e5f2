"""Resource types of Pulumi itself: references to other stacks, and stashed values.

Goes in: how to read the outputs of another stack. Comes out: a registry. What each does is Pulumi's
(pulumi/pulumi, pkg/resource/deploy/builtins.go).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from bedplate.engine.provider import Checked, CheckFailure, Created, Properties, ReadResult, Resource
from bedplate.engine.values import Secret, contains

ReadOutputs = Callable[[str], Mapping[str, Any]]
"""The outputs of the stack with this name (`stack`, `organization/project/stack`), secrets as `Secret`."""


def builtins(outputs_of: ReadOutputs) -> dict[str, Resource]:
    """The types of the package `pulumi`."""
    return {kind.type: kind for kind in (StackReference(outputs_of), Stash())}


class StackReference(Resource):
    """The outputs of another stack, read in every run. Programs read it by the stack's name and never make one."""

    type: ClassVar[str] = "pulumi:pulumi:StackReference"
    replace_keys: ClassVar[frozenset[str]] = frozenset({"name"})

    def __init__(self, outputs_of: ReadOutputs) -> None:
        self._outputs_of = outputs_of

    def create(self, news: Properties) -> Created:
        """A reference that an old SDK registers instead of reading it."""
        return Created(str(uuid.uuid4()), self._read(str(news["name"])))

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:  # noqa: ARG002
        """The other stack as it is now."""
        return ReadResult(id, inputs, self._read(str(inputs["name"])))

    def delete(self, id: str, outputs: Properties) -> None:
        """There is nothing to remove."""

    def _read(self, name: str) -> dict[str, Any]:
        outputs = self._outputs_of(name)
        secret = sorted(key for key, value in outputs.items() if contains(value, Secret))
        return {"name": name, "outputs": outputs, "secretOutputNames": secret}


class Stash(Resource):
    """A value that is kept as it was when the stash was made, whatever its input becomes."""

    type: ClassVar[str] = "pulumi:index:Stash"
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"output"})
    stable_outputs: ClassVar[frozenset[str]] = frozenset({"output"})

    def check(self, news: Properties, olds: Properties | None) -> Checked:  # noqa: ARG002
        """Nothing but `input`, which may be anything."""
        unknown = tuple(CheckFailure(key, "there is no such property") for key in news if key != "input")
        missing = () if "input" in news else (CheckFailure("input", "is missing"),)
        return Checked(news, unknown + missing)

    def create(self, news: Properties) -> Created:
        """The value is the input's."""
        return Created(str(uuid.uuid4()), {"input": news["input"], "output": news["input"]})

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """It exists in the state only. One that is not there cannot be imported."""
        return ReadResult(id, inputs, outputs) if inputs else None

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:  # noqa: ARG002
        """The value stays."""
        return {"input": news["input"], "output": old_outputs["output"]}

    def delete(self, id: str, outputs: Properties) -> None:
        """There is nothing to remove."""

    def preview_outputs(self, news: Properties, old_outputs: Properties | None) -> Properties:
        """Known: the value is the input, or what it was."""
        return {"input": news["input"], "output": (old_outputs or {}).get("output", news["input"])}
