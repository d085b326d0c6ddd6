"""From a call's words to a plan on targets of any memories: what one solver proves no other solver's plan contradicts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

import memplan
from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.problem.plan import Status
from memplan.solving.planning import make_problem
from memplan.solving.refusals import able
from memplan.solving.registry import parse_spec
from tests.generate_wide import wide_problem
from tests.programs import program


def asked(rng: random.Random) -> tuple[Graph, Target, dict[str, Any]]:
    """A small graph, any machine, and any options under which bytes are counted."""
    problem = wide_problem(rng, rng.randint(1, 5), still=rng.random() < 0.5)
    options = problem.options
    words: dict[str, Any] = {
        "objective": "traffic",
        "io": options.io,
        "weights": options.weights,
        "inplace": options.inplace,
        "donate": options.donate,
        "order": options.order,
        "join": rng.random() < 0.3,
        "recompute": rng.choice(("off", "off", 2, "any")),
    }
    return problem.graph, problem.target, words


def planned(seeds: Iterable[int], solvers: Iterable[str]) -> Counter[str]:
    """Statuses of valid plans; AssertionError where one solver's proof is contradicted by another's plan."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        graph, target, options = asked(random.Random(seed))
        try:
            fair = set(able(make_problem(graph, target, **options)))
        except OptionError as refusal:
            assert refusal.hint
            seen["refused"] += 1
            continue
        plans = [
            memplan.plan(graph, target, solver=name, workers=1, time_limit_s=20.0, **options)
            for name in solvers
            if name in fair
        ]
        seen.update(str(plan.status) for plan in plans)
        least = min((plan.value for plan in plans if plan.value is not None), default=None)
        if least is not None:
            assert max(plan.bound for plan in plans) <= least * (1 + 1e-9), seed
            assert all(plan.status is not Status.INFEASIBLE for plan in plans), seed
    return seen


@pytest.mark.slow(reason="plans with many options")
def test_every_combination_of_options_is_planned_on_any_target() -> None:
    seen = planned(range(80), ("greedy", "placement"))
    assert {"optimal", "feasible", "infeasible", "unknown"} <= {*seen}


@pytest.mark.slow
def test_many_combinations_are_planned_by_every_solver_that_can() -> None:
    planned(range(100, 600), ("greedy", "placement", "portfolio"))


def test_targets_whose_ops_never_use_the_backing_memory_are_asked_of_the_placement_too() -> None:
    tcm, sram, flash = Memory("tcm", 8), Memory("sram", 64), Memory("flash", readonly=True)
    alone = Target("alone", (Memory("sram", 64), flash), queues=0)
    both = Target("both", (tcm, sram, Memory("dram")), {"default": ("tcm", "sram")}, queues=0)
    for target in (alone, both):
        plan = memplan.plan(program("x>a a>b b>y"), target, io="external", solver="placement")
        assert plan.status is Status.OPTIMAL
    scratchpad = memplan.make_problem(program("x>a a>y"))
    assert "operands that must all be in 'scratchpad'" in parse_spec("placement").lacks(scratchpad)
