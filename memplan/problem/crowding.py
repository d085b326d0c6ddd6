"""What ops cost because their operands do not fit into fast memory together: a bound that holds for every plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import inf

from memplan.ir.graph import Graph
from memplan.machine.target import Target
from memplan.problem.op_times import roles
from memplan.problem.options import Options
from memplan.problem.placeable import Placeable

MOST = 10
"""Operands of one op of which it is looked at who fits beside whom, the largest; the others take no bytes."""


def crowding(
    graph: Graph, target: Target, options: Options, found: Sequence[Placeable], price: Mapping[str, float]
) -> dict[int, float]:
    """By op, a lower bound on what its reads and writes cost beyond each being served by the cheapest memory in its reach.

    Whatever the order and the moves, in each step the operands that lie in memories with a capacity fit there by bytes;
    the others are served by other memories. Ops without such a cost are left out.

    Args:
        graph, target, options: of the problem.
        found: the storages that count. Others take no bytes.
        price: of a byte that is read or written, by memory.
    """
    limited = {m.name: m.capacity for m in target.addressed if m.capacity is not None}
    if not limited:
        return {}
    capacity, largest = sum(limited.values()), max(limited.values())
    role, joins = roles(graph), options.join
    parts = (
        {x for op in graph.ops for x, _ in op.joins} if joins else set[str]()
    )  # they share bytes with what is joined
    over = (
        {y for op in graph.ops for y, _ in op.overwrites} if options.inplace or options.donate else set[str]()
    )
    touching: dict[int, list[Placeable]] = {}
    for s in found:
        for i in s.touches if s.name not in parts else ():
            touching.setdefault(i, []).append(s)
    costs: dict[int, float] = {}
    for i, touched in touching.items():
        op = graph.ops[i]
        sizes = [s.nbytes for s in touched]
        if (joins and op.joins) or (sum(sizes) <= capacity and max(sizes) <= largest):
            continue
        stuck, loose = 0, list[tuple[int, float]]()
        for s in touched:
            if i == s.writer and s.name in over:  # it may take the bytes of an operand
                continue
            resident = options.io == "resident" and role[s.name] in ("inputs", "outputs")
            reach = (target.writable if i == s.writer else target.readable)(op.kind, role[s.name])
            inside = min((price[m] for m in reach if m in limited), default=inf)
            outside = min((price[m] for m in reach if m not in limited), default=inf)
            if s.is_workspace or resident:
                stuck += s.nbytes if target.scratchpad.name in limited else 0
            elif inside < outside < inf:
                loose.append((s.nbytes, s.nbytes * (outside - inside)))
        if cost := _least_outside(loose, capacity - stuck, largest):
            costs[i] = cost
    return costs


def _least_outside(operands: Sequence[tuple[int, float]], free: int, largest: int) -> float:
    """The least cost of leaving out some operands, of these bytes and costs, so that the others fit; each into `largest`."""
    if free < 0:  # there is no plan, which others prove
        return 0.0
    forced = sum(cost for nbytes, cost in operands if nbytes > largest)
    fitting = sorted((x for x in operands if x[0] <= largest), reverse=True)[:MOST]
    choices = product((False, True), repeat=len(fitting))
    return forced + min(
        sum(cost for (_, cost), kept in zip(fitting, choice, strict=True) if not kept)
        for choice in choices
        if sum(nbytes for (nbytes, _), kept in zip(fitting, choice, strict=True) if kept) <= free
    )
