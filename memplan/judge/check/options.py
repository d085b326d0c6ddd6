"""Rule 8, the treatments of weights, inputs and outputs, and pins: what the options allow and ask for."""

from __future__ import annotations

from bisect import bisect_left

from memplan.ir.graph import Graph
from memplan.judge.check.pins import pin_faults
from memplan.judge.check.plan_view import PlanView, Violation


def inplace(view: PlanView) -> list[Violation]:
    """Rule 8."""
    rule, plan = "inplace", view.plan
    found: list[Violation] = []
    if plan.inplace and not (plan.options.inplace or plan.options.donate):
        found.append(Violation(rule, "the plan works in place, which the options do not allow"))
    for what in ("output", "operand"):
        if len({getattr(pair, what) for pair in plan.inplace}) < len(plan.inplace):
            found.append(Violation(rule, f"one {what} is in two pairs"))
    for step, written, source in plan.inplace:
        why = _inplace_fault(view, step, written, source)
        if why:
            found.append(Violation(rule, f"'{written}' over '{source}': {why}", step, (written, source)))
    return found


def _inplace_fault(view: PlanView, step: int, written: str, source: str) -> str:
    graph = view.graph
    if graph.storage_of.get(written) != written or graph.storage_of.get(source) != source:
        return "they are not storages of the graph"
    t = view.produced.get(written)
    if t is None or t != step:
        return f"no op writes it at step {step}"
    op, over = view.ops[t], graph.tensor[source]
    operands = {x for x in op.inputs if graph.storage_of[x] == source}
    if not any(out == written and x in operands for out, x in op.overwrites):
        return f"op '{op.name}' ({op.kind}) cannot write it over an operand there"
    if fault := _layout_fault(graph, written, source, operands):
        return fault
    if source in view.outputs or (over.kind != "activation" and source not in view.plan.options.donate):
        return "it is an output, or no activation"
    if over.kind == "activation" and not view.plan.options.inplace:
        return "only donated inputs may be written over"
    if over.kind == "constant":
        return "it is a constant"
    if view.uses.get(source, [t])[-1] != t:
        return "it is used later"
    before, after = view.at(source, t), view.at(written, t)
    if not before or not after or before.stop != t + 1 or (t, before.offset) != (after.start, after.offset):
        return "their residencies do not meet at one offset"
    return ""


def _layout_fault(graph: Graph, written: str, source: str, operands: set[str]) -> str:
    """What in the layout forbids the writing, whatever the op's importer says: all it reads there must lie alike."""
    out, whole = graph.tensor[written], graph.tensor[source].nbytes
    for name in operands:
        t = graph.tensor[name]
        if t.layout != out.layout or t.nbytes != whole or (name != source and t.place != (source, 0)):
            return f"it reads '{name}' there, which does not lie as the output does"
    return ""


def treatments(view: PlanView) -> list[Violation]:
    """What the options say of weights, inputs and outputs."""
    found: list[Violation] = []
    options = view.plan.options
    for name in {*view.residencies, *view.loads, *view.stores}:
        parts = view.residencies.get(name, [])
        if view.graph.tensor[name].kind == "constant":
            if options.weights == "ignore":
                found.append(
                    Violation(
                        "weights", f"constant '{name}' is placed, but weights are ignored", None, (name,)
                    )
                )
            if options.weights == "stream":
                uses = view.uses.get(name, [])  # by step
                for r in parts:
                    served = uses[bisect_left(uses, r.start) : bisect_left(uses, r.stop)]
                    if served != [r.stop - 1] or (not view.timed and r.stop != r.start + 1):
                        message = f"streamed constant '{name}' stays for [{r.start}, {r.stop})"
                        found.append(Violation("weights", message, r.start, (name,)))
    if options.io == "resident":
        found += _resident_io(view)
    return found + _workspaces(view)


def _workspaces(view: PlanView) -> list[Violation]:
    """A workspace lies in the scratchpad during the steps of its op, and never moves."""
    found: list[Violation] = []
    for t, op in enumerate(view.ops):
        if (name := op.workspace) is not None:
            spans = [(r.start, r.stop) for r in view.residencies.get(name, [])]
            if spans != [(t, t + 1)] or name in view.loads or name in view.stores:
                message = f"the workspace '{name}' must lie in the scratchpad during step {t} alone"
                found.append(Violation("workspace", message, t, (name,)))
    return found


def _resident_io(view: PlanView) -> list[Violation]:
    found: list[Violation] = []
    for t in view.graph.tensors:
        name = t.name
        if view.graph.storage_of[name] != name or not view.resident_io(name):
            continue
        uses = view.uses.get(name, [])
        untouched = not uses and name not in view.produced
        if untouched and (name not in view.outputs or view.n == 0):
            continue  # nothing touches it, and nobody wants it or there is no step to lie in
        start = 0 if t.kind == "input" else view.produced[name]
        stop = view.n if name in view.outputs else uses[-1] + 1
        parts = view.residencies.get(name, [])
        if [(r.start, r.stop) for r in parts] != [(start, stop)]:
            spans = ", ".join(f"[{r.start}, {r.stop})" for r in parts) or "nowhere"
            message = f"'{name}' must lie in the arena for [{start}, {stop}), not {spans}"
            found.append(Violation("io", message, start, (name,)))
        if name in view.loads or name in view.stores:
            found.append(Violation("io", f"'{name}' lies in the arena and must not be moved", None, (name,)))
    return found


def pins(view: PlanView) -> list[Violation]:
    """What the options pin."""
    touches = {
        name: [*view.uses.get(name, ()), *([view.produced[name]] if name in view.produced else ())]
        for name in set(view.graph.storage_of.values())
    }
    moved = {*view.loads, *view.stores}
    return [
        Violation("pins", f.message, f.step, (f.tensor,), () if f.offset is None else (f.offset,))
        for f in pin_faults(view.plan.options.pins, view.residencies, touches, moved)
    ]
