"""Rule 2: what an execution reads is there, and what it writes has a place."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

from memplan.judge.check.violation import Violation
from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView


def operands(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Reads are served from a memory that the op can read, writes go to one place that it can write."""
    for s, memories in copies.served.items():
        if None in memories and view.is_placeable(s):
            yield from _unserved(view, s, memories)
    for s, memories in copies.destinations.items():
        steps = view.written[s]
        writable = view.writable(steps[0], s)
        for t, memory in zip(steps, memories, strict=True):
            if memory not in writable and view.is_placeable(s) and view.ops[t].name not in view.joined:
                message = f"op '{view.ops[t].name}' writes '{s}' to no place in {' or '.join(writable)}"
                yield Violation("operands", message, t, (s,))
    for (s, t), rows in copies.born.items():
        if len(rows) > 1:
            places = " and ".join(sorted({r.memory for r in rows}))
            message = f"op '{view.ops[t].name}' writes '{s}' to {len(rows)} places at once, in {places}"
            yield Violation("operands", message, t, (s,))
    yield from _clashes(view, copies)


def _unserved(view: PlanView, s: str, memories: Sequence[str | None]) -> Iterator[Violation]:
    for t, memory in zip(view.uses[s], memories, strict=True):
        if memory is None:
            where = " or ".join(view.readable(t, s))
            message = f"op '{view.ops[t].name}' reads '{s}', of which no copy is ready in {where}"
            yield Violation("operands", message, t, (s,))


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
