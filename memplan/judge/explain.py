"""Why a plan spills: which step had no room for each storage that left, by how much, and what more would buy.

From the graph and the plan alone. A spill is a stretch of absence of a storage from the first memory between two
touches, at the end of which it is loaded again. Had it stayed, with the rest as it is, the bytes at some step in
between would have exceeded the capacity (or they would not, and the reason lies in addresses, or in a
solver that found nothing better). All figures count bytes, not addresses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import NamedTuple

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.judge.live import live_bytes
from memplan.problem.plan import Plan, Residency

SHOWN = 20
"""Spills that the text names; the rest are counted."""


class Spill(NamedTuple):
    """Storage `tensor` is absent from the first memory in steps `[start, stop)`, and loaded again at `stop`.

    size      bytes it would take there; `cost` the bytes moved for this absence, its store
              included where this is the first absence and the store serves nothing else
    producer  the op that wrote it (None: an input or constant)
    before    the last op that touched it before, `after` the next one that needs it
    tightest  the step in between with the fewest bytes to spare, where it would have been in the way
    over      bytes by which that step would exceed the capacity had it stayed; not positive where bytes
              alone do not explain the spill
    streamed  a constant that the options have come and go
    """

    tensor: str
    start: int
    stop: int
    size: int
    cost: int
    producer: str | None
    before: str
    after: str
    tightest: int
    over: int
    streamed: bool = False


class Relief(NamedTuple):
    """With `capacity` bytes, `spills` of the plan's absences, `saved` bytes, are not needed by bytes."""

    capacity: int
    spills: int
    saved: int


def spills(graph: Graph, plan: Plan) -> list[Spill]:
    """Every spill of the plan, the costliest first. O(r log r + n log n) for r residencies and n steps."""
    live = live_bytes(plan)
    fullest = _fullest(live)
    touches = _touches(graph, plan)
    first = plan.target.scratchpad.name
    loads = {(m.tensor, m.issue) for m in plan.moves if m.destination == first}
    outputs = graph.output_storages
    stored = {m.tensor for m in plan.moves if m.source == first}
    found = []
    for name, parts in _stretches(plan).items():
        tensor = graph.tensor[name]
        size = align_up(tensor.nbytes, plan.target.scratchpad.alignment)
        for k, (left, back) in enumerate(pairwise(parts)):
            if (name, back.start) not in loads:
                continue
            steps = touches.get(name, [])
            late, soon = bisect_left(steps, left.stop), bisect_left(steps, back.start)
            before = steps[late - 1] if late else left.start
            after = steps[soon] if soon < len(steps) else back.start
            # Where it leaves and comes back at once it was moved, not squeezed out: the step it returns.
            away = left.stop < back.start
            tightest = fullest(left.stop, back.start) if away else back.start
            extra = size if away else 0
            first_store = k == 0 and name in stored and name not in outputs
            capacity = plan.target.scratchpad.capacity
            over = 0 if capacity is None else live[tightest] + extra - capacity
            found.append(
                Spill(
                    name,
                    left.stop,
                    back.start,
                    size,
                    tensor.nbytes * (1 + first_store),
                    graph.ops[graph.producer[name]].name if name in graph.producer else None,
                    plan.schedule[before],
                    plan.schedule[after],
                    tightest,
                    over,
                    plan.options.weights == "stream" and tensor.kind == "constant",
                )
            )
    return sorted(found, key=lambda s: (-s.cost, s.start, s.tensor))


def live_without_spills(graph: Graph, plan: Plan) -> list[int]:
    """Resident bytes per step had every storage stayed; streamed constants come and go at any capacity."""
    live = live_bytes(plan)
    change = [0] * (len(live) + 1)
    for spill in spills(graph, plan):
        if not spill.streamed:
            change[spill.start] += spill.size
            change[spill.stop] -= spill.size
    return [there + more for there, more in zip(live, accumulate(change), strict=False)]


def relief(graph: Graph, plan: Plan) -> list[Relief]:
    """What more capacity would buy for this order and this plan, cheapest capacity first.

    Each row keeps one more spilled storage in the scratchpad, always the one that needs the fewest bytes
    more, with all those of the rows before; the last row's capacity needs no spill. A row is what one
    plan needs, so an upper bound: better plans may exist. O(spills^2 x steps).
    """
    import numpy as np

    live = np.array(live_bytes(plan), dtype=np.int64)
    left = [s for s in spills(graph, plan) if not s.streamed][: 10 * SHOWN]
    peak, saved, rows = int(live.max(initial=0)), 0, list[Relief]()
    count = len(left)
    while left:

        def needs(s: Spill) -> int:
            return int(live[s.start : s.stop].max()) + s.size if s.start < s.stop else 0

        best = min(left, key=lambda s: (needs(s), -s.cost, s.start, s.tensor))
        peak = max(peak, needs(best))
        left.remove(best)
        live[best.start : best.stop] += best.size
        saved += best.cost
        if rows and rows[-1].capacity == peak:
            rows.pop()
        rows.append(Relief(peak, count - len(left), saved))
    return rows


def explanation(graph: Graph, plan: Plan) -> str:
    """The spills and what more capacity would buy, as text for people; one line where nothing spills."""
    found = spills(graph, plan)
    if not found:
        return "no spills: every storage stays from its first touch to its last"
    live, capacity = live_bytes(plan), plan.target.scratchpad.capacity
    lines = [f"{_count(len(found))}, {sum(s.cost for s in found):,} B moved because of them"]
    for s in found[:SHOWN]:
        lines.append(f"  {s.tensor}: {s.size:,} B, away in steps [{s.start}, {s.stop}), {s.cost:,} B moved")
        made = f"made by {s.producer}" if s.producer else f"from {plan.target.host.name}"
        lines.append(f"    {made}, last touched by {s.before}, needed again by {s.after}")
        lines.append(f"    {_reason(plan, s, live)}")
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more")
    rows = relief(graph, plan)
    if rows and capacity is not None:
        lines.append("with more capacity, this order and these residencies kept:")
        for row in _thin(rows):
            more = max(0, row.capacity - capacity)
            lines.append(
                f"  {row.capacity:>14,} B (+{more:,}): {_count(row.spills)} fewer, {row.saved:,} B saved"
            )
    return "\n".join(lines)


def _count(n: int) -> str:
    return f"{n} spill" if n == 1 else f"{n} spills"


def _reason(plan: Plan, s: Spill, live: list[int]) -> str:
    op = plan.schedule[s.tightest]
    if s.streamed:
        return "streamed: the options load it for each use"
    if s.start == s.stop:
        return f"moved to another address before step {s.stop} ({op})"
    if s.over > 0:
        return f"tightest at step {s.tightest} ({op}): {live[s.tightest]:,} B there already, {s.over:,} B over had it stayed"
    return f"would fit by bytes ({-s.over:,} B to spare at step {s.tightest}, {op}): addresses, or the solver's choice"


def _thin(rows: list[Relief], most: int = 8) -> list[Relief]:
    """At most `most` rows, first and last among them, evenly spread."""
    if len(rows) <= most:
        return rows
    return [rows[round(k * (len(rows) - 1) / (most - 1))] for k in range(most)]


def _fullest(live: list[int]) -> Callable[[int, int], int]:
    """The first step of most live bytes in steps `[start, stop)`, from tables of it for every power of two of steps."""
    import numpy as np

    values = np.array(live, dtype=np.int64)
    tables = [np.arange(len(live))]
    while (span := 1 << (len(tables) - 1)) * 2 <= len(live):
        left, right = tables[-1][:-span], tables[-1][span:]
        tables.append(np.where(values[left] >= values[right], left, right))

    def fullest(start: int, stop: int) -> int:
        power = (stop - start).bit_length() - 1
        table = tables[power]
        return max(int(table[start]), int(table[stop - (1 << power)]), key=live.__getitem__)

    return fullest


def _touches(graph: Graph, plan: Plan) -> dict[str, list[int]]:
    """Per storage, the steps whose op reads or writes it, ascending."""
    by_name = {op.name: op for op in graph.ops}
    found: dict[str, list[int]] = {}
    for t, name in enumerate(plan.schedule):
        op = by_name[name]
        if not op.view:
            for root in dict.fromkeys(graph.storage_of[x] for x in (*op.inputs, *op.outputs)):
                found.setdefault(root, []).append(t)
    return found


def _stretches(plan: Plan) -> dict[str, list[Residency]]:
    """Residencies in the first memory by storage, by start."""
    found: dict[str, list[Residency]] = {}
    for r in sorted(plan.residencies, key=lambda r: (r.start, r.stop)):
        if r.memory == plan.target.scratchpad.name:
            found.setdefault(r.tensor, []).append(r)
    return found
