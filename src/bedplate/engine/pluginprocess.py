"""A plugin as a process: started, connected to, listened to, ended.

Goes in: an executable, an environment. Comes out: a gRPC channel to it. What it writes to stderr is passed on line by
line and its last lines are kept for errors. It also answers the plugin as `pulumirpc.Engine`, where plugins send logs.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2_grpc

from bedplate.problems import BedplateError, Problem, Where

Log = Callable[[str], None]
START = 60.0
"""Seconds for a plugin to write its port and to answer."""
_END = 5.0  # seconds between SIGTERM and SIGKILL
_DRAIN = 1.0  # seconds for the last lines to arrive
_KEPT = 20  # last lines of stderr
_LARGEST = 400 * 1024 * 1024
_OPTIONS = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]


class LogService(engine_pb2_grpc.EngineServicer):
    """`pulumirpc.Engine` for plugins: their log messages, debug left out. Other methods answer UNIMPLEMENTED."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def Log(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """A message of a provider about one of its resources."""
        if request.severity != engine_pb2.DEBUG and request.message.strip():
            self._log(request.message.rstrip())
        return empty_pb2.Empty()


class PluginProcess:
    """One running plugin. Raises BedplateError BP243 where it does not start."""

    def __init__(self, executable: Path, environment: Mapping[str, str], log: Log, start: float = START) -> None:
        self.executable = executable
        self._log = log
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._ended = threading.Event()
        self._engine = grpc.server(ThreadPoolExecutor(4, thread_name_prefix="plugin-log"))
        engine_pb2_grpc.add_EngineServicer_to_server(LogService(log), self._engine)
        self.engine_address = f"127.0.0.1:{self._engine.add_insecure_port('127.0.0.1:0')}"
        self._engine.start()
        self.channel: Any = None
        self._process = self._spawn(environment)
        try:
            self.channel = grpc.insecure_channel(f"127.0.0.1:{self._port(start)}", options=_OPTIONS)
            grpc.channel_ready_future(self.channel).result(timeout=start)
        except (BedplateError, grpc.FutureTimeoutError) as error:
            self.close()
            raise error if isinstance(error, BedplateError) else self.failed("does not answer on its port") from error
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def _spawn(self, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        try:
            process = subprocess.Popen(
                [str(self.executable), self.engine_address],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=dict(environment),
                # Ctrl-C belongs to the engine, which asks the plugin by Cancel.
                start_new_session=True,
            )
        except OSError as error:
            self._engine.stop(grace=None)
            raise self.failed(f"cannot be started: {error.strerror or error}") from error
        self._port_line: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=target, args=(stream,), daemon=True, name=self.executable.name)
            for target, stream in ((self._read_output, process.stdout), (self._read_errors, process.stderr))
        ]
        for reader in self._readers:
            reader.start()
        return process

    def _read_output(self, stream: IO[str]) -> None:
        # The first line is the port; what else a plugin prints is a message.
        self._port_line.put(stream.readline())
        for line in stream:
            self._log(line.rstrip())

    def _read_errors(self, stream: IO[str]) -> None:
        for line in stream:
            self._last.append(line.rstrip())
            if not self._ended.is_set():
                self._log(line.rstrip())

    def _port(self, start: float) -> int:
        try:
            line = self._port_line.get(timeout=start).strip()
        except queue.Empty:
            raise self.failed(f"wrote no port within {start:g} s") from None
        if not line.isdecimal():
            self._end()
            raise self.failed(f"wrote {line!r} in place of its port" if line else "ended before it wrote its port")
        return int(line)

    def failed(self, what: str) -> BedplateError:
        """What is wrong with this plugin, with the last lines it wrote."""
        summary = f"the plugin {self.executable.name} {what}"
        return BedplateError(Problem("BP243", summary, where=Where(str(self.executable)), detail="\n".join(self._last)))

    @property
    def exit(self) -> int | None:
        """The exit status of a plugin that has ended, negative for a signal.

        Its connection breaks before it is known to have ended: a plugin that is ending has a second to do so.
        """
        try:
            return self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End it: SIGTERM, then SIGKILL."""
        self._ended.set()
        if self.channel is not None:
            self.channel.close()
        self._end()
        self._engine.stop(grace=None)

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # A child that the plugin left behind may hold the pipes open: what it wrote itself is there by now.
        for reader in self._readers:
            reader.join(_DRAIN)
