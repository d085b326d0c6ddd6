"""Programs as data: rows, the objective, what holds, and bounds rounded to what integers can take."""

from __future__ import annotations

import random
from itertools import product

from memplan_solvers.ilp.linear import Linear


def test_terms_of_one_variable_are_summed_and_rows_that_always_hold_are_left_out() -> None:
    program = Linear()
    a, b = program.binary(3), program.integer(-2, 5, -1)
    assert (a, b, program.lower, program.upper, program.cost) == (0, 1, [0, -2], [1, 5], {0: 3, 1: -1})
    program.add([(a, 2), (b, 1), (a, -2)], high=4)
    program.add([(a, 1), (a, -1)], low=0, high=0)
    program.add([(a, 1), (a, -1)], low=1)  # it cannot hold, and is kept
    assert program.rows == [([(b, 1)], None, 4), ([], 1, None)]
    assert not program.holds([0, 0])


def test_the_bound_is_the_least_value_of_that_much_in_steps_of_the_cost_divisor() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        program = Linear(constant=dice.randint(-3, 3))
        for _ in range(dice.randint(1, 4)):
            program.integer(0, 3, dice.choice((0, 6, 9, 12)))
        points = [list(x) for x in product(range(4), repeat=len(program.lower))]
        values = {program.value(x) for x in points}
        assert all(program.holds(x) for x in points) and min(values) == program.constant
        bound = dice.uniform(program.constant, max(values))
        assert program.round_up(bound) <= min(v for v in values if v >= bound)
        assert all(program.round_up(v) == v for v in values)


def test_a_point_holds_within_every_bound_and_row() -> None:
    program = Linear()
    a, b = program.binary(), program.integer(0, 3)
    program.add([(a, 2), (b, 1)], low=2, high=4)
    good = {x for x in product(range(-1, 3), range(-1, 5)) if program.holds(list(x))}
    assert good == {(0, 2), (0, 3), (1, 0), (1, 1), (1, 2)}
