"""Problems made of one another share what they number alike, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from memplan.machine.target import Target
from memplan.problem.problem import Problem
from tests.generate import random_graph, random_options
from tests.generate_wide import wide_graph


def test_a_capacity_and_an_objective_number_nothing_anew() -> None:
    problem = Problem(
        random_graph(random.Random(1), 9), Target(), random_options(random.Random(1), "traffic")
    )
    less = replace(
        problem, target=problem.target.with_scratchpad(40), options=replace(problem.options, objective="peak")
    )
    assert less.storages is problem.storages and less.reads is problem.reads and less.number is problem.number


@pytest.mark.slow(reason="numbers many problems")
def test_what_is_shared_is_what_each_problem_numbers_alone() -> None:
    shared = joined = 0
    for seed in range(300):
        rng = random.Random(seed)
        graph = wide_graph(rng, 7) if seed % 2 else random_graph(rng, 9)
        problem = Problem(graph, Target(), random_options(rng, "traffic"))
        before = problem
        for _ in range(6):  # the numberings of the first are forgotten by then
            options = replace(random_options(rng, rng.choice(("peak", "traffic"))), join=seed % 2 == 1)
            problem = replace(
                problem, target=Target().with_scratchpad(None, rng.choice((1, 4))), options=options
            )
            able = problem.joinable if problem.options.join else ()
            problem = replace(
                problem, joined=able[: rng.randint(0, 1)], scattered=able[1 : 1 + rng.randint(0, 1)]
            )
            alone = Problem(graph, problem.target, problem.options, problem.joined, problem.scattered)
            assert problem.storages == alone.storages and problem.number == alone.number, seed
            assert problem.reads == alone.reads and problem.writes == alone.writes, seed
            shared += problem.storages is before.storages
            before = problem
            joined += bool(problem.joined)
    assert shared > 100 and joined > 100
