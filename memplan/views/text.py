"""Graphs and plans as text for people."""

from __future__ import annotations

from collections import Counter

from memplan.base.units import format_size
from memplan.ir.graph import Graph
from memplan.ir.parts import TENSOR_KINDS
from memplan.judge.explain import explanation
from memplan.judge.live import live_bytes
from memplan.machine.parts import Memory
from memplan.problem.plan import Plan
from memplan.views.boxes import scene_of

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
    m = plan.metrics
    runtime = "" if plan.runtime is None else f" with runtime {plan.runtime}"
    rows = [
        ("graph", f"{plan.graph}, {len(graph.ops)} ops; {_treatment(plan)}"),
        ("target", f"{plan.target.name}{runtime}, {_sizes(plan)}{_proved(plan)}"),
        ("status", f"{plan.status} for {plan.options.objective}: {_value(plan)}"),
        ("spilled", f"{m.traffic:,} B (stores {m.spill_store:,}, reloads {m.spill_load:,})"),
        ("compulsory", f"{m.compulsory_load + m.compulsory_store:,} B"),
    ]
    if m.accessed is not None and m.accessed != m.traffic:
        rows.insert(4, ("accessed", f"{m.accessed:,} B, counted by the cost of their memories"))
    rows += _peaks(plan)
    again = len(plan.schedule) - len(set(plan.schedule))
    if again:
        rows.append(("again", f"{again} steps execute an op again, {_cost(plan, m.extra_cost or 0)} more"))
    if plan.target.timed:
        slow, fast = plan.target.host.name, plan.target.scratchpad.name
        ends = [] if m.latency_all_host_s is None else [f"all in {slow} {m.latency_all_host_s:.6g} s"]
        ends.append(f"unlimited {fast} {m.latency_unlimited_s:.6g} s")
        rows.append(("latency", f"{m.latency_s:.6g} s; {', '.join(ends)}"))
    rows.append(("solver", f"{plan.solver}, {plan.seconds:.3f} s ({plan.total_seconds:.3f} s in all)"))
    if plan.reason:
        rows.append(("how", plan.reason))
    rows += [("note", note) for note in plan.notes]
    return "\n".join(f"{name:10} {text}" for name, text in rows)


def _treatment(plan: Plan) -> str:
    o = plan.options
    words = [f"weights {o.weights}, io {o.io}, in-place {'on' if o.inplace else 'off'}, order {o.order}"]
    words += [f"{len(o.donate)} inputs donated"] if o.donate else []
    words += [f"{len(plan.joined)} ops joined"] if o.join else []
    return ", ".join(words)


def _limit(memory: Memory) -> str:
    return (
        "no limit" if memory.capacity is None else f"{memory.capacity:,} B ({format_size(memory.capacity)})"
    )


def _sizes(plan: Plan) -> str:
    """The memories with addresses and their capacities."""
    return ", ".join(f"{m.name} {_limit(m)}" for m in plan.target.addressed)


def _peaks(plan: Plan) -> list[tuple[str, str]]:
    """Bytes in use of each memory with addresses, by name where there are several."""
    m = plan.metrics
    if m.peaks is None or len(m.peaks) <= 1:
        return [("peak", f"{m.peak:,} B used, {m.live_peak:,} B live")]
    rows = [f"{peak:,} B used in {name}" for name, peak in m.peaks.items()]
    return [("peak", f"{', '.join(rows)}; {m.live_peak:,} B live in {plan.target.scratchpad.name}")]


def _proved(plan: Plan) -> str:
    return ", from a peak not proved least" if plan.budget_proved is False else ""


def _value(plan: Plan) -> str:
    unit = {"latency": "s", "compute": _cost_unit(plan)}.get(plan.options.objective, "B")
    gap = "-" if plan.gap is None else f"{100 * plan.gap:.2f} %"
    return f"value {plan.value:,.10g} {unit}, bound {plan.bound:,.10g} {unit}, gap {gap}"


def _cost(plan: Plan, cost: float) -> str:
    return f"{cost:,.6g} {_cost_unit(plan)}"


def _cost_unit(plan: Plan) -> str:
    return "s" if plan.target.timed else "flop"


def plan_dump(graph: Graph, plan: Plan) -> str:
    """The summary, a line a step (bytes live in the first memory, op, what is copied, placed, stored and freed), then
    why what spilled did."""
    events = _events(graph, plan)
    full = max(plan.metrics.live_peak, 1)
    kind = {op.name: op.kind for op in graph.ops}
    joined, executions, executed = set(plan.joined), Counter(plan.schedule), Counter[str]()
    lines = [plan_summary(graph, plan), ""]
    for t, (name, live) in enumerate(zip(plan.schedule, live_bytes(plan), strict=True)):
        bar = "█" * round(BAR * live / full)
        executed[name] += 1
        what = [kind.get(name, "?")]
        what += [f"execution {executed[name]} of {executions[name]}"] if executions[name] > 1 else []
        what += ["joined"] if name in joined else []
        happens = "  ".join(events.get(t, ()))
        lines.append(f"{t:6} {live:>14,} {bar:{BAR}} {name} ({', '.join(what)})  {happens}")
    if plan.schedule:
        lines += ["", explanation(graph, plan)]
    return "\n".join(lines)


def _events(graph: Graph, plan: Plan) -> dict[int, list[str]]:
    """What happens in each step: copies, what is placed where, what is written over what, and what leaves.

    A load is told in the step that waits for it, a store in the step after which it begins. Memories are named where
    there are more than a scratchpad and host memory.
    """
    wide = len(plan.target.memories) > 2 or len(plan.target.addressed) > 1
    copied, placed, left = dict[int, list[str]](), dict[int, list[str]](), dict[int, list[str]]()
    for box in sorted(scene_of(graph, plan).boxes, key=lambda b: b.start):
        place = f"{box.tensor}@{box.memory}+{box.offset}" if wide else f"{box.tensor}@{box.offset}"
        if box.arrival >= 0:
            text = f"copy {place} from {plan.moves[box.arrival].source}" if wide else f"load {place}"
            copied.setdefault(box.start, []).append(text)
        else:
            placed.setdefault(box.start, []).append(f"+{place}" + (f" in {box.whole}" if box.whole else ""))
        if not box.whole:
            left.setdefault(box.stop - 1, []).append(f"-{box.tensor}" + (f"@{box.memory}" if wide else ""))
    addressed = {memory.name for memory in plan.target.addressed}
    for m in plan.moves:
        if m.destination not in addressed:
            text = f"copy {m.tensor} from {m.source} to {m.destination}" if wide else f"store {m.tensor}"
            copied.setdefault(max(0, m.issue - 1), []).append(text)
    for pair in plan.inplace:
        placed.setdefault(pair.step, []).append(f"{pair.output} over {pair.operand}")
    return {t: [*copied.get(t, ()), *placed.get(t, ()), *left.get(t, ())] for t in {*copied, *placed, *left}}
