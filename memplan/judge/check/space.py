"""Rule 3: which residencies overlap in time and address, found by a sweep over the steps."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from memplan.judge.check.violation import Violation
from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView
from memplan.problem.plan import Residency


def space(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """A storage has one place in a memory at a time, and two share no byte but for in-place pairs."""
    rows: dict[str, list[Residency]] = defaultdict(list)
    twice = False
    for (s, memory), parts in view.residencies.items():
        rows[memory] += parts
        for before, after in pairwise(parts):
            if after.start < before.stop:
                twice = True
                message = f"'{s}' has two places in {memory} at once"
                yield Violation("space", message, after.start, (s,), (before.offset, after.offset))
    if twice:
        return
    pairs = set(view.plan.inplace)
    for memory, placed in rows.items():
        for a, b in overlaps(_by_part(view, copies, placed)):
            step = max(a.start, b.start)
            shared = (step, b.tensor, a.tensor) in pairs or (step, a.tensor, b.tensor) in pairs
            if shared and min(a.stop, b.stop) == step + 1 and (a.offset, a.size) == (b.offset, b.size):
                continue  # an in-place pair shares its place for one step; rule 8 judges whether it may
            message = (
                f"'{a.tensor}' [{a.offset}, {a.offset + a.size}) and '{b.tensor}' "
                f"[{b.offset}, {b.offset + b.size}) overlap in {memory}"
            )
            yield Violation("space", message, step, (a.tensor, b.tensor), (a.offset, b.offset))


def _by_part(view: PlanView, copies: Copies, placed: Sequence[Residency]) -> Sequence[Residency]:
    """The residencies, those in which ops are joined cut into their parts.

    Where a part is written over an operand that lies in its place, that place is the operand's until then.
    """
    if not view.parts:
        return placed
    leaves: dict[str, list[str]] = defaultdict(list)
    for x, part in view.parts.items():
        if view.ops[view.written[x][0]].name not in view.joined:
            leaves[part.storage].append(x)
    over = {(step, output): operand for step, output, operand in view.plan.inplace}
    found = []
    for r in placed:
        begin = next(iter(view.begins[r.tensor])) if r.tensor in leaves else None
        if begin is None or r.start != begin:
            found.append(r)
            continue
        done = view.written[r.tensor][0] + 1  # from then on it is one storage, which may be written over
        if done < r.stop:
            found.append(r._replace(start=done))
        inside = sorted((view.parts[x].first, view.graph.tensor[x].nbytes, x) for x in leaves[r.tensor])
        ends = [first for first, _, _ in inside[1:]] + [r.size]
        for (first, _, x), end in zip(inside, ends, strict=True):
            place = Residency(x, r.memory, r.start, min(r.stop, done), r.offset + first, end - first)
            t = view.written[x][0]
            operand = copies.at(over[t, x], r.memory, t) if (t, x) in over else None
            if operand is not None and (operand.offset, operand.stop) == (place.offset, t + 1):
                if place.start < operand.start:
                    found.append(place._replace(stop=operand.start))
                place = place._replace(start=t)
            found.append(place)
    return found


def overlaps(rows: Sequence[Residency]) -> Iterator[tuple[Residency, Residency]]:
    """Pairs of residencies that share a step and an address, to the first step where two do that are not at one place.

    Live ones are kept sorted by offset. As long as any two are disjoint or, as in-place pairs are, at one
    place, a newcomer needs to be compared with its neighbours alone: O(r log r), however many overlap.
    """
    count = len(rows)
    begins = [(2 * r.start + 1) * count + k for k, r in enumerate(rows) if r.size > 0]
    ends = [2 * r.stop * count + k for k, r in enumerate(rows) if r.size > 0]
    spans = [(r.offset, r.offset + r.size, k) for k, r in enumerate(rows)]
    live: list[tuple[int, int, int]] = []
    for event in sorted(begins + ends):  # at one boundary, what ends comes before what begins
        turn, k = divmod(event, count)
        span = spans[k]
        at = bisect.bisect_left(live, span)
        if turn % 2 == 0:
            del live[at]
            continue
        met = [other for other in live[max(0, at - 1) : at + 1] if other[0] < span[1] and other[1] > span[0]]
        for _, _, other in met:
            yield rows[other], rows[k]
        if any(other[:2] != span[:2] for other in met):
            return
        live.insert(at, span)
