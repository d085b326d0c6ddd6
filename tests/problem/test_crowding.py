"""What operands cost that do not fit together: by hand, and below every plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from tests.agree_whole import check_solvers


def bound(*capacities: int, inplace: bool = False, **sizes: int) -> float:
    """Of x -> a, a -> b, (a, b) -> y on a machine whose ops use its fast memories of these capacities, and a slow one."""
    bytes_ = {"x": 1, "a": 4, "b": 4, "y": 1} | sizes
    tensors = tuple(Tensor(name, n, "input" if name == "x" else "activation") for name, n in bytes_.items())
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Relu", ("a",), ("b",), overwrites=(("b", "a"),) if bytes_["a"] == bytes_["b"] else ()),
        Op("r", "Conv", ("a", "b"), ("y",)),
    )
    memories = [Memory(f"m{k}", capacity) for k, capacity in enumerate(capacities)] + [Memory("slow")]
    target = Target("t", tuple(memories), {"default": tuple(m.name for m in memories)})
    options = Options(io="external", inplace=inplace)
    problem = Problem(Graph("g", tensors, ops, ("y",)), target, options)
    plan = memplan.plan(problem.graph, target, io="external", inplace=inplace, solver="greedy")
    assert plan.value is not None and problem.free_bound <= plan.value
    return problem.free_bound


def test_what_does_not_fit_beside_the_others_is_read_and_written_in_slow_memory() -> None:
    assert bound(8) == bound(4, 4) == bound(100) == 0
    assert bound(7) == 4 + 4  # q and r have one of a and b each in slow memory
    assert (
        bound(3) == 4 + 8 + 8 == bound(3, 3)
    )  # a storage lies in one memory: no two of them make room for it
    assert bound(6, b=3) == 3 + 3
    assert bound(7, inplace=True) == 4  # b may be written over a, and is then read beside nothing


def test_seconds_that_operands_take_in_slow_memory_are_in_the_bound_of_latency() -> None:
    # q reads 4 bytes and writes 4, of which 7 bytes hold one; so does r, which reads both.
    tensors = Tensor("x", 0, "input"), Tensor("a", 4), Tensor("b", 4), Tensor("y", 0)
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("a",), ("b",)),
        Op("r", "Conv", ("a", "b"), ("y",)),
    )
    graph = Graph("g", tensors, ops, ("y",))
    memories = Memory("one", 4, bandwidth=4e9), Memory("two", 3, bandwidth=4e9), Memory("slow", bandwidth=1e9)
    target = Target("t", memories, {"default": ("one", "two", "slow")}, compute=Compute(1e9))
    problem = Problem(graph, target, Options("latency", io="external"))
    assert problem.free_bound == pytest.approx((1 + 5 + 5) * 1e-9)
    plan = memplan.plan(graph, target, objective="latency", io="external", solver="greedy")
    assert plan.status is Status.OPTIMAL
    pinned = replace(problem, options=replace(problem.options, pins={"a": "host"}))
    assert pinned.free_bound == pytest.approx((4 + 5 + 5) * 1e-9)


@pytest.mark.slow(reason="a long loop over seeds")
def test_no_plan_of_the_whole_problem_is_below_it() -> None:
    check_solvers(["greedy"], range(2_000, 2_500))


def test_presets_whose_ops_use_slow_memory_have_a_bound() -> None:
    target = memplan.load_target("imxrt1060")
    problem = memplan.make_problem(memplan.load("mobilenet_v2"), target, io="external", order="program")
    still = replace(problem, target=replace(target, queues=0, channels=()))
    proved = memplan.plan(problem.graph, still.target, io="external", order="program", solver="placement")
    moving = memplan.plan(problem.graph, target, io="external", order="program", solver="greedy")
    assert proved.value is not None and moving.value is not None
    assert 0 < problem.free_bound <= min(proved.value, moving.value)
