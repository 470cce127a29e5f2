"""The process of one python tool: imports the project's function and calls it for each line of standard input.

`python -I -m bedplate.runtime.tools.python_host MODULE:FUNCTION FOLDER…`. JSON, one object a line. It says first
`{"ready": {"name", "description", "schema"}}` or `{"failed": "why"}`; then for each `{"id", "arguments"}` one
`{"id", "value"}` or `{"id", "error": {"type", "message"}}`, in the order in which calls end. Standard output belongs
to this protocol: whatever the project's code prints goes to standard error.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import re
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_RESULT = 1024 * 1024
THREADS = 4  # calls of a plain function that run at the same time


class Refused(Exception):
    """The function cannot be offered; the message says why."""


@dataclass(frozen=True)
class Function:
    """The project's function and the model that checks its arguments."""

    call: Callable[..., Any]
    arguments: type[BaseModel]
    positional: tuple[str, ...]
    keywords: tuple[str, ...]

    def described(self) -> dict[str, Any]:
        """What the gateway needs to offer it."""
        text = inspect.cleandoc(self.call.__doc__ or "")
        about = re.split(r"\n\s*(?:Args|Arguments|Parameters|Returns|Raises):?\s*\n", text)[0].strip()
        return {"name": self.call.__name__, "description": about, "schema": self.arguments.model_json_schema()}

    def bound(self, arguments: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Checked arguments. Raises pydantic.ValidationError."""
        model = self.arguments.model_validate(arguments)
        values = {info.alias: getattr(model, name) for name, info in type(model).model_fields.items()}
        return [values[n] for n in self.positional], {n: values[n] for n in self.keywords}


def load(entrypoint: str, folders: Sequence[str]) -> Function:
    """Import `module:function`, first from `folders`. Raises Refused, or whatever the module raises when imported."""
    sys.path[:0] = folders
    module, _, name = entrypoint.partition(":")
    target = getattr(importlib.import_module(module), name, None)
    if not callable(target):
        raise Refused(f"{module} has no function {name}")
    return describe(target)


def describe(target: Callable[..., Any]) -> Function:
    """The function with the model of its arguments, from signature, type hints and docstring. Raises Refused."""
    from pydantic import ConfigDict, Field, create_model

    hints = typing.get_type_hints(target, include_extras=True)
    about = _parameter_docs(target.__doc__ or "")
    fields: dict[str, Any] = {}
    positional: list[str] = []
    keywords: list[str] = []
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise Refused(f"the parameter {parameter} has no fixed meaning; give every parameter a name")
        default = ... if parameter.default is parameter.empty else parameter.default
        # The alias keeps names free that a model has for itself (`schema`, `_private`).
        field = Field(default, alias=name, title=name, description=about.get(name), validate_default=False)
        fields[f"field_{len(fields)}"] = (hints.get(name, Any), field)
        (positional if parameter.kind is parameter.POSITIONAL_ONLY else keywords).append(name)
    model = create_model("Arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields)
    model.model_json_schema()  # a type without a JSON form shows here and not in the first call
    return Function(target, model, tuple(positional), tuple(keywords))


def _parameter_docs(doc: str) -> dict[str, str]:
    """Descriptions of parameters in a docstring: `name: text` or `name (type): text` below `Args:`."""
    section = re.search(r"(?ms)^\s*(?:Args|Arguments|Parameters):\s*\n(.*?)(?:\n\s*\n|\Z)", inspect.cleandoc(doc))
    lines = re.findall(r"(?m)^\s+\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.+)$", section[1]) if section else []
    return {name: text.strip() for name, text in lines}


async def answer(function: Function, request: dict[str, Any], pool: ThreadPoolExecutor) -> dict[str, Any]:
    """One call, whatever it raises."""
    from pydantic_core import to_jsonable_python

    try:
        args, kwargs = function.bound(request["arguments"])
        if inspect.iscoroutinefunction(function.call):
            value = await function.call(*args, **kwargs)
        else:
            value = await asyncio.get_running_loop().run_in_executor(pool, lambda: function.call(*args, **kwargs))
        reply = {"id": request["id"], "value": to_jsonable_python(value)}
        if len(json.dumps(reply)) > MAX_RESULT:
            raise ValueError(f"the result is larger than {MAX_RESULT} bytes")
    except Exception as error:  # noqa: BLE001 the project's code may raise anything: the caller is told, the log has it all
        traceback.print_exc()
        return {"id": request["id"], "error": {"type": type(error).__name__, "message": _message(error)}}
    return reply


def _message(error: Exception) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
    return str(error)[:2000]


async def serve(function: Function, requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer until standard input ends."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(THREADS)
    running: set[asyncio.Task[None]] = set()

    async def one(line: bytes) -> None:
        _write(replies, await answer(function, json.loads(line), pool))

    while line := await loop.run_in_executor(None, requests.readline):
        task = asyncio.create_task(one(line))
        running.add(task)
        task.add_done_callback(running.discard)
    os._exit(0)  # the gateway has closed: a call that still runs has nobody left to answer


def _write(replies: IO[bytes], message: dict[str, Any]) -> None:
    replies.write(json.dumps(message).encode() + b"\n")
    replies.flush()


def main(entrypoint: str, *folders: str) -> int:
    """Take the standard streams, load, serve."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        function = load(entrypoint, folders)
        ready = function.described()
    except BaseException as error:  # noqa: BLE001 also SystemExit of a module that runs a program when it is imported
        traceback.print_exc()
        _write(replies, {"failed": str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"})
        return 1
    _write(replies, {"ready": ready})
    asyncio.run(serve(function, requests, replies))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
