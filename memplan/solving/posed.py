"""The same problem on a simpler machine, where more solvers know it."""

from __future__ import annotations

from dataclasses import replace

from memplan.machine.two_level import beyond_two_level, two_level
from memplan.problem.problem import Problem


def posed(problem: Problem) -> Problem:
    """The problem on a scratchpad machine with the same first memory, where it is the same there; else itself.

    It is where the peak is sought on a machine whose activations can lie in its first memory alone, and nothing is
    loaded or stored: constants are not placed, inputs and outputs are resident or the caller's. What such a machine's
    backing memory is like says nothing of such plans.
    """
    target, options = problem.target, problem.options
    first = target.scratchpad
    same = (
        options.objective == "peak"
        and options.weights == "ignore"
        and options.io != "host"
        and target.backing is None
        and [m for m in target.memories if not m.readonly] == [first]
        and all(first.name in names for key, names in target.operands.items() if key != "constants")
        and all({*pin.kinds} <= {"keep", "offset"} for pin in problem.pins.values())
    )
    if not (same and beyond_two_level(target)):
        return problem
    return replace(problem, target=two_level(target.name, first, compute=target.compute))
