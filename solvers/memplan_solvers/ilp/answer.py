"""From a point of the program to stretches and back, and orders without spills that have addresses."""

from __future__ import annotations

from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.ilp.formulation import Formulation
from memplan_solvers.ilp.gaps import Gaps
from memplan_solvers.improve import Answer
from memplan_solvers.place import place
from memplan_solvers.replace.evict import without_spills
from memplan_solvers.residency import Stretch, Walk


def placed_peak(problem: Problem, order: tuple[int, ...], goal: int, limits: Limits) -> Answer | None:
    """The order without spills, placed under `goal` bytes if that is possible, else as low as found."""
    walk = Walk(problem, order)
    stretches = without_spills(walk)
    found = place(walk, stretches, goal, limits.share(0.5))
    if found.offsets is None:
        found = place(walk, stretches, None, limits)
    if found.offsets is None or (problem.capacity is not None and found.peak > problem.capacity):
        return None
    return Answer(walk, found.blocks, found.offsets)


def read(f: Formulation, x: list[int]) -> tuple[tuple[int, ...], list[list[Stretch]]]:
    """The order of a point, views included, and its stretches in the steps of that order."""
    at = {t: k for k, row in enumerate(f.x) for t, v in row.items() if x[v]}
    program = f.problem.options.order == "program"
    order = tuple(range(f.problem.n)) if program else f.steps.with_views([at[t] for t in range(f.n)])
    walk = Walk(f.problem, order)
    if f.anywhere:
        return order, without_spills(walk)
    step = _real_steps(f, order)
    gaps = Gaps(walk, f.problem.capacity or 0)
    kept = []
    for gap in gaps.gaps:
        row = f.preserved.get(gap.storage, {})
        kept.append(all(x[row[t]] for t in range(step[gap.before] + 1, step[gap.after] + 1)))
    return order, gaps.stretches(kept)


def _real_steps(f: Formulation, order: tuple[int, ...]) -> list[int]:
    """The program's step of each step of the order; a view has that of the op before it."""
    steps, t = [], -1
    for i in order:
        t += i in f.steps.number
        steps.append(t)
    return steps


def hint_of(f: Formulation, answer: Answer | None) -> list[int] | None:
    """The point of an answer, None where its order leaves the windows."""
    if answer is None:
        return None
    x = list(f.linear.lower)
    order = answer.walk.order
    step = _real_steps(f, order)
    for t, i in enumerate(order):
        k = f.steps.number.get(i)
        if k is not None:
            if step[t] not in f.x[k]:
                return None
            x[f.x[k][step[t]]] = 1
    for s, parts in enumerate(answer.stretches):
        touches = answer.walk.steps[s]
        if s not in f.preserved:
            for t, v in f.lying.get(s, {}).items():
                x[v] = int(f.problem.storages[s].is_output or t <= step[touches[-1]])
            continue
        for j, (a, b) in enumerate(parts):
            inside = [step[t] for t in touches if a <= t < b]
            if not inside:
                continue
            if j or f.steps.producer[s] < 0:
                x[f.retrieved[s][inside[0]]] = 1
            for t in range(inside[0] + 1, inside[-1] + 1):
                x[f.preserved[s][t]] = 1
            if j == 0 and len(parts) > 1 and f.stored[s]:
                x[f.stored[s][inside[-1] + 1]] = 1
    if f.peak is not None:
        x[f.peak] = f.linear.upper[f.peak]
    return x
