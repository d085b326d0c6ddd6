"""The cut programs: every sequence that fits is a point of them, and what they decode is a sequence of executions."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.ilp.mathopt import solve_mathopt
from memplan_solvers.recompute.anneal import Annealing
from memplan_solvers.recompute.cuts import CutProgram
from memplan_solvers.recompute.free_cut import free_cut
from memplan_solvers.recompute.model import make_model

from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from tests.recompute_oracle import RecomputeOracle
from tests.solvers.recompute.test_executions import check_order
from tests.solvers.recompute.test_packable import tangled_graph
from tests.solvers.recompute.test_recompute import random_problem


@pytest.mark.slow(reason="executes many small programs again")
def test_what_fits_is_a_point_and_points_are_sequences() -> None:
    rng, points, decoded, ended = random.Random(5), 0, 0, 0
    for seed in range(400):
        problem = random_problem(seed)
        if problem is None or problem.options.order != "program":
            continue
        model = make_model(problem)
        annealing = Annealing(model, seed)
        annealing.begin(range(model.n))
        annealing.cool(2000, Limits(60.0))
        cuts = sorted(rng.sample(range(model.n), rng.randint(1, min(4, model.n))))
        guards = [(c, r) for c in cuts for r in range(c) if rng.random() < 0.5]
        ends = [c for c in cuts if c + 1 in cuts]
        ended += len(ends)
        program = CutProgram(model, cuts, guards, ends)
        if annealing.best is not None:
            x = program.encode(annealing.best)
            assert program.linear.holds(x), seed
            assert program.linear.value(x) <= annealing.best_cost
            points += 1
        found = solve_mathopt(program.linear, Limits(60.0))
        assert annealing.best is None or not found.infeasible
        if found.x is not None:
            check_order(model, program.decode(found.x))
            decoded += 1
    assert points > 20 and decoded > 20 and ended > 20


@pytest.mark.slow(reason="executes many small programs again")
def test_what_is_executed_often_is_a_point_between_cuts_at_all_ops() -> None:
    """Larger graphs, where several ops are executed again between the first executions of two that follow each other."""
    again, ended = 0, 0
    for seed in range(24):
        rng = random.Random(seed)
        graph = tangled_graph(rng, 40)
        options = Options("compute", order="program", recompute=rng.choice((2, 3, None)))
        problem = Problem(graph, Target(), options)
        peak = max(make_model(problem).live_bytes(range(problem.n)))
        share = rng.choice((0.75, 0.85, 0.95))
        model = make_model(replace(problem, target=Target().with_scratchpad(int(share * peak))))
        annealing = Annealing(model, seed)
        annealing.begin(range(model.n))
        annealing.cool(10_000, Limits(60.0))
        if annealing.best is None:
            continue
        start = rng.randrange(model.n - 12)
        cuts = sorted({*range(start, start + 12), *rng.sample(range(model.n), 3)})
        guards = [(c, r) for c in cuts for r in range(c) if rng.random() < 0.4]
        program = CutProgram(model, cuts, guards, cuts)
        x = program.encode(annealing.best)
        assert program.linear.holds(x) and program.linear.value(x) <= annealing.best_cost, seed
        again += sum(x[v] for segment in program.segments for v in segment.again.values())
        ended += sum(x[v] for segment in program.segments for r, v in segment.last.items() if r < segment.cut)
    assert again > 40 and ended > 10


@pytest.mark.slow(reason="executes many small programs again")
def test_one_cut_bounds_every_order() -> None:
    bounded = 0
    for seed in range(150):
        problem = random_problem(seed)
        if problem is None or problem.options.order != "free":
            continue
        model, best = make_model(problem), RecomputeOracle(problem).optimum()
        for cut in range(model.n):
            found = solve_mathopt(free_cut(model, cut), Limits(60.0))
            if best is not None:
                assert (
                    not found.infeasible and found.bound is not None and found.bound * model.unit <= best
                ), (seed, cut)
                bounded += found.bound > 0
    assert bounded
