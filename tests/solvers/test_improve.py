"""Answers that another solver goes on from."""

from __future__ import annotations

from memplan_solvers.improve import Answer, better
from memplan_solvers.residency import Walk, blocks_of

from memplan.problem.plan import Status
from memplan.solving.planning import plan as solve
from tests.programs import problem


def answer(capacity: int | None = None, objective: str = "traffic", spilled: bool = False) -> Answer:
    """x>a a>b a,b>y with each storage at a place of its own; a spilled between its uses or not."""
    found = problem("x>a a>b b>c a,c>y", {"a": 4}, capacity, objective=objective)
    walk = Walk(found, (0, 1, 2, 3))
    whole = walk.whole
    whole[found.number["a"]] = [(0, 2), (3, 4)] if spilled else [(0, 4)]
    blocks = blocks_of(walk, whole)
    tops = [sum(b.size for b in blocks[:k]) for k in range(len(blocks))]
    return Answer(walk, blocks, tops)


def test_the_value_is_that_of_the_objective() -> None:
    assert answer().value == 0 and answer(spilled=True).value == 4 + 4  # stored once, loaded once
    assert answer(objective="peak").value == 1 + 4 + 1 + 1 + 1


def test_the_better_answer_has_less_value_and_the_first_stays_where_they_are_equal() -> None:
    whole, spilled = answer(), answer(spilled=True)
    assert better(whole, spilled) is whole and better(spilled, whole) is whole
    again = answer()
    assert better(whole, again) is whole and better(again, whole) is again
    assert (
        better(None, spilled) is spilled and better(spilled, None) is spilled and better(None, None) is None
    )


def test_a_plan_reads_back_as_the_answer_it_was_made_of() -> None:
    found = answer(capacity=6)
    plan = solve(found.problem.graph, scratchpad=6, solver="greedy")
    read = Answer.of_plan(found.problem, plan)
    assert read is not None and read.value == plan.value
    assert max(o + b.size for o, b in zip(read.offsets, read.blocks, strict=True)) == plan.metrics.peak
    nothing = solve(found.problem.graph, scratchpad=1, solver="greedy")
    assert nothing.status is Status.INFEASIBLE and Answer.of_plan(found.problem, nothing) is None
