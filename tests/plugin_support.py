"""A provider of things in a folder, and executables that serve it as plugins, for the tests of providers."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from bedplate.engine import Checked, CheckFailure, Created, Diff, Properties, ReadResult, Resource, diff_properties
from bedplate.engine.packages import InProcess, Invoked, Provider, Subject
from bedplate.engine.provider import Incomplete
from bedplate.problems import BedplateError, Problem


class Box(Resource):
    """A file of JSON in a folder. `zone` replaces; `key` is secret; `trouble` chooses a failure."""

    type: ClassVar[str] = "shelf:index:Box"
    replace_keys: ClassVar[frozenset[str]] = frozenset({"zone"})
    secret_outputs: ClassVar[frozenset[str]] = frozenset({"key"})
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"key", "path"})
    stable_outputs: ClassVar[frozenset[str]] = frozenset({"path"})

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, news: Properties, olds: Properties | None) -> Checked:
        if news.get("size") == -1:
            return Checked(news, (CheckFailure("size", "must not be negative"),))
        if news.get("trouble") == "check":
            raise BedplateError(Problem("BP205", "a box of trouble", detail="more", fix="ask for none"))
        self._hang(news, "check")
        kept = (olds or {}).get("label", "first")
        return Checked({"size": 1, "label": kept, **news})

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        self._hang(news, "diff")
        found = diff_properties(old_inputs, news, self.replace_keys)
        gone = "" if (self.folder / id).exists() else "the box is gone"
        return Diff(found.properties, delete_before_replace="zone" in found.properties, note=gone)

    def create(self, news: Properties) -> Created:
        match news.get("trouble"):
            case "crash":
                os._exit(3)
            case "hang in create":
                self._hang(news, "create")
            case "bug":
                raise ValueError("unplanned")
            case "late":
                raise Incomplete(self._made(news), Problem("BP244", "the lid does not close"))
        return self._made(news)

    def _hang(self, news: Properties, where: str) -> None:
        if news.get("trouble") == f"hang in {where}":
            (self.folder / "hanging").touch()
            time.sleep(60)

    def _made(self, news: Properties) -> Created:
        id = f"box-{news['name']}"
        self._write(id, news)
        return Created(id, self._outputs(id, news))

    def _write(self, id: str, news: Properties) -> None:
        (self.folder / id).write_text(json.dumps(dict(news)))

    def _outputs(self, id: str, news: Properties) -> dict[str, Any]:
        return {**news, "path": str(self.folder / id), "key": f"hunter2-{id}"}

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        if not (self.folder / id).exists():
            return None
        news = json.loads((self.folder / id).read_text())
        if (self.folder / "damp").exists():
            made = Created(id, {**self._outputs(id, news), "label": "damp"})
            raise Incomplete(made, Problem("BP244", f"{made.outputs['key']} has come off"), inputs=news)
        return ReadResult(id, news, self._outputs(id, news))

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        self._write(id, news)
        return self._outputs(id, news)

    def delete(self, id: str, outputs: Properties) -> None:
        (self.folder / id).unlink(missing_ok=True)


class Shelf(Provider):
    """The package `shelf`: needs `folder`; has the function `shelf:index:count`."""

    def __init__(self) -> None:
        self._types = InProcess({})

    def check_config(self, urn: str, news: Properties, olds: Properties | None) -> Checked:
        missing = () if "folder" in news else (CheckFailure("folder", "is missing"),)
        return Checked({"mode": "plain", **news}, missing)

    def diff_config(self, urn: str, old_inputs: Properties, news: Properties) -> Diff:
        return diff_properties(old_inputs, news, frozenset({"folder"}))

    def configure(self, urn: str, id: str, inputs: Properties) -> None:
        self._folder = Path(inputs["folder"])
        self._types = InProcess({Box.type: Box(self._folder)})
        (self._folder / "configured").write_text(json.dumps([urn, id, dict(inputs)]))

    def resource(self, subject: Subject) -> Resource:
        return self._types.resource(subject)

    def invoke(self, token: str, args: Properties, *, preview: bool) -> Invoked:
        if token != "shelf:index:count":
            raise BedplateError(Problem("BP203", f"there is no function {token}"))
        if "prefix" not in args:
            return Invoked({}, (self._missing,))
        found = sum(1 for each in self._folder.iterdir() if each.name.startswith(str(args["prefix"])))
        return Invoked({"count": found, "preview": preview})

    _missing = CheckFailure("prefix", "is missing")

    def cancel(self) -> None:
        (self._folder / "cancelled").touch()

    def close(self) -> None:
        (self._folder / "closed").touch()


def main() -> None:
    """What the executable does."""
    from bedplate.engine.serving import Package, serve

    serve(Shelf(), Package("shelf", "1.2.3", lambda: {"name": "shelf", "version": "1.2.3"}))


INSISTING = """
import grpc
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from pulumi.runtime.proto import provider_pb2 as pb, provider_pb2_grpc as rpc

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"

class Insisting(rpc.ResourceProviderServicer):
    def Handshake(self, request, context):
        return pb.ProviderHandshakeResponse(accept_secrets=True)
    def CheckConfig(self, request, context):
        missing = pb.CheckFailure(property="version", reason="is missing")
        failures = [] if "version" in request.news.fields else [missing]
        return pb.CheckResponse(inputs=request.news, failures=failures)
    def DiffConfig(self, request, context):
        return pb.DiffResponse(changes=1)
    def Configure(self, request, context):
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)
    def Check(self, request, context):
        given = request.news.fields["key"].struct_value.fields
        secret = SIGNATURE in given and given[SIGNATURE].string_value == SECRET
        failures = [] if secret else [pb.CheckFailure(property="key", reason="has to be a secret")]
        return pb.CheckResponse(inputs=request.news, failures=failures)
    def Diff(self, request, context):
        return pb.DiffResponse(changes=0)
    def Create(self, request, context):
        return pb.CreateResponse(id="" if request.preview else "made", properties=request.properties)
    def Update(self, request, context):
        return pb.UpdateResponse(properties=request.news)
    def Delete(self, request, context):
        from google.protobuf import empty_pb2
        return empty_pb2.Empty()

server = grpc.server(ThreadPoolExecutor(4))
rpc.add_ResourceProviderServicer_to_server(Insisting(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
Event().wait()
"""
"""A plugin that wants secrets as secrets and its own version, and never knows what differs: the engine compares."""


def install(folder: Path, name: str = "pulumi-resource-shelf", body: str = "") -> Path:
    """An executable plugin in `folder`; `body` is Python in place of serving the shelf."""
    folder.mkdir(parents=True, exist_ok=True)
    program = body or "import plugin_support\nplugin_support.main()"
    path = folder / name
    tests = str(Path(__file__).parent)
    path.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {tests!r})\n{program}\n")
    path.chmod(0o755)
    return path
