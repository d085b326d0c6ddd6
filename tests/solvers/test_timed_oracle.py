"""Latency solvers agree with the brute force on tiny problems, and it is heard.

Small counts here; `python -m tests.agree_latency --count 1000` is the long run.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from memplan.judge.evaluate import evaluate
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests import agree_latency

SPECS = (*agree_latency.EXACT, "anneal{effort=50}", "msa_tuned", "malloc_game")


@pytest.mark.parametrize(("ops", "every", "count"), [(2, True, 20), (3, False, 10)])
def test_latency_exact_proves_what_the_brute_force_finds(ops: int, every: bool, count: int) -> None:
    seen = agree_latency.check_solver("latency_exact", range(count), ops, every, covered=True)
    assert seen["optimal"] > 0.75 * count


@pytest.mark.slow(reason="compares with the oracle over many seeds")
def test_plans_that_only_the_second_edition_knows_are_not_excluded() -> None:
    """Proofs over fewer plans (host serves nothing while a load is under way; loads after stores alone) were false here."""
    assert agree_latency.check_solver("latency_exact", (31, 37, 44, 58, 70), covered=True)["optimal"] == 5
    agree_latency.check_solver("msa{bound=lp}", (100,))


def test_what_was_written_over_may_come_back_only_beside_what_lies_over_it() -> None:
    """The brute force laid an input's second residency over the output that was written over its first."""
    agree_latency.check_solver("greedy", (900_258,))


@pytest.mark.slow(reason="compares with the oracle over many seeds")
@pytest.mark.parametrize("spec", SPECS)
def test_solvers_agree_under_every_option(spec: str) -> None:
    seen = agree_latency.check_solver(spec, range(10_000, 10_030))
    assert seen["feasible"] + seen["optimal"] > 12


def test_the_brute_force_is_heard() -> None:
    """A solver that overbids, or proves too much, is found out."""
    problem = agree_latency.random_problem(31, covered=True)
    plan = evaluate(problem.graph, parse_spec("latency_exact").solve(problem, Limits(20.0)))
    assert plan.value is not None and not agree_latency.fault(problem, plan)
    assert "above" in agree_latency.fault(problem, replace(plan, bound=plan.value * 1.001))
    assert "knows no plan" in agree_latency.fault(problem, replace(plan, value=plan.value * 0.999))
