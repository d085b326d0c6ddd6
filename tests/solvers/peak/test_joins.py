"""The least peak over all choices of what is joined: against brute force, proofs, choices that must be mixed."""

from __future__ import annotations

import pytest
from memplan_solvers.peak.joins import least_joined_peak

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from tests.agree_joins import check


def mixed() -> Problem:
    """One op that must be joined and one that must not, in program order.

    c, of p and q, fits only joined. s lies around for long before f, of s and t, is put together: joined, f would be there
    in full all the while.
    """
    sizes = {"x": 1, "s": 2, "p": 10, "q": 10, "c": 20, "u": 1, "t": 18, "f": 20, "y": 1}
    tensors = tuple(Tensor(s, n, "input" if s == "x" else "activation") for s, n in sizes.items())
    ops = (
        Op("s", "Conv", ("x",), ("s",)),
        Op("p", "Conv", ("x",), ("p",)),
        Op("q", "Conv", ("x",), ("q",)),
        Op("c", "Concat", ("p", "q"), ("c",), joins=(("p", 0), ("q", 10))),
        Op("u", "Conv", ("c",), ("u",)),
        Op("t", "Conv", ("u",), ("t",)),
        Op("f", "Concat", ("s", "t"), ("f",), joins=(("s", 0), ("t", 2))),
        Op("y", "Conv", ("f",), ("y",)),
    )
    graph = Graph("mixed", tensors, ops, ("y",))
    return Problem(graph, Target(), Options("peak", join=True, order="program"))


def test_choices_are_mixed_and_proved() -> None:
    found = least_joined_peak(mixed(), Limits(60.0))
    peaks = {choice.problem.joined: choice.peak for choice in found.choices}
    assert (found.choices[0].peak, found.bound) == (40, 40)
    assert peaks[()] == 42


@pytest.mark.slow(reason="plans many graphs")
def test_it_agrees_with_brute_force() -> None:
    seen = check("peak", "peak", range(150))
    assert seen["joined"] > 20 and seen["better"] > 20 and seen["optimal"] > 100


def test_a_choice_that_does_not_fit_beside_what_is_pinned_is_left_out() -> None:
    assert sum(check("peak", "peak", range(9270, 9271)).values())


@pytest.mark.slow(reason="a long loop over seeds")
@pytest.mark.parametrize("objective", ["peak", "traffic"])
def test_it_agrees_with_brute_force_at_length(objective: str) -> None:
    assert check("peak", objective, range(150, 800))["optimal"] > 150
