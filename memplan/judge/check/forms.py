"""Names, ranges and sizes on which every other rule relies."""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.judge.check.violation import Violation
from memplan.machine.parts import Memory
from memplan.problem.plan import Move, Plan, Residency


def forms(graph: Graph, plan: Plan) -> Iterator[Violation]:
    """What is no residency, move or list of views at all (rules 3 and 7 in part)."""
    addressed = {m.name: m for m in plan.target.addressed}
    for r in plan.residencies:
        yield from _residency(graph, plan, r, addressed.get(r.memory))
    for m in plan.moves:
        yield from _move(graph, plan, m)
    if dict(plan.aliases) != graph.aliases:
        wrong = sorted(dict(plan.aliases).items() ^ graph.aliases.items())[0]
        yield Violation("aliases", f"'{wrong[0]}' as a view of '{wrong[1]}' is not the graph's", None, wrong)


def _residency(graph: Graph, plan: Plan, r: Residency, memory: Memory | None) -> Iterator[Violation]:
    n, where = len(plan.schedule), (r.start, (r.tensor,), (r.offset,))
    if graph.storage_of.get(r.tensor) != r.tensor:
        yield Violation("names", f"'{r.tensor}' is no storage of the graph", *where)
        return
    if memory is None:
        yield Violation("names", f"'{r.memory}' is no memory with addresses", *where)
        return
    tensor = graph.tensor[r.tensor]
    size = align_up(tensor.nbytes, memory.alignment)
    if not 0 <= r.start < r.stop <= n:
        message = f"residency of '{r.tensor}' spans [{r.start}, {r.stop}), the plan has {n} steps"
        yield Violation("space", message, *where)
    if r.size != size:
        yield Violation("space", f"'{r.tensor}' takes {r.size} bytes instead of {size}", *where)
    alignment = lcm(memory.alignment, tensor.alignment or 1)
    if r.offset < 0 or r.offset % alignment:
        yield Violation("space", f"'{r.tensor}' at {r.offset} is not aligned to {alignment}", *where)
    if memory.capacity is not None and r.offset + size > memory.capacity:
        message = f"'{r.tensor}' ends at {r.offset + size}, {memory.name} has {memory.capacity}"
        yield Violation("space", message, *where)


def _move(graph: Graph, plan: Plan, m: Move) -> Iterator[Violation]:
    if (
        graph.storage_of.get(m.tensor) != m.tensor
        or not {m.source, m.destination} <= plan.target.memory.keys()
    ):
        message = f"no move of '{m.tensor}' from {m.source} to {m.destination} is known"
        yield Violation("names", message, m.issue, (m.tensor,))
    elif m.queue not in plan.target.copying_queues(m.source, m.destination):
        message = f"nothing can be copied from {m.source} to {m.destination} in queue {m.queue}"
        yield Violation("moves", message, m.issue, (m.tensor,))
    timed = plan.options.objective == "latency"
    if not 0 <= m.issue <= m.due <= len(plan.schedule) or (not timed and m.issue != m.due):
        message = f"the move of '{m.tensor}' to {m.destination} is issued at {m.issue} and due at {m.due}"
        yield Violation("moves", message, m.issue, (m.tensor,))
