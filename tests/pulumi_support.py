"""The Pulumi CLI on the fake cloud of the embedded engine's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from pulumi.runtime.proto import provider_pb2_grpc

from bedplate.engine.packages import InProcess
from bedplate.engine.pulumi import PulumiEngine
from bedplate.engine.serving import Package, Servicer
from cli_support import OFFLINE
from engine_cloud import Bench, Cloud

needs_cli = pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH")


@contextmanager
def served(registry: dict[str, Any]) -> Iterator[int]:
    """The port of the loopback interface where the types of the package `test` are served from this process."""
    server = grpc.server(ThreadPoolExecutor(32))
    package = Package("test", "1.0.0", lambda: {"name": "test", "version": "1.0.0"})
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(InProcess(registry), package), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None)


def environment(folder: Path, port: int = 0) -> dict[str, str]:
    """A home of its own in `folder`, the CLI's PATH, no traffic to other hosts, and the provider at `port`."""
    path = os.pathsep.join((str(Path(shutil.which("pulumi") or "/").parent), "/usr/bin", "/bin"))
    found = {"PATH": path, "HOME": str(folder), "PULUMI_HOME": str(folder / "home"), "PULUMI_CONFIG_PASSPHRASE": "test"}
    found |= OFFLINE
    return {**found, "PULUMI_DEBUG_PROVIDERS": f"test:{port}"} if port else found


class CliBench(Bench):
    """A bench whose engine is the Pulumi CLI."""

    def __init__(self, folder: Path, cloud: Cloud, port: int) -> None:
        super().__init__(folder, cloud)
        self.environment = environment(folder.parent, port)
        self.engine = PulumiEngine(environment=self.environment)  # type: ignore[assignment]

    def state(self) -> dict[str, Any]:
        return self.engine.export_state(self.stack)["deployment"]


@contextmanager
def cli_bench(folder: Path, kinds: tuple[type[Any], ...]) -> Iterator[CliBench]:
    """A bench of the CLI on an empty cloud."""
    cloud = Cloud()
    with served({kind.type: kind(cloud) for kind in kinds}) as port:
        yield CliBench(folder, cloud, port)
