"""What JSON has nothing for, and numbers that are large."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine import Created, EmbeddedEngine, Properties
from engine_cloud import PlainThing, bench_in, ops, refused


class Odd(PlainThing):
    """A resource type that answers with more than it was asked for."""

    more: Any = None

    def create(self, news: Properties) -> Created:
        made = super().create(news)
        return Created(made.id, {**made.outputs, "odd": {"deep": [self.more]}})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "holds nan"),
        (float("-inf"), "holds -inf"),
        (10**400, "a number beyond every float"),
        ({1}, "a set"),
        (b"x", "a bytes"),
        (Path("x"), "Path"),
    ],
    ids=str,
)
def test_an_output_that_no_state_can_hold_is_refused_by_name(value: Any, said: str, tmp_path: Path) -> None:
    """The type's bug names resource and output; what was made is known, others go on, and the state stays JSON."""
    bench = bench_in(tmp_path)
    kind = Odd(bench.cloud)
    kind.more = value
    bench.engine = EmbeddedEngine({kind.type: kind}, environment={})
    problem = refused(lambda: bench.up([{"name": "a"}]), "BP207")
    assert problem.summary.startswith("a: output odd holds")
    assert said in problem.summary
    for path in bench.stack.folder.glob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)
    kind.more = 1
    bench.up([{"name": "a"}])
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_an_input_that_no_state_can_hold_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """It is the program's, and says so."""
    bench = bench_in(tmp_path)
    problem = refused(lambda: bench.up([{"name": "a", "props": {"size": float("inf")}}]), "BP205")
    assert problem.summary == "a: input size holds inf, which no state can"
    assert bench.cloud.things == {}
    assert ops(bench.up([{"name": "a"}])) == ["create a"]


@pytest.mark.parametrize(
    ("value", "written"), [(1e300, "1e+300"), (2**53, "9007199254740992"), (1.5, "1.5"), (-3.0, "-3"), (1e21, "1e+21")]
)
def test_a_large_number_is_written_as_a_float(value: float, written: str, tmp_path: Path) -> None:
    """With an exponent and not with its hundreds of digits; whole numbers that matter stay whole."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a", "props": {"size": value}}])
    assert f'"size": {written}' in (bench.stack.folder / "state.json").read_text()
    assert ops(bench.up([{"name": "a", "props": {"size": value}}])) == ["same a"]
