"""What solvers claim holds of whole problems: joins, recomputation and moves included.

Small counts here; `python -m tests.agree_whole --count 1000` is the long run.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from memplan.problem.plan import Status
from tests import agree_whole


@pytest.mark.slow(reason="plans many graphs")
def test_no_random_plan_contradicts_what_is_claimed() -> None:
    seen = agree_whole.check_solvers(("greedy", "placement", "peak"), range(25))
    assert seen["greedy feasible"] + seen["greedy optimal"] > 8


@pytest.mark.slow(reason="asks every solver about many problems")
def test_no_solver_is_contradicted() -> None:
    specs = ("portfolio", "search", "benders", "fixed_order", "latency_exact", "msa", "anneal", "baseline")
    seen = agree_whole.check_solvers(specs, range(1000, 1100))
    assert seen["portfolio optimal"] > 20


def test_a_false_claim_is_heard() -> None:
    found = agree_whole.witnessed(1)
    assert found is not None
    graph, witness = found
    least = witness.value or 0.0
    said = agree_whole.answer(graph, witness, "greedy")
    assert not agree_whole.fault(said, least)
    assert agree_whole.fault(replace(said, bound=least + 1), least)
    assert agree_whole.fault(replace(said, status=Status.INFEASIBLE), least)
