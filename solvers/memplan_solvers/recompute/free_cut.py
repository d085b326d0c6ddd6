"""The cut program over one cut where the order of the ops is free: who ran before the cut is a choice, too.

The cut lies at the first execution of an op t. Its ancestors ran before and its descendants did not; of all others any
choice will do that contains, with an op, those it depends on. Else it says what `cuts.py` says of one cut.
"""

from __future__ import annotations

from memplan_solvers.ilp.linear import Linear
from memplan_solvers.recompute.model import RecomputeModel


def free_cut(model: RecomputeModel, cut: int) -> Linear:
    """The program; its optimum bounds every sequence of executions, and where it has no point there is none."""
    linear = Linear()
    before = _executed_before(model, linear, cut)
    again = {i: linear.binary(model.costs[i]) for i in range(model.n) if model.repeats[i] and i != cut}
    for i, variable in again.items():
        linear.add([(before[i], 1), (variable, -1)], low=0)
    touched = {s for s in model.reads[cut] if not model.streamed[s]}
    kept: dict[int, int] = {}
    for s, streamed in enumerate(model.streamed):
        if not streamed and s not in model.writes[cut]:
            always = s in touched or (model.closing[s] and model.producer[s] < 0)
            kept[s] = linear.integer(int(always), 1)
    beside = [*model.writes[cut], *(s for s in model.reads[cut] if model.streamed[s])]
    free = model.capacity - sum(model.sizes[s] for s in beside)
    linear.add([(v, model.sizes[s]) for s, v in kept.items()], high=free)
    for i, reads in enumerate(model.reads):
        for s in reads:
            if s in kept:
                _serve(model, linear, (before, again, kept), i, s)
    for s, v in kept.items():
        p = model.producer[s]
        if model.closing[s] and p >= 0:
            linear.add([(v, 1), (before[p], -1), *_again(again, p)], low=0)
        elif p < 0 and not model.opening[s]:
            _join_uses(model, linear, before, s, v)
    return linear


def _executed_before(model: RecomputeModel, linear: Linear, cut: int) -> list[int]:
    """A variable for each op: it is first executed before the cut."""
    ancestor, descendant = [False] * model.n, [False] * model.n
    ancestor[cut] = descendant[cut] = True
    for i in range(cut, -1, -1):
        if ancestor[i]:
            for p in model.preds[i]:
                ancestor[p] = True
    for i in range(cut, model.n):
        descendant[i] |= any(descendant[p] for p in model.preds[i])
    before = []
    for i in range(model.n):
        before.append(linear.integer(int(ancestor[i] and i != cut), int(not descendant[i])))
        for p in model.preds[i]:
            linear.add([(before[p], 1), (before[i], -1)], low=0)
    return before


def _again(again: dict[int, int], op: int) -> list[tuple[int, int]]:
    return [(again[op], 1)] if op in again else []


def _serve(
    model: RecomputeModel,
    linear: Linear,
    variables: tuple[list[int], dict[int, int], dict[int, int]],
    i: int,
    s: int,
) -> None:
    """Op `i`, executed after the cut for the first time or again, finds the storage."""
    before, again, kept = variables
    p = model.producer[s]
    sources = [(kept[s], 1), *_again(again, p)] if p >= 0 else [(kept[s], 1)]
    if i in again:
        linear.add([*sources, (again[i], -1)], low=0)
    if p >= 0:
        linear.add([*sources, (before[p], -1), (before[i], 1)], low=0)
    elif model.opening[s]:
        linear.add([*sources, (before[i], 1)], low=1)


def _join_uses(model: RecomputeModel, linear: Linear, before: list[int], s: int, kept: int) -> None:
    """What is loaded once stays from its first use to its last."""
    readers = [i for i, reads in enumerate(model.reads) if s in reads]
    loaded = linear.binary()
    for i in readers:
        linear.add([(loaded, 1), (before[i], -1)], low=0)
        linear.add([(kept, 1), (loaded, -1), (before[i], 1)], low=0)
