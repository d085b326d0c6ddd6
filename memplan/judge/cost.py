"""What the accesses and executions of a plan cost beyond what no plan can do without."""

from __future__ import annotations

from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView
from memplan.problem.op_times import op_costs


def accessed(copies: Copies) -> float:
    """Bytes times the byte cost of their memory, over all moves and executions, less what is compulsory.

    Compulsory are, once, at their home's byte cost: each input or placed constant that an op reads, and each storage
    that holds an output and that an op writes.
    """
    view = copies.view
    cost = {m.name: view.target.byte_cost(m.name) for m in view.target.memories}
    nbytes = {s: view.graph.tensor[s].nbytes for s in set(view.graph.storage_of.values())}
    total = 0.0
    for m in view.plan.moves:
        total += nbytes[m.tensor] * (cost[m.source] + cost[m.destination])
    for places in served(copies):
        total += sum(nbytes[s] * cost[memory] for s, memory in places.items() if memory is not None)
    needed = {s for s in view.uses if view.is_given(s)}
    needed |= {s for s in view.written if s in view.outputs and view.is_placeable(s)}
    total -= sum(nbytes[s] * cost[view.home(s)] for s in needed)
    return int(total) if total.is_integer() else total


def served(copies: Copies) -> list[dict[str, str | None]]:
    """By step, the memory that serves each storage which the execution reads or writes; None for the caller's."""
    return [_places(copies, t) for t in range(copies.view.n)]


def _places(copies: Copies, t: int) -> dict[str, str | None]:
    view, op = copies.view, copies.view.ops[t]
    if op.view or op.name in view.joined:
        return {}
    places: dict[str, str | None] = {}
    for s in dict.fromkeys(view.graph.storage_of[x] for x in op.inputs):
        if view.is_callers(s):
            places[s] = None
        elif view.is_placeable(s):
            places[s] = copies.serving(s, view.target.readable(op.kind, view.role(s)), t)
    for s in op.outputs:
        places[s] = None if view.is_callers(s) else copies.destination(s, t)
    return places


def extra_cost(view: PlanView) -> float:
    """The cost of all executions less that of executing each op once: seconds on a timed target, else flops."""
    costs = op_costs(view.graph, view.target)
    return sum(cost * (len(view.steps[op.name]) - 1) for op, cost in zip(view.graph.ops, costs, strict=True))
