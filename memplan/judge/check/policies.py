"""What the options say of weights, workspaces, inputs and outputs, and under which objectives nothing is spilled."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from memplan.judge.check.violation import Violation
from memplan.judge.copies import HOME, Copies
from memplan.judge.plan_view import PlanView
from memplan.judge.simulate import spill_moves


def policies(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Everything that the options ask of kinds of storages."""
    planned = view.moved | {s for s, _ in view.residencies}
    for s in sorted(s for s in planned if not view.is_placeable(s)):
        if view.graph.tensor[s].kind == "constant":
            message = f"constant '{s}' is placed, but weights are ignored"
            yield Violation("weights", message, None, (s,))
        else:
            yield Violation("io", f"'{s}' lies with the caller, and is still placed or moved", None, (s,))
    if view.options.weights == "stream":
        yield from _streams(view, copies)
    if view.options.io == "resident":
        yield from _resident(view)
    elif view.options.io == "host" and view.target.backing is None:
        for t in view.graph.tensors:
            if view.graph.storage_of[t.name] == t.name and view.is_io(t.name):
                message = (
                    f"'{t.name}' is at home in a backing memory, which target '{view.target.name}' has not"
                )
                yield Violation("io", message, None, (t.name,))
    yield from _workspaces(view)
    if view.options.objective in ("peak", "compute"):
        yield from _spills(view)


def _streams(view: PlanView, copies: Copies) -> Iterator[Violation]:
    for (s, memory), rows in view.residencies.items():
        if view.graph.tensor[s].kind != "constant":
            continue
        uses = view.uses.get(s, [])
        for r, c in zip(rows, copies.found[s, memory], strict=True):
            served = uses[bisect_left(uses, r.start) : bisect_left(uses, r.stop)]
            long = view.options.objective != "latency" and r.stop != r.start + 1
            if c.makers != (HOME,) and (served != [r.stop - 1] or long):
                message = f"streamed constant '{s}' stays for [{r.start}, {r.stop})"
                yield Violation("weights", message, r.start, (s,))


def _workspaces(view: PlanView) -> Iterator[Violation]:
    """A workspace lies in one memory during each step of its op, and never else."""
    for op in view.graph.ops:
        if (name := op.workspace) is None:
            continue
        rows = [r for m in view.target.addressed for r in view.residencies.get((name, m.name), ())]
        spans = sorted((r.start, r.stop) for r in rows)
        if spans != [(t, t + 1) for t in view.steps[op.name]]:
            message = f"the workspace '{name}' must have a place during each step of '{op.name}' alone"
            yield Violation("workspace", message, view.steps[op.name][0], (name,))


def _resident(view: PlanView) -> Iterator[Violation]:
    """Inputs and outputs lie in the first memory as long as they are needed, and are not moved."""
    first = view.target.memories[0].name
    placed = {s for s, _ in view.residencies}
    for t in view.graph.tensors:
        s, uses = t.name, view.uses.get(t.name, [])
        if view.graph.storage_of[s] != s or not view.is_io(s):
            continue
        if s in view.moved:
            yield Violation("io", f"'{s}' lies in {first} and must not be moved", None, (s,))
        if not uses and s not in view.begins and (s not in view.outputs or view.n == 0):
            continue  # nothing touches it, and nobody wants it or there is no step to lie in
        rows = view.residencies.get((s, first), [])
        spans = [(r.start, r.stop) for r in rows]
        begins = [0] if t.kind == "input" else sorted(view.begins[s])
        stop = view.n if s in view.outputs else uses[-1] + 1
        elsewhere = s in placed and any((s, m.name) in view.residencies for m in view.target.memories[1:])
        if [start for start, _ in spans] != begins or spans[-1][1] != stop or elsewhere:
            shown = ", ".join(f"[{a}, {b})" for a, b in spans) or "nowhere"
            message = f"'{s}' must lie in {first} from {begins[0]} to {stop}, not {shown}"
            yield Violation("io", message, begins[0], (s,))


def _spills(view: PlanView) -> Iterator[Violation]:
    """Under objectives peak and compute the only moves are the first of what is given, and of outputs to their home."""
    streamed = view.options.weights == "stream"
    for m, spilled in zip(view.plan.moves, spill_moves(view.graph, view.plan, view), strict=True):
        if spilled and not (streamed and view.graph.tensor[m.tensor].kind == "constant"):
            message = f"'{m.tensor}' is copied to {m.destination}, which is a spill"
            yield Violation("peak", message, m.issue, (m.tensor,))
