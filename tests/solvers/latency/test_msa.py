"""Memory space assignment on small programs, decision by decision, worked out by hand.

Host 10 B/s, scratchpad 100 B/s, no compute: an op takes its bytes / 10 seconds with all in host.
"""

from __future__ import annotations

import numpy as np
import pytest
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.msa import GRID, XLA, all_host_elapsed, run_msa, value_order
from memplan_solvers.latency.msa_kernel import PrefetchRatios

from memplan.ir.parts import Op, Tensor
from memplan.judge.simulate import simulate
from memplan.machine.parts import Compute, Memory
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.planning import plan as solve
from tests.graphs import graph_of


def small_problem(program: str, sizes: dict[str, int], capacity: int, flops: int = 0) -> Problem:
    """`x>a a>b b,w>y`: one op a word, of `flops` each; w… are constants, x… inputs, y… outputs; 10 bytes each."""
    kinds = {"w": "constant", "x": "input", "y": "output"}
    tensors, ops = {}, []
    for k, word in enumerate(program.split()):
        reads, writes = (part.split(",") for part in word.split(">"))
        for name in (*reads, *writes):
            tensors[name] = Tensor(name, sizes.get(name, 10), kinds.get(name[0], "activation"))
        ops.append(Op(f"op{k}", "Conv", tuple(reads), tuple(writes), flops))
    pad, host = Memory("scratchpad", capacity, bandwidth=100.0), Memory("host", bandwidth=10.0)
    target = two_level("t", pad, host, direct=True, compute=Compute(100.0))
    graph = graph_of("g", tuple(tensors.values()), tuple(ops))
    return Problem(graph, target, Options("latency", "tensor", order="program"))


def _run(problem: Problem, order: list[str] | None = None, ratios: PrefetchRatios = XLA, repacks: int = 0):
    """Residencies {(name, start, stop, offset)} and stores {name: (issue, due)}."""
    timed = make_arrays(problem, Limits(10.0))
    assert timed is not None
    names = [s.name for s in problem.storages]
    numbers = value_order(timed) if order is None else np.array([problem.number[x] for x in order])
    layout = run_msa(timed, numbers, all_host_elapsed(timed), ratios, repacks)
    stores = {names[s]: layout.stores[s].tolist() for s in np.flatnonzero(layout.stores["issue"] >= 0)}
    return {(names[s], a, b, o) for s, a, b, o in layout.residencies.tolist()}, stores


def test_values_go_by_what_their_bytes_gain() -> None:
    problem = small_problem("x>a a>b b>c c,w>y", {"w": 30}, 60)
    timed = make_arrays(problem, Limits(10.0))
    assert timed is not None
    # a, b, c: two touches of 0.9 s each / √10; w: 2.7 / √30; x and y: 0.9 / √10.
    assert [problem.storages[s].name for s in value_order(timed)] == ["a", "b", "c", "w", "x", "y"]
    assert all_host_elapsed(timed).tolist() == [0, 2, 4, 6, 11]


def test_kept_from_definition_to_use_and_weights_fetched_at_the_preferred_time() -> None:
    rows, stores = _run(small_problem("x>a a>b b>c c,w>y", {"w": 30}, 60))
    # w copies for 3 s and wants 4.5: from step 1 it has 4, from step 0 it would have 6. x has no time to come.
    # c takes the gap that a left, which it fills; b, between, was put above a; y is written to host.
    assert rows == {("a", 0, 2, 0), ("b", 1, 3, 10), ("c", 2, 4, 0), ("w", 1, 4, 20)}
    assert stores == {}


def test_min_ratio_forbids_what_cannot_arrive() -> None:
    problem = small_problem("x>a a,w>y", {"w": 30, "a": 5}, 60)
    # w copies for 3 s; the op before takes 1.5 s.
    assert _run(problem)[0] == {("a", 0, 2, 0)}
    # With a ratio of 0.5 the wish would be granted, but the queue has no capacity for it.
    assert _run(problem, ratios=PrefetchRatios(0.5, 0.5, 10.0))[0] == {("a", 0, 2, 0)}


def test_evicts_from_the_definition_on_and_fetches_again() -> None:
    problem = small_problem("x>a a>b b>c c>d d>e a,e>y", {}, 40)
    # Nothing may be held for more than 1 × 4 s. Between its uses at 1 and 5 pass 6 s: a is stored from its
    # definition on, due at the first step 1.5 s later, and comes back at 4, where it has 2 s for its copy of 1 s.
    rows, stores = _run(problem, ["a"], ratios=PrefetchRatios(0.8, 1.5, 1.0))
    assert rows == {("a", 0, 2, 0), ("a", 4, 6, 0)}
    assert stores == {"a": (0, 2)}
    # With XLA's ratio of 10 it is simply held.
    assert _run(problem, ["a"])[0] == {("a", 0, 6, 0)}


def test_a_value_that_cannot_be_evicted_is_defined_in_host() -> None:
    problem = small_problem("x>a a>b b,w>c c>d a,d>y", {"w": 16}, 40)
    # w comes from step 1 on and needs 1.6 of the 2 s there. a may not be held over steps 2 and 3 (5.6 s > 4 s),
    # and a store of 1 s ahead of w in the queue would make w late: a is uncommitted, defined in host and
    # fetched for its last use alone.
    rows, stores = _run(problem, ["w", "a"], ratios=PrefetchRatios(0.8, 1.5, 1.0))
    assert rows == {("w", 1, 3, 0), ("a", 3, 5, 0)}
    assert stores == {}
    # The other way round the store comes first and w has to come earlier.
    rows, stores = _run(problem, ["a", "w"], ratios=PrefetchRatios(0.8, 1.5, 1.0))
    assert rows == {("a", 0, 2, 0), ("w", 0, 3, 10), ("a", 3, 5, 0)}
    assert stores == {"a": (0, 2)}


def test_the_smallest_gap_and_one_that_lasts_until_the_farthest_use() -> None:
    problem = small_problem("x>a,b,c a>d b>e c>f d,e,f>y", {"a": 12, "b": 10, "c": 8, "d": 8, "e": 9}, 100)
    # a, b, c are stacked from below. d is written while a is read: it goes on top. e finds the hole that a
    # left, f the rest of it and what b left.
    rows, _ = _run(problem, ["a", "b", "c", "d", "e", "f"])
    assert rows == {
        ("a", 0, 2, 0),
        ("b", 0, 3, 12),
        ("c", 0, 4, 22),
        ("d", 1, 5, 30),
        ("e", 2, 5, 0),
        ("f", 3, 5, 9),
    }
    # Best fit: of the holes [0, 12) and [20, 29) a newcomer of 9 bytes takes the second.
    holes = small_problem(
        "x>a,b,c,d a,c>e e>f b,d,e,f>y", {"a": 12, "b": 8, "c": 9, "d": 7, "e": 90, "f": 9}, 100
    )
    rows, _ = _run(holes, ["a", "b", "c", "d", "f"])
    assert rows == {("a", 0, 2, 0), ("b", 0, 4, 12), ("c", 0, 2, 20), ("d", 0, 4, 29), ("f", 2, 4, 20)}
    # A place that stays free until the farthest use: [0, 12) is wanted again at step 3 by another.
    far = small_problem("x>a,b a>c b>d c>e d,e>y", {"a": 10, "b": 10, "c": 10, "d": 10, "e": 10}, 100)
    rows, _ = _run(far, ["b", "e", "a", "c"])
    assert rows == {("b", 0, 3, 0), ("e", 3, 5, 0), ("a", 0, 2, 10), ("c", 1, 4, 20)}


def test_repacking_makes_room_once_more() -> None:
    # b lies between a and c: when a and c are gone, 10 + 10 bytes are free on either side of it and d, of 20,
    # finds no hole. Repacked, longest first, b goes to the bottom.
    problem = small_problem("x>a,b,c a,c>e e>d b,d>y", {"a": 10, "b": 10, "c": 10, "d": 20, "e": 90}, 30)
    rows, _ = _run(problem, ["a", "b", "c", "d"])
    assert rows == {("a", 0, 2, 0), ("b", 0, 4, 10), ("c", 0, 2, 20)}
    rows, _ = _run(problem, ["a", "b", "c", "d"], repacks=1)
    assert rows == {("b", 0, 4, 0), ("a", 0, 2, 10), ("c", 0, 2, 20), ("d", 2, 4, 10)}


def test_tuned_is_never_behind_its_default_and_tries_about_a_hundred() -> None:
    assert 90 <= len(GRID) <= 110 and (0.8, 1.5, 10.0, 0) in GRID
    problem = small_problem("x>a a>b b>c c>d d>e a,e,w>y", {"w": 40, "a": 30}, 60)
    values = {}
    for name in ("msa", "msa_tuned"):
        plan = solve(problem.graph, problem.target, objective="latency", order="program", solver=name)
        values[name] = simulate(problem.graph, plan).latency_s
    assert values["msa_tuned"] <= values["msa"]


def test_operands_in_the_scratchpad_are_refused() -> None:
    from memplan.base.errors import OptionError

    problem = small_problem("x>a a>y", {}, 60)
    with pytest.raises(
        OptionError,
        match="does not plan for operands that must all be in 'scratchpad'\nhint: use --solver, one of anneal, greedy, malloc_game, portfolio",
    ):
        solve(problem.graph, "cortex-m7", objective="latency", solver="msa")
