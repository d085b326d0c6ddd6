"""Where each storage may lie over its whole life, on a target of any memories, and what that costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from memplan.ir.graph import Graph
from memplan.machine.target import Target
from memplan.problem import joins
from memplan.problem.options import Options
from memplan.problem.placeable import Placeable
from memplan.problem.survey import PartAccess, Survey


def placeables(
    graph: Graph, target: Target, options: Options, joined: Collection[str] = ()
) -> tuple[Placeable, ...]:
    """All storages of which a plan says where they lie, in order of first touch, where these ops are joined.

    Left out are constants that the options ignore, what is the caller's (io external), and parts of what is joined.
    What no memory can hold has no places; a storage whose home has addresses lies there though nothing may touch it,
    if it is an output.
    """
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    inside = joins.places(graph, joined)
    parts: dict[str, list[PartAccess]] = {}
    for i, op in enumerate(graph.ops):
        idle = op.view or op.name in joined
        reads = [] if idle else [*dict.fromkeys(graph.storage_of[x] for x in op.inputs)]
        for x, writing in (
            *((x, False) for x in reads),
            *((x, True) for x in (() if op.view else op.outputs)),
        ):
            if x in inside:
                whole, first = inside[x]
                readers.setdefault(whole, [])
                if not idle:
                    parts.setdefault(whole, []).append(PartAccess(i, x, first, writing))
                continue
            of = readers.setdefault(x, [])
            if writing:
                writer[x] = i
            else:
                of.append(i)
    survey = Survey(graph, target, options, parts)
    if graph.ops:
        given = (t.name for t in graph.tensors if t.kind in ("input", "constant"))
        lying = (s for s in given if s in graph.output_storages and survey.is_addressed(survey.home(s)))
        readers |= {s: readers.get(s, []) for s in lying}
    return tuple(
        survey.placeable(s, writer.get(s, -1), tuple(reading))
        for s, reading in readers.items()
        if survey.is_placeable(s)
    )


def compulsory(found: Sequence[Placeable]) -> float:
    """What every plan pays, and what traffic therefore does not count."""
    return sum(s.at_home_cost for s in found)


def is_free(target: Target, options: Options) -> bool:
    """Whether all ops reach memory in which a byte costs nothing, and all can be brought there, so that
    `least_cost` is 0.
    """
    usual = (target.scratchpad.name,)
    reached = [target.operands.get("default", usual), *target.operands.values()]
    costless = {m.name for m in target.addressed if target.byte_cost(m.name) == 0}
    return target.queues > 0 and options.weights != "stream" and all(costless & {*names} for names in reached)


def least_cost(target: Target, options: Options, found: Sequence[Placeable]) -> float:
    """A lower bound on the traffic of every plan, whatever its order: what is beyond the compulsory even so.

    Where nothing is moved, nothing is executed again and nothing is joined, each storage lies in one place.
    """
    still = target.queues == 0 and options.recompute == 1 and not options.join
    total = 0.0
    for s in found:
        cost = max(s.at_home_cost, s.access_cost)
        if still:
            cost = min((p.cost for p in s.places), default=cost)
        elif s.is_streamed and len(target.memories) == 2:
            cost = max(cost, s.at_home_cost * len(s.readers))  # a copy serves one use, made from home
        total += cost - s.at_home_cost
    return int(total) if total.is_integer() else total
