"""Placements against brute force, against filling the fastest memory first, and on real networks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from memplan_solvers.placement.exact import cheapest
from memplan_solvers.placement.fill import best_filled, fastest_first
from memplan_solvers.placement.lives import Lives, Pair
from memplan_solvers.placement.placement import Placement
from memplan_solvers.placement.program import PlacementProgram

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from tests.generate_wide import wide_problem, with_pins
from tests.placement_oracle import PlacementOracle

NONE = (Status.INFEASIBLE, Status.UNKNOWN)


def solved(problem: Problem) -> Plan:
    return evaluate(problem.graph, Placement().solve(problem, Limits(60)))


def agrees(seed: int, order: str) -> Plan:
    """A random problem without moves: the optimum of its program's order, and true bounds in any."""
    rng = random.Random(seed)
    problem = wide_problem(rng, rng.randint(1, 4), still=True, order=order)
    problem = with_pins(rng, problem) if seed % 3 == 0 else problem
    plan, least = solved(problem), PlacementOracle(problem).least()
    if least is None:
        assert plan.status in NONE, seed
        return plan
    assert plan.status is not Status.INFEASIBLE, seed
    if plan.status is not Status.UNKNOWN:
        assert plan.value is not None and plan.bound <= least <= plan.value, seed
    handed_on = problem.options.donate and problem.graph.updates
    if order == "program" and not handed_on:
        assert plan.status is Status.OPTIMAL and plan.value == least, seed
    return plan


@pytest.mark.parametrize("order", ["program", "free"])
def test_no_placement_is_cheaper_than_what_brute_force_finds(order: str) -> None:
    plans = [agrees(seed, order) for seed in range(60)]
    assert sum(p.value is not None and p.value > 0 for p in plans) > 5
    assert any(p.inplace for p in plans) and any(p.status is Status.INFEASIBLE for p in plans)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["program", "free"])
def test_hundreds_of_placements_agree_with_brute_force(order: str) -> None:
    for seed in range(100, 600):
        agrees(seed, order)


@pytest.mark.slow(reason="plans many graphs")
def test_what_may_move_is_loaded_once_and_stored_once() -> None:
    moved = 0
    for seed in range(150):
        rng = random.Random(seed)
        problem = wide_problem(rng, rng.randint(1, 8), still=False)
        plan = solved(problem)
        if plan.status in NONE:
            assert plan.status is Status.UNKNOWN or problem.free_bound == 0
            continue
        streamed = {t.name for t in problem.graph.tensors if t.kind == "constant"}
        once = [m.tensor for m in plan.moves if m.tensor not in streamed]
        assert len(once) == len(set(once))
        moved += bool(once)
    assert moved > 20


def test_a_better_placement_than_the_fastest_memory_first_is_found_and_proved() -> None:
    # The first tensor that is made is large and read once; the second is small and read three times.
    graph = Graph(
        "g",
        (
            Tensor("x", 1, "input"),
            Tensor("a", 8),
            Tensor("b", 8),
            Tensor("c", 1),
            Tensor("d", 1),
            Tensor("y", 1),
        ),
        (
            Op("p", "Conv", ("x",), ("a",)),
            Op("q", "Conv", ("x",), ("b",)),
            Op("r", "Conv", ("b",), ("c",)),
            Op("s", "Conv", ("b", "c"), ("d",)),
            Op("t", "Conv", ("a", "b", "d"), ("y",)),
        ),
        ("y",),
    )
    fast, slow = Memory("fast", 10), Memory("slow")
    target = Target("two", (fast, slow), {"default": ("fast", "slow")}, queues=0)
    problem = Problem(graph, target, Options(io="external", order="program"))
    filled = fastest_first(Lives(problem, range(5)))
    plan = solved(problem)
    assert filled is not None and filled.traffic == 4 * 8
    assert (plan.status, plan.value, plan.bound) == (Status.OPTIMAL, 16, 16)


def test_without_room_it_is_proved_that_there_is_no_plan() -> None:
    # In the program's order a and b are alive at once; b can be read before a is made.
    graph = Graph(
        "g",
        (Tensor("x", 1, "input"), Tensor("a", 6), Tensor("b", 6), Tensor("c", 1), Tensor("y", 1)),
        (
            Op("p", "Conv", ("x",), ("a",)),
            Op("q", "Conv", ("x",), ("b",)),
            Op("r", "Conv", ("b",), ("c",)),
            Op("s", "Conv", ("a", "c"), ("y",)),
        ),
        ("y",),
    )
    memories = Memory("one", 8), Memory("two", 4), Memory("slow")
    target = Target("tight", memories, {"default": ("one", "two")}, queues=0)
    plan = solved(Problem(graph, target, Options(io="external", order="program")))
    assert plan.status is Status.INFEASIBLE and "the program's order has alive" in plan.reason
    assert solved(Problem(graph, target, Options(io="external"))).status is Status.OPTIMAL
    smaller = replace(target, memories=(Memory("one", 5), Memory("two", 4), Memory("slow")))
    plan = solved(Problem(graph, smaller, Options(io="external")))
    assert plan.status is Status.INFEASIBLE and "some op touches" in plan.reason


def test_what_fits_by_bytes_but_has_no_addresses_is_excluded_and_proved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Three of 3 bytes at multiples of 4 are alive at once: 11 bytes hold all of them, 10 hold two, whatever fits by bytes.
    excluded: list[set[int]] = []
    exclude = PlacementProgram.exclude

    def noted(self: PlacementProgram, memory: str, storages: set[int], made: Sequence[Pair]) -> None:
        excluded.append(storages)
        exclude(self, memory, storages, made)

    monkeypatch.setattr(PlacementProgram, "exclude", noted)
    tensors = [Tensor("x", 1, "input"), Tensor("y", 1), *(Tensor(name, 3, alignment=4) for name in "abc")]
    ops = [
        *(Op(f"make_{name}", "Conv", ("x",), (name,)) for name in "abc"),
        Op("last", "Conv", tuple("abc"), ("y",)),
    ]
    graph = Graph("g", tuple(tensors), tuple(ops), ("y",))
    values = []
    for capacity in (9, 10, 11):
        memories = Memory("fast", capacity), Memory("slow")
        target = Target("two", memories, {"default": ("fast", "slow")}, queues=0)
        problem = Problem(graph, target, Options(io="external", order="program"))
        plan = solved(problem)
        assert plan.status is Status.OPTIMAL and plan.value == PlacementOracle(problem).least()
        values.append(plan.value)
    assert values == [6, 6, 0] and {0, 1, 2} in [{*x} for x in excluded]


def test_pins_are_kept() -> None:
    graph = Graph(
        "g",
        (Tensor("x", 4, "input"), Tensor("a", 4), Tensor("b", 4), Tensor("y", 4)),
        (
            Op("p", "Conv", ("x",), ("a",)),
            Op("q", "Conv", ("a",), ("b",)),
            Op("r", "Conv", ("a", "b"), ("y",)),
        ),
        ("y",),
    )
    memories = Memory("one", 64), Memory("two", 64), Memory("slow")
    target = Target("three", memories, {"default": ("one", "two", "slow")}, queues=0)
    for word, memory, offset in (
        ("two", "two", None),
        ("two@8", "two", 8),
        ("@16", "one", 16),
        ("host", None, None),
    ):
        options = Options(io="external", order="program", pins={"a": word})
        plan = solved(Problem(graph, target, options))
        places = [(r.memory, r.offset) for r in plan.residencies if r.tensor == "a"]
        assert [m for m, _ in places] == ([memory] if memory else [])
        assert offset is None or places[0][1] == offset
        assert plan.status is Status.OPTIMAL and plan.value == (12 if memory is None else 0)


def test_same_seed_same_plan_and_a_cancelled_solve_answers() -> None:
    rng = random.Random(3)
    problem = next(p for p in (wide_problem(rng, 12, still=True) for _ in range(99)) if solved(p).schedule)
    one, two = (Placement().solve(problem, Limits(60, seed=1)) for _ in range(2))
    assert (one.residencies, one.moves, one.bound) == (two.residencies, two.moves, two.bound)
    cut = Placement().solve(problem, Limits(60, cancel=lambda: True))
    assert cut.status in (Status.FEASIBLE, Status.UNKNOWN)


@pytest.mark.parametrize(
    ("name", "preset"),
    [("unet", "stm32h743"), ("densenet121_int8", "imxrt1060"), ("mobilenet_v2", "esp32-s3")],
)
def test_real_networks_are_proved_and_never_worse_than_the_fastest_memory_first(
    name: str, preset: str
) -> None:
    target = replace(memplan.load_target(preset), queues=0, channels=())
    problem = memplan.make_problem(memplan.load(name), target, io="external", order="program")
    plan = solved(problem)
    filled = fastest_first(Lives(problem, range(problem.n)))
    assert plan.status is Status.OPTIMAL and plan.value is not None
    assert filled is not None and plan.value <= filled.traffic


@pytest.mark.slow(reason="a long loop over seeds")
def test_the_program_starts_where_filling_ends_and_only_gains() -> None:
    gained = 0
    for name in ("nasnet_a_cifar", "densenet121_int8"):
        target = replace(memplan.load_target("stm32h743"), queues=0, channels=())
        problem = memplan.make_problem(memplan.load(name), target, io="external", order="program")
        lives = Lives(problem, range(problem.n))
        start = best_filled(lives, Limits(60), Limits(60))
        found = cheapest(lives, Limits(60), start)
        assert start is not None and found.layout is not None
        assert found.bound - 1e-6 <= found.layout.cost <= start.cost
        gained += found.layout.cost < start.cost
    assert gained
