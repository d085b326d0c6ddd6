"""Rule 2: what an execution reads is there, and what it writes has a place."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from memplan.judge.check.violation import Violation
from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView


def operands(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Reads are served from a memory that the op can read, writes go to one place that it can write."""
    for t, op in enumerate(view.ops):
        for s in view.reads[t]:
            memories = view.target.readable(op.kind, view.role(s))
            if copies.serving(s, memories, t) is None:
                message = f"op '{op.name}' reads '{s}', of which no copy is ready in {' or '.join(memories)}"
                yield Violation("operands", message, t, (s,))
        if op.name in view.joined:
            continue
        for s in view.writes[t]:
            if not view.is_placeable(s):
                continue
            places = [r.memory for r in copies.born.get((s, t), ())]
            if s in view.parts or not places:
                places = [copies.destination(s, t)]
            memories = view.target.writable(op.kind, view.role(s))
            if len(places) > 1:
                message = f"op '{op.name}' writes '{s}' to {' and '.join(sorted(places))} at once"
                yield Violation("operands", message, t, (s,))
            elif places[0] not in memories or (places[0] in view.addressed and not _has_place(copies, s, t)):
                message = f"op '{op.name}' writes '{s}' to no place in {' or '.join(memories)}"
                yield Violation("operands", message, t, (s,))
    yield from _clashes(view, copies)


def _has_place(copies: Copies, s: str, t: int) -> bool:
    return bool(copies.born.get((s, t))) or s in copies.view.parts


def _clashes(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Moves under way while a step writes the copy that they read or write, in memories without addresses.

    (Elsewhere what is written begins only then, and what is overwritten ends there.)
    """
    backing = view.target.host.name
    moving: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for m in view.plan.moves:
        if backing in (m.source, m.destination):
            moving[m.tensor].append((m.issue, m.due))
    for s, spans in moving.items():
        if backing in view.addressed or s not in view.begins:
            continue
        spans.sort()
        latest = list(accumulate((due for _, due in spans), max))
        for t in view.begins[s]:
            k = bisect_right(spans, (t, view.n + 1))
            if not copies.born.get((s, t)) and k and latest[k - 1] > t:
                yield Violation("operands", f"step {t} writes '{s}' while a move of it is under way", t, (s,))
