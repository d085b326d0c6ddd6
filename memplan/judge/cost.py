"""What the accesses and executions of a plan cost beyond what no plan can do without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView
from memplan.problem.op_times import op_costs


def accessed(copies: Copies) -> float:
    """Bytes times the byte cost of their memory, over all moves and executions, less what is compulsory.

    Compulsory are, once, at their home's byte cost: each input or placed constant that an op reads, and each storage
    that holds an output and that an op writes.
    """
    view, nbytes = copies.view, copies.view.nbytes
    total: Counter[str | None] = Counter()
    for m in view.plan.moves:
        total[m.source] += nbytes[m.tensor]
        total[m.destination] += nbytes[m.tensor]
    for _, memory, count in accesses(copies):
        total[memory] += count
    needed = [s for s in view.uses if view.is_given(s) and view.is_placeable(s)]
    needed += [s for s in view.written if s in view.outputs and view.is_placeable(s)]
    for s in needed:
        total[view.home(s)] -= nbytes[s]
    cost = sum(total[m.name] * view.target.byte_cost(m.name) for m in view.target.memories)
    return int(cost) if float(cost).is_integer() else cost


def accesses(copies: Copies) -> Iterator[tuple[int, str | None, int]]:
    """Step, memory and bytes of each storage that an execution reads or writes; the memory is None for the caller's."""
    view = copies.view
    for s, memories in copies.served.items():
        nbytes = view.nbytes[s]
        for t, memory in zip(view.uses[s], memories, strict=True):
            yield t, memory, nbytes
    for s in filter(view.is_callers, view.uses):
        for t in view.uses[s]:
            yield t, None, view.nbytes[s]
    for s, steps in view.written.items():
        for t in steps:
            if view.ops[t].name not in view.joined:
                yield t, None if view.is_callers(s) else copies.destination(s, t), view.nbytes[s]


def extra_cost(view: PlanView) -> float:
    """The cost of all executions less that of executing each op once: seconds on a timed target, else flops."""
    if view.n == len(view.graph.ops):  # each once
        return 0.0
    costs = op_costs(view.graph, view.target)
    return sum(cost * (len(view.steps[op.name]) - 1) for op, cost in zip(view.graph.ops, costs, strict=True))
