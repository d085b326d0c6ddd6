"""M_P is found by counted work: the same on every machine, within the time limit, or not at all."""

from __future__ import annotations

import random
import time

import pytest
from memplan_solvers.compiled import load

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.problem.plan import Status
from memplan.solving.capacities import NotFoundInTime, reference_capacities
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.registry import parse_spec
from memplan.solving.testing import chain


def tangle(ops: int, reach: int, seed: int) -> Graph:
    """Sums of tensors that were made up to `reach` ops before: hard for whoever looks for the least peak."""
    rng = random.Random(seed)
    tensors, made = [Tensor("t0", 64, "input")], []
    for i in range(1, ops + 1):
        tensors.append(Tensor(f"t{i}", rng.randint(1, 1000)))
        sources = {f"t{rng.randint(max(0, i - reach), i - 1)}" for _ in range(2)}
        made.append(Op(f"op{i}", "Add", tuple(sorted(sources)), (f"t{i}",)))
    used = {name for op in made for name in op.inputs}
    outputs = tuple(t.name for t in tensors if t.name not in used)
    return Graph(f"tangle{ops}_{seed}", tuple(tensors), tuple(made), outputs)


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    load("peak", Limits())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less is counted before the search gives up."""
    monkeypatch.setattr("memplan.solving.capacities.PEAK_SOLVER", "peak{packing=none,evaluations=1}")


@pytest.mark.parametrize("capacity", ["MH", "0.75MP"])
def test_the_time_limit_holds_while_the_peak_is_sought(capacity: str) -> None:
    graph, begin = tangle(200, 100, seed=1), time.process_time()
    plans = [memplan.plan(graph, scratchpad=capacity, time_limit_s=0.2) for _ in range(2)]
    assert time.process_time() - begin < 2 * (0.2 + 1)
    assert [p.status for p in plans] == [Status.UNKNOWN] * 2 and plans[0].reason == plans[1].reason
    assert "give more time, or a capacity in bytes" in plans[0].reason


def test_a_search_for_the_peak_can_be_cancelled() -> None:
    asked = []

    def cancel() -> bool:
        asked.append(time.process_time())
        return len(asked) > 20

    plan = memplan.plan(tangle(200, 100, seed=2), scratchpad="MH", time_limit_s=600, cancel=cancel)
    assert plan.status is Status.UNKNOWN and "M_P" in plan.reason
    assert time.process_time() - asked[20] < 1


def test_what_was_cut_is_not_remembered(quick: None) -> None:
    problem = make_problem(tangle(60, 30, seed=3))
    with pytest.raises(NotFoundInTime):
        reference_capacities(problem, Limits(1e-9))
    whole = reference_capacities(problem)
    assert reference_capacities(problem, Limits(1e-9)) == whole  # remembered now


def test_the_same_peak_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes a hundred times as fast changes nothing where the time is not up."""
    problem = make_problem(tangle(200, 100, seed=4), objective="peak")
    counted = parse_spec("peak{packing=none,evaluations=1}")
    found = counted.solve(problem, Limits(1e9))
    now = time.monotonic
    monkeypatch.setattr("memplan.base.clock.time.monotonic", lambda: 100 * now())
    again = counted.solve(problem, Limits(1e9))
    assert (again.schedule, again.bound) == (found.schedule, found.bound)
    more = parse_spec("peak{packing=none,evaluations=2}").solve(problem, Limits(1e9))
    assert more.bound >= found.bound


def test_proved_only_where_the_bound_is_met(quick: None) -> None:
    assert reference_capacities(make_problem(chain(30))).mp_proved
    hard = reference_capacities(make_problem(tangle(120, 100, seed=5)))
    assert not hard.mp_proved and hard.mr < hard.mp
