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
    target, first, backing = problem.target, problem.target.scratchpad, problem.target.backing
    if problem.options.objective != "peak" or not beyond_two_level(target) or lying_elsewhere(problem):
        return problem
    host = replace(backing, addresses=False, capacity=None) if backing else PLAIN.host
    return replace(problem, target=two_level(target.name, first, host, compute=target.compute))


def lying_elsewhere(problem: Problem) -> str:
    """What need not lie in the first memory, whose peak then says little, in words that follow "where"; empty if nothing."""
    target, options = problem.target, problem.options
    first, backing = target.scratchpad, target.backing
    reached = [names for key, names in target.operands.items() if key != "constants"]
    written = [[m for m in names if not target.memory[m].readonly] for names in reached]
    if any(names != [first.name] for names in written):
        others = sorted({m for names in written for m in names} - {first.name}, key=list(target.memory).index)
        return f"ops need not write to '{first.name}' but may to {', '.join(others)}"
    if options.weights != "ignore":
        return "constants are placed, which other memories hold too"
    if options.io == "host" and not (backing is not None and _is_plain(target, first, backing)):
        return "inputs and outputs are not copied from a backing memory without addresses, and back"
    if not all({*pin.kinds} <= {"keep", "offset"} for pin in problem.pins.values()):
        return f"pins are to other memories than '{first.name}'"
    return ""


def _is_plain(target: Target, first: Memory, backing: Memory) -> bool:
    """Whether inputs come from the backing memory, and outputs go there, as on a scratchpad machine."""
    ways = (backing.name, first.name), (first.name, backing.name)
    return not backing.addresses and all(0 in target.copying_queues(*way) for way in ways)
