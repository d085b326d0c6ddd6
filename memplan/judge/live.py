"""Live bytes of a plan."""

from __future__ import annotations

from itertools import accumulate

from memplan.problem.plan import Plan, Residency


def live_bytes(plan: Plan) -> list[int]:
    """Resident bytes per step; an in-place pair counts once in the step it shares."""
    change = [0] * (len(plan.schedule) + 1)
    first: dict[str, Residency] = {}
    for r in plan.residencies:
        change[r.start] += r.size
        change[r.stop] -= r.size
        if r.tensor not in first or r.start < first[r.tensor].start:
            first[r.tensor] = r
    for written in plan.inplace:
        start, size = first[written].start, first[written].size
        change[start] -= size
        change[start + 1] += size
    return list(accumulate(change[:-1]))
