"""Rules 4, 5 and 7: what makes each copy, and that moves read what is there, in an order that keeps it so."""

from __future__ import annotations

from collections.abc import Iterator

from memplan.judge.check.violation import Violation
from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView


def origins(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Every residency begins in one way, and a copy that never ends is not made anew by a move."""
    for (s, memory), rows in copies.found.items():
        if s in view.parts:
            continue
        for c in rows:
            where = c.start, (s,), (() if c.offset is None else (c.offset,))
            if memory not in view.addressed:
                if any(maker >= 0 for maker in c.makers[1:]):
                    yield Violation("origin", f"'{s}' is copied to {memory}, which has it already", *where)
            elif not c.makers:
                message = f"'{s}' appears in {memory} without being moved there or written"
                yield Violation("origin", message, *where)
            elif len(c.makers) > 1:
                message = f"'{s}' is moved to {memory} twice, or while it is written or at home there"
                yield Violation("origin", message, *where)
            elif c.ready > c.stop - 1 and c.makers[0] >= 0:
                yield Violation("moves", f"the move of '{s}' is due after its residency", *where)


def moves(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Every move reads a copy that is there, begins a residency where there are addresses, and waits its turn."""
    last: dict[int, int] = {}
    for m, source in zip(view.plan.moves, copies.sources, strict=True):
        where = m.issue, (m.tensor,)
        if view.graph.tensor[m.tensor].kind == "workspace":
            yield Violation("moves", f"the workspace '{m.tensor}' is moved", *where)
        if m.issue < last.get(m.queue, 0):
            message = f"the move of '{m.tensor}' stands in queue {m.queue} behind one that is issued later"
            yield Violation("moves", message, *where)
        last[m.queue] = m.issue
        begun = copies.at(m.tensor, m.destination, m.issue)
        if m.destination in view.addressed and (begun is None or begun.start != m.issue):
            message = f"the move of '{m.tensor}' to {m.destination} begins no residency"
            yield Violation("moves", message, *where)
        if source is None:
            message = f"'{m.tensor}' is moved from a copy in {m.source} that is not ready, or ends too soon"
            yield Violation("origin", message, *where)
    for i, j in copies.races:
        if j > i:
            filled, read = view.plan.moves[i], view.plan.moves[j].tensor
            message = f"the move of '{filled.tensor}' fills bytes of '{read}' that a move listed later reads"
            yield Violation("moves", message, filled.issue, (filled.tensor, read))
