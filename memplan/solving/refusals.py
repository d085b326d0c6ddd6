"""Problems that a solver does not plan for are refused, and the hint names who does, or what to ask instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import lcm
from typing import Any

from memplan.base.errors import OptionError
from memplan.machine.two_level import PLAIN
from memplan.problem.options import CHOICES
from memplan.problem.problem import Problem
from memplan.solving.registry import registry
from memplan.solving.solver import Solver


def refuse(solver: Solver, problem: Problem) -> None:
    """OptionError where something of the problem is beyond the solver: what, and which installed solvers plan for it.

    Where none does, the hint names single options with which one would, else another target.
    """
    if lacks := solver.lacks(problem):
        *firsts, last = lacks
        what = f"{', '.join(firsts)} and {last}" if firsts else last
        raise OptionError(f"solver '{solver.name}' does not plan for {what}", _remedy(problem))


def able(problem: Problem) -> list[str]:
    """The installed solvers that plan for the problem, by name."""
    return sorted(name for name, cls in registry().items() if not cls().lacks(problem))


def _remedy(problem: Problem) -> str:
    if names := able(problem):
        return f"use --solver {names[0]}" if len(names) == 1 else f"use --solver, one of {', '.join(names)}"
    words = [word for word, other in _changes(problem) if able(other)]
    return f"no installed solver does; {' or '.join(words) or 'choose another target, see `memplan targets`'}"


def _changes(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """The problem with one option changed, or on a machine with one fast memory, and the words that change it."""
    options = problem.options
    others: list[tuple[str, dict[str, Any]]] = [
        (f"use --{key} {word}", {key: word})
        for key in ("objective", "weights", "io", "order")
        for word in CHOICES[key]
        if not (key == "io" and options.pins)
        and word != getattr(options, key)
        and not (word == "latency" and not problem.target.timed)
        and not (key == "io" and word == "host" and problem.target.backing is None)
    ]
    others += [("do without --pin", {"pins": {}})] if options.pins else []
    for words, changed in others:
        yield words, replace(problem, options=replace(options, **changed))
    if options.objective == "peak":  # the least arena, whatever memory it comes to lie in
        unit = lcm(problem.target.scratchpad.alignment, *(t.alignment or 1 for t in problem.graph.tensors))
        yield f"use --target scratchpad --alignment {unit}", replace(problem, target=PLAIN)
