"""Every exact engine agrees with the brute force; so do the peak search and the program with any of their rules left out.

Small counts here; `python -m tests.agree --count 10000` and `python -m tests.agree --rules --count 2000` are the long runs.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from memplan.problem.plan import Status
from tests import agree


@pytest.mark.slow(reason="compares with the oracle over many seeds")
@pytest.mark.parametrize("engine", agree.EXACT)
def test_agrees_with_the_oracle(engine: str) -> None:
    seen = agree.check(engine, range(100_000, 100_450))
    proved = sum(n for what, n in seen.items() if what.endswith("optimal"))
    assert proved > 330 and seen["spills"] > 50


@pytest.mark.slow(reason="compares with the oracle over many seeds")
@pytest.mark.parametrize("engine", agree.EXACT)
def test_agrees_with_the_oracle_where_inputs_are_donated(engine: str) -> None:
    seen = agree.check(engine, range(400_000, 400_150), donate=True)
    assert seen["donated"] > 30


@pytest.mark.slow(reason="compares with the oracle over many seeds")
@pytest.mark.parametrize("rule", [None, *sorted(agree.RULES)])
def test_the_peak_search_needs_none_of_its_rules(rule: str | None) -> None:
    assert agree.check_rule(rule, range(200_000, 200_300)) > 180


@pytest.mark.slow(reason="compares with the oracle over many seeds")
def test_the_program_needs_neither_windows_nor_twins() -> None:
    assert agree.check_program_without("windows", range(300_000, 300_060)) == 60
    assert agree.check_program_without("twins", range(300_000, 300_200)) == 200


def test_the_oracle_is_heard() -> None:
    """A solver that overbids, or claims too much, is found out."""
    problem = agree.random_problem(38, "traffic")
    best = agree.optimum(problem)
    plan = agree.solved("ilp", problem)
    assert best.known and best.placed is not None and not agree.fault("ilp", problem, best, plan)
    assert "above" in agree.fault("ilp", problem, best, replace(plan, bound=best.placed + 1))
    assert "below" in agree.fault("ilp", problem, best, replace(plan, value=best.placed - 1))
    assert "called optimal" in agree.fault("ilp", problem, best, replace(plan, value=best.placed + 1))
    assert "infeasible" in agree.fault("ilp", problem, best, replace(plan, status=Status.INFEASIBLE))
