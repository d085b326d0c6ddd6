"""Rule 8, the treatments of weights, inputs and outputs, and pins: what the options allow and ask for."""

from __future__ import annotations

from bisect import bisect_left

from memplan.ir.graph import Graph
from memplan.judge.check.facts import Facts, Violation
from memplan.judge.check.pins import pin_faults


def inplace(facts: Facts) -> list[Violation]:
    """Rule 8."""
    rule, plan = "inplace", facts.plan
    found: list[Violation] = []
    if plan.inplace and not (plan.options.inplace or plan.options.donate):
        found.append(Violation(rule, "the plan works in place, which the options do not allow"))
    if len(set(plan.inplace.values())) < len(plan.inplace):
        found.append(Violation(rule, "one storage is written over twice"))
    for written, source in plan.inplace.items():
        why = _inplace_fault(facts, written, source)
        if why:
            step = facts.produced.get(written)
            found.append(Violation(rule, f"'{written}' over '{source}': {why}", step, (written, source)))
    return found


def _inplace_fault(facts: Facts, written: str, source: str) -> str:
    graph = facts.graph
    if graph.storage_of.get(written) != written or graph.storage_of.get(source) != source:
        return "they are not storages of the graph"
    t = facts.produced.get(written)
    if t is None:
        return "no op writes it"
    op, over = facts.ops[t], graph.tensor[source]
    operands = {x for x in op.inputs if graph.storage_of[x] == source}
    if not any(out == written and x in operands for out, x in op.overwrites):
        return f"op '{op.name}' ({op.kind}) cannot write it over an operand there"
    if fault := _layout_fault(graph, written, source, operands):
        return fault
    if source in facts.outputs or (over.kind != "activation" and source not in facts.plan.options.donate):
        return "it is an output, or no activation"
    if over.kind == "activation" and not facts.plan.options.inplace:
        return "only donated inputs may be written over"
    if over.kind == "constant":
        return "it is a constant"
    if facts.uses.get(source, [t])[-1] != t:
        return "it is used later"
    before, after = facts.at(source, t), facts.at(written, t)
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


def treatments(facts: Facts) -> list[Violation]:
    """What the options say of weights, inputs and outputs."""
    found: list[Violation] = []
    options = facts.plan.options
    for name in {*facts.residencies, *facts.loads, *facts.stores}:
        parts = facts.residencies.get(name, [])
        if facts.graph.tensor[name].kind == "constant":
            if options.weights == "ignore":
                found.append(
                    Violation(
                        "weights", f"constant '{name}' is placed, but weights are ignored", None, (name,)
                    )
                )
            if options.weights == "stream":
                uses = facts.uses.get(name, [])  # by step
                for r in parts:
                    served = uses[bisect_left(uses, r.start) : bisect_left(uses, r.stop)]
                    if served != [r.stop - 1] or (not facts.timed and r.stop != r.start + 1):
                        message = f"streamed constant '{name}' stays for [{r.start}, {r.stop})"
                        found.append(Violation("weights", message, r.start, (name,)))
    if options.io == "resident":
        found += _resident_io(facts)
    return found + _workspaces(facts)


def _workspaces(facts: Facts) -> list[Violation]:
    """A workspace lies in the scratchpad during the steps of its op, and never moves."""
    found: list[Violation] = []
    for t, op in enumerate(facts.ops):
        if (name := op.workspace) is not None:
            spans = [(r.start, r.stop) for r in facts.residencies.get(name, [])]
            if spans != [(t, t + 1)] or name in facts.loads or name in facts.stores:
                message = f"the workspace '{name}' must lie in the scratchpad during step {t} alone"
                found.append(Violation("workspace", message, t, (name,)))
    return found


def _resident_io(facts: Facts) -> list[Violation]:
    found: list[Violation] = []
    for t in facts.graph.tensors:
        name = t.name
        if facts.graph.storage_of[name] != name or not facts.resident_io(name):
            continue
        uses = facts.uses.get(name, [])
        untouched = not uses and name not in facts.produced
        if untouched and (name not in facts.outputs or facts.n == 0):
            continue  # nothing touches it, and nobody wants it or there is no step to lie in
        start = 0 if t.kind == "input" else facts.produced[name]
        stop = facts.n if name in facts.outputs else uses[-1] + 1
        parts = facts.residencies.get(name, [])
        if [(r.start, r.stop) for r in parts] != [(start, stop)]:
            spans = ", ".join(f"[{r.start}, {r.stop})" for r in parts) or "nowhere"
            message = f"'{name}' must lie in the arena for [{start}, {stop}), not {spans}"
            found.append(Violation("io", message, start, (name,)))
        if name in facts.loads or name in facts.stores:
            found.append(Violation("io", f"'{name}' lies in the arena and must not be moved", None, (name,)))
    return found


def pins(facts: Facts) -> list[Violation]:
    """What the options pin."""
    touches = {
        name: [*facts.uses.get(name, ()), *([facts.produced[name]] if name in facts.produced else ())]
        for name in set(facts.graph.storage_of.values())
    }
    moved = {*facts.loads, *facts.stores}
    return [
        Violation("pins", f.message, f.step, (f.tensor,), () if f.offset is None else (f.offset,))
        for f in pin_faults(facts.plan.options.pins, facts.residencies, touches, moved)
    ]
