"""Resources of which each refers to the one before, and circles among them."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from types import SimpleNamespace

from bedplate.engine.circles import install, search
from engine_cloud import Thing, bench_in, ops, refused

LENGTH = 1200  # the SDK's own search for circles fails at 1,000


def test_a_long_chain_is_deployed(tmp_path: Path) -> None:
    """A program whose every resource refers to the one before is deployed, whatever its length, and destroyed."""
    bench = bench_in(tmp_path)
    specs = [{"name": "n0"}, *({"name": f"n{i}", "refs": [f"n{i - 1}"]} for i in range(1, LENGTH))]
    assert len(ops(bench.up(specs))) == LENGTH
    assert set(ops(bench.preview(specs))) == {f"same n{i}" for i in range(LENGTH)}
    bench.engine.destroy(bench.stack)
    assert (bench.cloud.things, bench.cloud.violations) == ({}, [])


def test_a_circle_is_refused(tmp_path: Path) -> None:
    """Two resources that wait for each other are refused, and nobody waits for them."""
    bench = bench_in(tmp_path)

    def program() -> None:
        import pulumi

        later: asyncio.Future[list[pulumi.Resource]] = asyncio.get_running_loop().create_future()
        waiting = pulumi.ResourceOptions(depends_on=pulumi.Output.from_input(later))
        first = pulumi.CustomResource(Thing.type, "a", {"name": "a"}, waiting)
        second = pulumi.CustomResource(Thing.type, "b", {"name": "b"}, pulumi.ResourceOptions(depends_on=[first]))
        later.set_result([second])

    assert "circular dependency" in refused(lambda: bench.engine.up(bench.stack, program, {}), "BP201").summary


class _Node:
    """As the SDK uses its resources here."""

    def __init__(self) -> None:
        self.needs: set[_Node] = set()


def _reaches(start: _Node, wanted: _Node) -> bool:
    return start is wanted or any(_reaches(node, wanted) for node in start.needs)


def test_circles_are_found_as_by_the_definition() -> None:
    """Whatever the order in which dependencies are declared, one is refused exactly where it would close a circle."""
    for order in itertools.permutations(itertools.permutations(range(3), 2), 4):
        nodes = [_Node() for _ in range(3)]
        reachable = search(lambda node: node.needs)
        for one, other in order:
            expected = _reaches(nodes[other], nodes[one])
            assert reachable(nodes[other], nodes[one]) is expected
            if not expected:
                nodes[one].needs.add(nodes[other])


def test_an_sdk_without_the_search_is_left_alone() -> None:
    """Nothing is put into a module that does not have it."""
    module = SimpleNamespace()
    install(module)  # type: ignore[arg-type]
    assert vars(module) == {}
