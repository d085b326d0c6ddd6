"""Rule 1: what is executed, how often, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from memplan.ir.graph import Graph
from memplan.judge.check.violation import Violation
from memplan.problem.op_times import op_costs
from memplan.problem.plan import Plan

SLACK = 1 + 1e-9
"""By how much costs that are added up in another order may differ."""


def schedule(graph: Graph, plan: Plan) -> list[Violation]:
    """Each op is executed once, or as often as the options allow, after what it reads and what it comes after."""
    ops, most = {op.name: op for op in graph.ops}, plan.options.recompute
    found: list[Violation] = []
    written = {t.name for t in graph.tensors if t.kind in ("input", "constant")}
    count = dict.fromkeys(ops, 0)
    for t, name in enumerate(plan.schedule):
        if name not in ops:
            found.append(Violation("schedule", f"'{name}' is no op of the graph", t))
            continue
        op = ops[name]
        if not written.issuperset(op.inputs):
            late = tuple(x for x in op.inputs if x not in written)
            found.append(Violation("schedule", f"op '{name}' runs before '{late[0]}' is written", t, late))
        if op.after and (missing := next((other for other in op.after if not count[other]), None)):
            found.append(
                Violation("schedule", f"op '{name}' runs before '{missing}', which it comes after", t)
            )
        count[name] += 1
        limit = 1 if op.once else most
        if limit is not None and count[name] == limit + 1:
            times = "twice" if limit == 1 else f"more than {limit} times"
            found.append(Violation("schedule", f"op '{name}' runs {times}", t))
        written.update(op.outputs)
    found += [Violation("schedule", f"op '{name}' never runs") for name, times in count.items() if not times]
    return found or [*_order(graph, plan), *_cost(graph, plan, count)]


def _order(graph: Graph, plan: Plan) -> Iterator[Violation]:
    first = list(dict.fromkeys(plan.schedule))
    if plan.options.order == "program":
        for name, op in zip(first, graph.ops, strict=True):
            if name != op.name:
                message = "the order is not the program's, as the options ask"
                yield Violation("schedule", message, plan.schedule.index(name))
                return


def _cost(graph: Graph, plan: Plan, count: Mapping[str, int]) -> Iterator[Violation]:
    limit = plan.options.cost_factor
    if limit is not None:
        costs = op_costs(graph, plan.target)
        spent = sum(cost * count[op.name] for op, cost in zip(graph.ops, costs, strict=True))
        allowed = limit * sum(costs)
        if spent > allowed * SLACK:
            yield Violation("schedule", f"all executions cost {spent:,.6g}, the options allow {allowed:,.6g}")
