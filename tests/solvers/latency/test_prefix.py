"""Bounds where operands must be copied in first, against every order of jobs and by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations

import numpy as np
from memplan_solvers.latency.prefix import johnson, loaded_bound

from memplan.ir.parts import Op, Tensor
from memplan.problem.problem import Problem
from tests.graphs import graph_of
from tests.solvers.latency.test_msa import small_problem
from tests.timed_oracle import TimedOracle


def test_johnson_s_rule_is_the_least_of_all_orders_of_the_jobs() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        first = np.array([dice.randint(0, 6) for _ in range(dice.randint(0, 5))], float)
        second = np.array([dice.randint(0, 6) for _ in first], float)
        times = []
        for order in permutations(range(len(first))):
            busy = done = 0.0
            for i in order:
                busy += first[i]
                done = max(done, busy) + second[i]
            times.append(done)
        assert johnson(first, second) == min(times), seed


def loaded(program: str, sizes: dict[str, int], order: str = "program") -> Problem:
    """Of `small_problem`, with operands in the scratchpad: 10 B/s from host, 100 B/s there, 1 s of flops an op."""
    found = small_problem(program, sizes, 1000, flops=100)
    target = replace(found.target, operands={})
    return replace(found, target=target, options=replace(found.options, order=order))


def test_an_op_waits_for_what_it_and_all_before_it_load() -> None:
    # x takes a second, w three: the second op begins after four and runs for one; then y leaves in one.
    bound = loaded_bound(loaded("x>a a,w>y", {"w": 30}))
    assert 1 + 3 + 1 <= bound <= 1 + 3 + 1 + 1
    # Where w comes first, the ops run beside nothing.
    bound = loaded_bound(loaded("w>a a>b b>y", {"w": 30}))
    assert 3 + 3 <= bound <= 3 + 3 + 1


def test_an_output_leaves_beside_the_ops_after_its_own() -> None:
    # y0 takes nine seconds from the end of the first op on, longer than the two ops that are left.
    bound = loaded_bound(loaded("x>y0 y0>b b>y", {"y0": 90}))
    assert 1 + 9 + 1 <= bound <= 1 + 1 + 9 + 1  # and y, which waits for the bus


def test_a_free_order_is_bounded_by_no_more() -> None:
    program = loaded("w>a x>b a,b>y", {"w": 30})
    free = replace(program, options=replace(program.options, order="free"))
    # In program order x waits behind w for the bus, and 3 + 1 + 1 + 1 seconds pass before y leaves. Freely x comes
    # first: by Johnson's rule no order of the copies and ops takes less than 1 + 3 + 1.
    assert 6 <= loaded_bound(program) <= 7
    assert 5 <= loaded_bound(free) <= loaded_bound(program)


def test_what_has_no_room_cannot_be_copied_ahead() -> None:
    wide = loaded("x>a a>b b,w>y", {"w": 30, "a": 30})
    tight = replace(wide, target=wide.target.with_scratchpad(50))
    # w comes beside both ops, by four; in 50 bytes op1 leaves ten for it, so two thirds come after the end of op1.
    assert 4 + 1 <= loaded_bound(wide) <= 4 + 1 + 1
    assert 3 + 2 + 1 <= loaded_bound(tight) <= 3 + 2 + 1 + 1


def test_an_input_s_copy_is_written_over_and_leaves_room_for_what_is_copied_ahead() -> None:
    """op0 writes b over x, so that all of w fits beside it: no more than x comes before op0, and nothing between the ops."""
    tensors = (
        Tensor("x", 40, "input", "int8", (40,)),
        Tensor("b", 40, "activation", "int8", (40,)),
        Tensor("w", 80, "constant"),
        Tensor("y", 10, "output"),
    )
    ops = (Op("op0", "Relu", ("x",), ("b",), 1000), Op("op1", "Conv", ("b", "w"), ("y",), 100))
    problem = loaded("x>y", {}, "program")
    problem = replace(
        problem,
        graph=graph_of("in place", tensors, ops),
        target=problem.target.with_scratchpad(130),
        options=replace(problem.options, inplace=True),
    )
    best = TimedOracle(problem).least()
    assert best is not None and best.inplace
    assert 0.9 * best.seconds <= loaded_bound(problem) <= best.seconds * (1 + 1e-9)
