"""`fixed_order` against a brute force over every keep-or-drop choice and every packing."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from memplan_solvers.ilp.fixed_order import (
    FixedOrder,
    least_replacement,
    optimize_replacement,
    relaxed_replacement,
)
from memplan_solvers.ilp.gaps import Gaps
from memplan_solvers.residency import Walk, traffic

from memplan.base.errors import OptionError
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.capacities import least_capacity
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.generate import random_graph, random_options
from tests.graphs import graph_of

Row = tuple[int, int, int]
"""(start, stop, size) of a residency."""


def random_problem(seed: int, most_ops: int = 6, order: str = "program") -> Problem:
    rng = random.Random(seed)
    graph = random_graph(rng, rng.randint(1, most_ops))
    options = replace(random_options(rng, "traffic"), order=order)
    problem = Problem(graph, Target().with_scratchpad(None, rng.choice((1, 1, 4))), options)
    least = max(least_capacity(problem), problem.min_capacity, 1)
    if not options.inplace:
        least += rng.choice((0, 0, 1, 2, 4))
    return replace(problem, target=problem.target.with_scratchpad(least))


def packs(rows: list[Row], capacity: int, alignment: int) -> bool:
    """Whether the rows have offsets under the capacity: every offset of every row is tried."""
    rows = sorted((r for r in rows if r[2]), key=lambda r: (-r[2], r))
    placed: list[tuple[Row, int]] = []

    def place(k: int) -> bool:
        if k == len(rows):
            return True
        a, b, z = rows[k]
        # Some optimal packing is pushed down: each row lies on the floor or on another's top; sums of
        # sizes cover those tops, so all multiples of the alignment are enough and more.
        for offset in range(0, capacity - z + 1, alignment):
            if all(b <= r[0] or r[1] <= a or offset + z <= o or o + r[2] <= offset for r, o in placed):
                placed.append((rows[k], offset))
                if place(k + 1):
                    return True
                placed.pop()
        return False

    return place(0)


def optimum(problem: Problem, addresses: bool) -> int | None:
    """The least traffic in program order, straight from the rules; None where there is no plan."""
    options, n = problem.options, problem.n
    stored: list[list[tuple[int, list[Row]]]] = []
    for s in problem.storages:
        steps = sorted(s.touches)
        if options.io == "resident" and (s.is_input or s.is_output) and not s.is_constant:
            start = 0 if s.is_input else steps[0]
            stored.append([(0, [(start, n if s.is_output else steps[-1] + 1, s.size)])])
            continue
        ways = []
        for drop in itertools.product((False, True), repeat=len(steps) - 1):
            if options.weights == "stream" and s.is_constant and not all(drop):
                continue
            rows = [(steps[0], steps[0] + 1, s.size)]
            for t, leaves in zip(steps[1:], drop, strict=True):
                if leaves:
                    rows.append((t, t + 1, s.size))
                else:
                    rows[-1] = (rows[-1][0], t + 1, s.size)
            cost = s.nbytes * sum(drop)
            if any(drop) and not (s.in_host or s.is_output):
                cost += s.nbytes
            ways.append((cost, rows))
        stored.append(ways)
    best = None
    for choice in itertools.product(*stored):
        cost = sum(c for c, _ in choice)
        if best is not None and cost >= best:
            continue
        rows = [r for _, each in choice for r in each]
        capacity = problem.capacity
        assert capacity is not None
        load = [sum(z for a, b, z in rows if a <= t < b) for t in range(n)]
        fits = max(load, default=0) <= capacity
        if fits and (not addresses or packs(rows, capacity, problem.target.scratchpad.alignment)):
            best = cost
    return best


def small(problem: Problem) -> bool:
    return sum(len(s.touches) - 1 for s in problem.storages) <= 9


@pytest.mark.slow
def test_agrees_with_brute_force_addresses_included() -> None:
    compared = spilled = 0
    for seed in range(2500):
        problem = random_problem(seed)
        if problem.options.inplace or not small(problem):
            continue
        best = optimum(problem, addresses=True)
        plan = evaluate(problem.graph, FixedOrder().solve(problem, Limits(30.0)))
        if best is None:
            assert plan.status is Status.INFEASIBLE, seed
            continue
        assert (plan.status, plan.value, plan.bound) == (Status.OPTIMAL, best, best), seed
        compared += 1
        spilled += best > 0
    assert compared > 900 and spilled > 150


@pytest.mark.slow(reason="solves many integer programs")
def test_bound_of_the_gap_model_is_that_of_the_bytes() -> None:
    """Without addresses the program's own optimum is the brute force's."""
    from memplan_solvers.ilp.mathopt import solve_mathopt

    compared = 0
    for seed in range(3000, 3300):
        problem = random_problem(seed)
        if problem.options.inplace or not small(problem):
            continue
        gaps = Gaps(Walk(problem, tuple(range(problem.n))), problem.capacity or 0)
        best = optimum(problem, addresses=False)
        if best is None:
            assert max(gaps.base) > gaps.capacity
            continue
        program, keep, _ = gaps.linear()
        found = solve_mathopt(program, Limits(10.0))
        assert found.x is not None and (program.value(found.x), found.bound) == (best, best), seed
        assert gaps.choice(gaps.stretches([found.x[v] for v in keep])) == [found.x[v] for v in keep]
        compared += 1
    assert compared > 80


@pytest.mark.slow(reason="solves many integer programs")
def test_backends_agree() -> None:
    for seed in range(4000, 4150):
        problem = random_problem(seed, 8)
        plans = [
            evaluate(problem.graph, FixedOrder(backend=b).solve(problem, Limits(30.0)))
            for b in ("highs", "scip")
        ]
        assert plans[0].value == plans[1].value or problem.options.inplace, seed


def test_a_free_order_gets_no_more_than_the_free_bound() -> None:
    for seed in range(5000, 5100):
        problem = random_problem(seed, 8, order="free")
        plan = evaluate(problem.graph, FixedOrder().solve(problem, Limits(30.0)))
        assert plan.bound == problem.free_bound


@pytest.mark.slow
def test_in_place_bounds_stay_below_every_value() -> None:
    """In place, packing proofs cover one choice of pairs; greedy's value must never undercut the bound."""
    proved = 0
    for seed in range(6000, 6300):
        problem = random_problem(seed, 8)
        problem = replace(problem, options=replace(problem.options, inplace=True))
        plan = evaluate(problem.graph, FixedOrder().solve(problem, Limits(30.0)))
        greedy = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits(30.0)))
        if greedy.value is not None:
            assert plan.value is not None and plan.bound <= plan.value <= greedy.value
            proved += plan.status is Status.OPTIMAL
    assert proved > 150


def test_equal_bytes_that_do_not_pack_are_dropped_again() -> None:
    """Optimizing an order's replacement answers with addresses whenever it answers."""
    for seed in range(7000, 7200):
        problem = random_problem(seed, 10)
        found = optimize_replacement(problem, range(problem.n), Limits(30.0))
        if found.blocks is not None:
            ends = [o + b.size for o, b in zip(found.offsets, found.blocks, strict=True)]
            assert max(ends, default=0) <= (problem.capacity or 0)
            assert found.value is not None and found.bound <= found.value


def test_reloading_an_input_costs_its_load_alone() -> None:
    tensors = (
        Tensor("x", 4, "input"),
        Tensor("a", 6),
        Tensor("b", 6),
        Tensor("y", 2, "output"),
    )
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("a",), ("b",)),
        Op("r", "Conv", ("x", "b"), ("y",)),
    )
    problem = Problem(graph_of("g", tensors, ops), Target().with_scratchpad(12), Options(order="program"))
    plan = evaluate(problem.graph, FixedOrder().solve(problem, Limits()))
    assert (plan.status, plan.value) == (Status.OPTIMAL, 4)
    assert plan.metrics.spill_store == 0


def test_unknown_words_name_the_nearest() -> None:
    with pytest.raises(OptionError, match="highs"):
        FixedOrder(backend="high")
    with pytest.raises(OptionError, match="least_live"):
        FixedOrder(schedule="least_lives")


@pytest.mark.slow(reason="solves many integer programs")
def test_the_relaxed_program_gives_a_true_bound_and_stretches_that_fit() -> None:
    close = 0
    for seed in range(3000, 3300):
        problem = random_problem(seed)
        if problem.options.inplace or not small(problem):
            continue
        gaps = Gaps(Walk(problem, tuple(range(problem.n))), problem.byte_limit)
        least = optimum(problem, addresses=False)
        if least is None or max(gaps.base, default=0) > problem.byte_limit:
            continue
        stretches, bound = relaxed_replacement(gaps, Limits(60))
        assert stretches is not None and bound is not None
        assert gaps.fits(gaps.choice(stretches)) and bound <= least <= traffic(problem, stretches), (
            f"seed {seed}"
        )
        close += bound > problem.free_bound and traffic(problem, stretches) == least
        again, true = least_replacement(gaps, Limits(60), stretches)
        assert true == least == traffic(problem, again), f"seed {seed}"
    assert close
