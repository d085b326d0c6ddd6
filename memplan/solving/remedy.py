"""What to change where a problem has no plan."""

from __future__ import annotations

from dataclasses import replace

from memplan.machine.profile import load_profile
from memplan.machine.two_level import beyond_two_level
from memplan.problem.contradictions import contradiction
from memplan.problem.problem import Problem
from memplan.solving.capacities import least_capacity


def remedy(problem: Problem, runtime: str | None = None) -> str:
    """A hint for a problem that was proved to have no plan: every alternative in it, followed, leaves one.

    A runtime that moves nothing asks for the peak and for resident inputs and outputs, so that none can do without them.

    Where storages may leave and nothing is pinned, M_R suffices. What asks for more can be done without, at M_R again;
    without a limit everything stays where it is, unless fixed offsets contradict each other. Capacities have no names on
    targets of other kinds, where all that is sure is a place for each storage without limits.
    """
    if beyond_two_level(problem.target) and not contradiction(problem):
        return _without_limits(problem)
    options, capacity = problem.options, problem.capacity
    asked = [
        *(["objective peak, which does not spill (use --objective traffic)"] * (options.objective == "peak")),
        *(["resident inputs and outputs (use --io host)"] * (options.io == "resident")),
        *(["--pin"] * bool(options.pins)),
    ]
    least = least_capacity(problem)
    enough = "" if capacity is None or least <= capacity else f"--scratchpad MR ({least:,} bytes)"
    if contradiction(problem):
        more = ", and give --scratchpad max" if enough or len(asked) > 1 else ""
        return f"pin one of the two elsewhere or do without --pin{more}"
    if runtime is not None and not load_profile(runtime).moves:
        return "give --scratchpad max: the peak of the plan is what it takes"
    if not asked:
        return f"give {enough or '--scratchpad max'}"
    instead = f"do without {', and without '.join(asked)}" + (f", and give {enough}" if enough else "")
    return f"give --scratchpad max, or {instead}"


def _without_limits(problem: Problem) -> str:
    """Which capacities to lift, where each storage has a memory that all its ops can use; else what to change there."""
    if homeless := next((item for item in problem.placeables if not item.places), None):
        what = f"set [operands] or [home] of target '{problem.target.name}' so that one memory serves '{homeless.name}'"
        return what if problem.target.queues else f"{what}, or copies.queues = 1"
    first = problem.target.scratchpad
    limited = [m for m in problem.target.addressed if m.capacity is not None]
    if first in limited and all(first.name in {p.memory for p in item.places} for item in problem.placeables):
        limited = [first]  # which then holds everything
    words = ("--scratchpad max" if m is first else f"--capacity {m.name}=max" for m in limited)
    return f"give {' '.join(words)}{_or_as_the_callers(problem)}"


def _or_as_the_callers(problem: Problem) -> str:
    """The alternative to resident inputs and outputs, where all else can then lie in memories without a limit."""
    if problem.options.io != "resident" or problem.options.pins:
        return ""
    without = replace(problem, options=replace(problem.options, io="external"))
    limitless = {m.name for m in problem.target.memories if m.capacity is None}
    fits = all(limitless & {p.memory for p in item.places} for item in without.placeables)
    return ", or do without resident inputs and outputs (use --io external)" if fits else ""
