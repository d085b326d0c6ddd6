"""The numbers that a plan carries: those that recompute, and those that only a proof could bear out."""

from __future__ import annotations

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.judge.check.violation import Violation
from memplan.judge.copies import Copies
from memplan.judge.simulate import simulate
from memplan.machine.two_level import beyond_two_level
from memplan.problem.plan import Plan, Status

TOLERANCE = 1e-9
"""Relative difference up to which two times count as equal."""

UNKNOWN_TO_VERSION_1 = ("accessed", "extra_cost", "peaks")
"""Metrics of which plan files of version 1 claim nothing."""


def claims(copies: Copies) -> list[Violation]:
    """Where what the plan says of itself is not what comes out."""
    graph, plan = copies.view.graph, copies.view.plan
    found: list[Violation] = []

    def claim(what: str, claimed: object, actual: object) -> None:
        same = claimed == actual
        if isinstance(claimed, float) and isinstance(actual, float | int):
            same = abs(claimed - actual) <= TOLERANCE * max(abs(claimed), abs(actual))
        if not same:
            found.append(Violation("claims", f"{what} is claimed as {claimed}, it is {actual}"))

    claim("graph", plan.graph, graph.name)
    metrics = simulate(graph, plan, copies)
    for name, actual in metrics._asdict().items():
        claimed = getattr(plan.metrics, name)
        if claimed is not None or name not in UNKNOWN_TO_VERSION_1:
            claim(name, claimed, actual)
    value = metrics.value(plan.options.objective)
    claim("value", plan.value, value)
    if plan.bound > value * (1 + slack(value)):
        found.append(Violation("claims", f"the bound {plan.bound} is above the value {value}"))
    claim("status", str(plan.status), str(proved_status(value, plan.bound)))
    return found


def slack(value: float) -> float:
    """The relative difference between a value and a bound that is rounding: seconds are rounded, bytes are not."""
    return TOLERANCE if isinstance(value, float) else 0


def proved_status(value: float, bound: float) -> Status:
    """What a bound proves of a plan with this value."""
    return Status.OPTIMAL if value <= bound * (1 + slack(value)) else Status.FEASIBLE


def unverified(graph: Graph, plan: Plan) -> list[str]:
    """What the plan claims of all plans and nothing here derives: a bound, or that there is no plan."""
    options, capacity = plan.options, plan.target.scratchpad.capacity
    known = not (beyond_two_level(plan.target) or options.join or options.io == "external")
    most = max((need(plan, graph, op) for op in graph.ops), default=0) if known else 0
    if plan.status is Status.INFEASIBLE:
        derived = capacity is not None and most > capacity
        return [] if derived else [f"no plan exists: {plan.reason or 'no reason is given'}"]
    if plan.status is Status.UNKNOWN or plan.bound <= (most if options.objective == "peak" else 0):
        return []
    return [f"no plan has a smaller {options.objective} than {plan.bound:,}"]


def need(plan: Plan, graph: Graph, op: Op) -> int:
    """Bytes of scratchpad that `op` cannot do without under the plan's target and options."""
    if op.view or plan.target.direct:
        return 0
    options, root, align = plan.options, graph.storage_of, plan.target.scratchpad.alignment
    sizes = {
        name: align_up(graph.tensor[name].nbytes, align)
        for name in dict.fromkeys(root[x] for x in (*op.inputs, *op.outputs))
        if not (graph.tensor[name].kind == "constant" and options.weights == "ignore")
        and options.pins.get(name) != "host"
    }
    shared = bool(op.overwrites) and (options.inplace or bool(options.donate))
    return sum(sizes.values()) - (sizes.get(op.overwrites[0][0], 0) if shared else 0)
