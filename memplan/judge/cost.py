"""What the accesses and executions of a plan cost beyond what no plan can do without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView
from memplan.machine.target import Target
from memplan.problem.op_times import op_costs


def accessed(copies: Copies) -> float:
    """Bytes times the byte cost of their memory, over all moves and executions, less what is compulsory.

    Compulsory are, once, at their home's byte cost: each input or placed constant that an op reads, and each storage
    that holds an output and that an op writes.
    """
    view, nbytes = copies.view, copies.view.nbytes
    total = _moved(view)
    for s, _, memories in accesses(copies):
        for memory in memories:
            total[memory] += nbytes[s]
    return _cost(view, total)


def accessed_by_moves(view: PlanView) -> float:
    """`accessed` of a plan whose executions cost nothing (see `accesses_cost`): no copies are needed for that."""
    return _cost(view, _moved(view))


def accesses_cost(target: Target) -> bool:
    """Whether an op may use a memory whose bytes cost something."""
    usable = {target.scratchpad.name, *chain.from_iterable(target.operands.values())}
    return any(map(target.byte_cost, usable))


def _moved(view: PlanView) -> dict[str | None, int]:
    """Bytes by memory that moves read and write, less what is compulsory."""
    nbytes = view.nbytes
    total: dict[str | None, int] = dict.fromkeys([*view.target.memory, None], 0)
    for m in view.plan.moves:
        total[m.source] += nbytes[m.tensor]
        total[m.destination] += nbytes[m.tensor]
    needed = [s for s in view.uses if view.is_given(s) and view.is_placeable(s)]
    needed += [s for s in view.outputs if s in view.written and view.is_placeable(s)]
    for s in needed:
        total[view.home(s)] -= nbytes[s]
    return total


def _cost(view: PlanView, total: Mapping[str | None, int]) -> float:
    cost = sum(total[m.name] * view.target.byte_cost(m.name) for m in view.target.memories)
    return int(cost) if float(cost).is_integer() else cost


def accesses(copies: Copies) -> Iterator[tuple[str, Sequence[int], Sequence[str | None]]]:
    """Storage by storage, the steps that read it, then those that write it, with the memory where each does; None for
    the caller's. Joined ops access nothing."""
    view = copies.view
    for s, memories in copies.served.items():
        yield s, view.uses[s], memories
    for s, memories in copies.destinations.items():
        steps = view.written[s]
        if view.ops[steps[0]].name not in view.joined:
            yield s, steps, memories


def extra_cost(view: PlanView) -> float:
    """The cost of all executions less that of executing each op once: seconds on a timed target, else flops."""
    if view.n == len(view.graph.ops):  # each once
        return 0.0
    costs = op_costs(view.graph, view.target)
    return sum(cost * (len(view.steps[op.name]) - 1) for op, cost in zip(view.graph.ops, costs, strict=True))
