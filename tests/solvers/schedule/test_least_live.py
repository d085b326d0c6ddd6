"""List scheduling by live bytes, against the greedy rule applied anew at every step."""

from __future__ import annotations

from memplan_solvers.schedule.least_live import least_live

from memplan.problem.problem import Problem
from tests.agree import random_problem
from tests.programs import problem


def change(found: Problem, done: list[int], i: int) -> int:
    """Bytes that lie there after op i runs next, less those before."""

    def live(executed: set[int]) -> int:
        total = 0
        for s in found.storages:
            begun = (s.resident and s.is_input) or any(k in executed for k in s.touches)
            needed = (s.resident and s.is_output) or any(k not in executed for k in s.uses)
            total += s.size if begun and needed else 0
        return total

    return live({*done, i}) - live(set(done))


def test_always_the_ready_op_that_leaves_the_fewest_bytes_behind() -> None:
    chosen = 0
    for seed in range(600):
        found = random_problem(seed, "traffic", pins=False)
        if any(s.in_host and len(s.uses) > 1 for s in found.storages):
            continue  # an op that became cheaper because another one brought an input in is not looked at again
        order = least_live(found)
        for t, i in enumerate(order):
            done = list(order[:t])
            ready = [k for k in range(found.n) if k not in done and set(found.preds[k]) <= set(done)]
            gains = {k: change(found, done, k) for k in ready}
            assert gains[i] == min(gains.values()), (seed, t)
            assert i == min(k for k in ready if gains[k] == gains[i]), (seed, t)  # ties in program order
            chosen += len(set(gains.values())) > 1
    assert chosen > 50


def test_ties_go_to_what_was_enabled_last() -> None:
    # Two equal branches: after op0 comes op2, which op0 enables, not op1, which was ready before.
    found = problem("x>a x>b a>c b>d c,d>y")
    assert least_live(found) == (0, 1, 2, 3, 4)
    assert least_live(found, recent=True) == (0, 2, 1, 3, 4)


def test_looking_ahead_sees_what_a_chain_frees() -> None:
    # op0 makes four bytes that op1 turns into one; op2 makes three that stay until op3 reads them with the one.
    found = problem("x0>a a>b x1>c b,c>y", {"a": 4, "c": 3})
    assert least_live(found)[0] == 2
    assert least_live(found, look_ahead=1)[:2] == (0, 1)
