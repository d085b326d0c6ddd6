"""Live bytes of a plan."""

from __future__ import annotations

from itertools import accumulate

from memplan.problem.plan import Plan, Residency


def live_bytes(plan: Plan, memory: str | None = None) -> list[int]:
    """Bytes resident in a memory, the first unless another is named, per step; an in-place pair counts once while it
    shares its place."""
    memory = memory or plan.target.memories[0].name
    change = [0] * (len(plan.schedule) + 1)
    rows = [r for r in plan.residencies if r.memory == memory]
    for r in rows:
        change[r.start] += r.size
        change[r.stop] -= r.size
    if not plan.inplace:
        return list(accumulate(change[:-1]))
    at = {(r.tensor, r.start): r for r in rows}
    until = {(r.tensor, r.stop): r for r in rows}
    for step, output, operand in plan.inplace:
        over, written = until.get((operand, step + 1)), at.get((output, step))
        if over is None:
            continue
        if written is None:  # a part, which lies in a joined storage
            written = next((r for r in rows if r is not over and _holds(r, over, step)), None)
        if written is not None and _holds(written, over, step):
            change[max(over.start, written.start)] -= over.size
            change[step + 1] += over.size
    return list(accumulate(change[:-1]))


def _holds(r: Residency, other: Residency, step: int) -> bool:
    """Whether the residency has the other's bytes in a step."""
    inside = r.offset <= other.offset and other.offset + other.size <= r.offset + r.size
    return inside and r.start <= step < r.stop
