"""Graphs and plans as text for people."""

from __future__ import annotations

from collections import Counter

from memplan.base.units import format_size
from memplan.ir.graph import Graph
from memplan.ir.parts import TENSOR_KINDS
from memplan.judge.explain import explanation
from memplan.problem.plan import Plan

BAR = 24
"""Characters of the live-bytes bar in a plan's dump."""


def graph_summary(graph: Graph) -> str:
    """Name, counts, bytes by tensor kind and the commonest op kinds."""
    kinds = Counter(op.kind for op in graph.ops)
    lines = [f"{graph.name}: {len(graph.ops)} ops, {len(graph.tensors)} tensors"]
    by_kind = {kind: [t for t in graph.tensors if t.kind == kind] for kind in TENSOR_KINDS}
    for kind, tensors in (by_kind | {"output": [graph.tensor[name] for name in graph.outputs]}).items():
        lines.append(f"  {kind + 's':12} {len(tensors):6}  {format_size(sum(t.nbytes for t in tensors))}")
    known = [op.flops for op in graph.ops if op.flops is not None]
    lines.append(f"  {'flops':12} {sum(known):,} in {len(known)} ops")
    lines.append("  op kinds     " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(12)))
    return "\n".join(lines)


def plan_summary(graph: Graph, plan: Plan) -> str:
    """The plan's numbers in a few aligned lines."""
    m, o = plan.metrics, plan.options
    capacity = plan.target.scratchpad.capacity
    limit = "no limit" if capacity is None else f"{capacity:,} B ({format_size(capacity)})"
    treatment = f"weights {o.weights}, io {o.io}, in-place {'on' if o.inplace else 'off'}, order {o.order}"
    treatment += f", {len(o.donate)} inputs donated" if o.donate else ""
    rows = [
        ("graph", f"{plan.graph}, {len(graph.ops)} ops; {treatment}"),
        ("target", f"{plan.target.name}, scratchpad {limit}{_proved(plan)}"),
        ("status", f"{plan.status} for {o.objective}: {_value(plan)}"),
        ("spilled", f"{m.traffic:,} B (stores {m.spill_store:,}, reloads {m.spill_load:,})"),
        ("compulsory", f"{m.compulsory_load + m.compulsory_store:,} B"),
        ("peak", f"{m.peak:,} B used, {m.live_peak:,} B live"),
    ]
    if plan.target.timed:
        rows.append(
            (
                "latency",
                f"{m.latency_s:.6g} s; "
                + ("" if m.latency_all_host_s is None else f"all in host {m.latency_all_host_s:.6g} s, ")
                + f"unlimited scratchpad {m.latency_unlimited_s:.6g} s",
            )
        )
    rows.append(("solver", f"{plan.solver}, {plan.seconds:.3f} s ({plan.total_seconds:.3f} s in all)"))
    if plan.reason:
        rows.append(("how", plan.reason))
    rows += [("note", note) for note in plan.notes]
    return "\n".join(f"{name:10} {text}" for name, text in rows)


def _proved(plan: Plan) -> str:
    return ", from a peak not proved least" if plan.budget_proved is False else ""


def _value(plan: Plan) -> str:
    seconds = "s" if plan.target.timed else "flop"
    unit = {"latency": "s", "compute": seconds}.get(plan.options.objective, "B")
    gap = "-" if plan.gap is None else f"{100 * plan.gap:.2f} %"
    return f"value {plan.value:,.10g} {unit}, bound {plan.bound:,.10g} {unit}, gap {gap}"


def plan_dump(graph: Graph, plan: Plan) -> str:
    """The summary, a line a step (live bytes, op, what is loaded, placed, stored and freed), then why what spilled did."""
    begins: dict[int, list[str]] = {}
    ends: dict[int, list[str]] = {}
    moves: dict[int, list[str]] = {}
    change = [0] * (len(plan.schedule) + 1)
    loaded = {(m.tensor, m.issue) for m in plan.moves if plan.is_load(m)}
    for r in plan.residencies:
        change[r.start] += r.size
        change[r.stop] -= r.size
        if (r.tensor, r.start) not in loaded:
            begins.setdefault(r.start, []).append(f"+{r.tensor}@{r.offset}")
        else:
            moves.setdefault(r.start, []).append(f"load {r.tensor}@{r.offset}")
        ends.setdefault(r.stop - 1, []).append(f"-{r.tensor}")
    for m in plan.moves:
        if not plan.is_load(m):
            moves.setdefault(m.issue - 1, []).append(f"store {m.tensor}")
    full = max(plan.metrics.live_peak, 1)
    kind = {op.name: op.kind for op in graph.ops}
    lines, live = [plan_summary(graph, plan), ""], 0
    for t, name in enumerate(plan.schedule):
        live += change[t]
        bar = "█" * round(BAR * live / full)
        events = [*moves.get(t, ()), *begins.get(t, ()), *ends.get(t, ())]
        lines.append(f"{t:6} {live:>14,} {bar:{BAR}} {name} ({kind.get(name, '?')})  {'  '.join(events)}")
    if plan.schedule:
        lines += ["", explanation(graph, plan)]
    return "\n".join(lines)
