"""Live bytes of a plan."""

from __future__ import annotations

from itertools import accumulate

from memplan.problem.plan import Plan


def live_bytes(plan: Plan) -> list[int]:
    """Resident bytes per step; an in-place pair counts once in the step it shares."""
    change = [0] * (len(plan.schedule) + 1)
    size: dict[str, int] = {}
    for r in plan.residencies:
        change[r.start] += r.size
        change[r.stop] -= r.size
        size[r.tensor] = r.size
    for pair in plan.inplace:
        change[pair.step] -= size[pair.output]
        change[pair.step + 1] += size[pair.output]
    return list(accumulate(change[:-1]))
