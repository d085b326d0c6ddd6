"""The same problem on a simpler machine, where more solvers know it."""

from __future__ import annotations

from dataclasses import replace

from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.machine.two_level import PLAIN, beyond_two_level, two_level
from memplan.problem.problem import Problem


def posed(problem: Problem) -> Problem:
    """The problem on a scratchpad machine with the same first memory, where it is the same there; else itself.

    It is where the peak is sought, constants are not placed, and ops write to the first memory alone: then nothing else
    but inputs and outputs at home lies elsewhere, and what further memories are like says nothing of the plans.
    """
    target, options = problem.target, problem.options
    first, backing = target.scratchpad, target.backing
    reached = [names for key, names in target.operands.items() if key != "constants"]
    same = (
        options.objective == "peak"
        and options.weights == "ignore"
        and all([m for m in names if not target.memory[m].readonly] == [first.name] for names in reached)
        and (options.io != "host" or (backing is not None and _is_plain(target, first, backing)))
        and all({*pin.kinds} <= {"keep", "offset"} for pin in problem.pins.values())
    )
    if not (same and beyond_two_level(target)):
        return problem
    host = replace(backing, addresses=False, capacity=None) if backing else PLAIN.host
    return replace(problem, target=two_level(target.name, first, host, compute=target.compute))


def _is_plain(target: Target, first: Memory, backing: Memory) -> bool:
    """Whether inputs come from the backing memory, and outputs go there, as on a scratchpad machine."""
    ways = (backing.name, first.name), (first.name, backing.name)
    return not backing.addresses and all(0 in target.copying_queues(*way) for way in ways)
