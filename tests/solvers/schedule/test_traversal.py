"""Orders that follow from the shape of the graph, worked out by hand."""

from __future__ import annotations

import random

from memplan_solvers.schedule import SCHEDULES
from memplan_solvers.schedule.traversal import breadth_first, depth_first, program, reverse_post_order

from memplan.problem.problem import Problem
from tests.agree import random_problem
from tests.programs import problem

# op0 feeds a short branch (op1) and a long one (op2, op4); op3 reads the short one, op5 joins.
NET = problem("x>a a>b a>c b>d c>e d,e>y")


def test_each_order_by_hand() -> None:
    assert program(NET) == (0, 1, 2, 3, 4, 5)
    assert breadth_first(problem("x>a a>b b>c a>d c,d>y")) == (0, 1, 3, 2, 4)
    assert depth_first(problem("x>a a>b a>c b>d c,d>y")) == (0, 1, 3, 2, 4)
    # The longest chain that the sink asks for comes first: op1, op2, then the short op3.
    assert reverse_post_order(problem("x>a a>d a>b b>c d,c>y")) == (0, 2, 3, 1, 4)


def test_every_schedule_is_an_order() -> None:
    for seed in range(150):
        found = random_problem(seed, "traffic")
        for name, schedule in SCHEDULES.items():
            assert is_order(found, schedule(found)), (name, seed)


def is_order(found: Problem, order: tuple[int, ...]) -> bool:
    done: set[int] = set()
    for i in order:
        if not done.issuperset(found.preds[i]):
            return False
        done.add(i)
    return sorted(order) == list(range(found.n))


def test_no_schedule_depends_on_how_often_it_is_asked() -> None:
    for seed in random.Random(0).sample(range(1000), 20):
        found = random_problem(seed, "traffic")
        assert [s(found) for s in SCHEDULES.values()] == [s(found) for s in SCHEDULES.values()]
