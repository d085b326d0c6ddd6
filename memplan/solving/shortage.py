"""What a capacity is too small for, in words."""

from __future__ import annotations

from memplan.base.garbage import collection_paused
from memplan.problem.problem import Problem


@collection_paused()
def shortage(problem: Problem) -> str:
    """Who needs more bytes than the capacity, and how many are missing; empty where `min_capacity` fits."""
    capacity, least = problem.capacity, problem.min_capacity
    if capacity is None or least <= capacity:
        return ""
    worst = max(range(problem.n), key=problem.need.__getitem__)
    fixed = max(problem.storages, key=lambda s: s.end if s.offset is not None else 0)
    if problem.need[worst] == least:
        who = f"op '{problem.graph.ops[worst].name}' needs {least} bytes"
        kept = [problem.storages[s].name for s in problem.present[worst] if problem.storages[s].keep]
        who += (
            f", what is pinned to stay included ({', '.join(kept[:4])}{', …' if kept[4:] else ''})"
            if kept
            else ""
        )
    elif fixed.offset is not None and fixed.end == least:
        who = f"'{fixed.name}', pinned to {fixed.offset}, ends at {least}"
    elif any(s.offset is not None for s in problem.storages):
        who = f"what an op touches beside what is pinned to an offset needs {least} bytes"
    else:
        who = f"the resident inputs or outputs need {least} bytes"
    first = problem.target.scratchpad.name
    where = "the scratchpad" if first == "scratchpad" else f"'{first}'"
    return f"{who}, {where} has {capacity}: {least - capacity} bytes are missing"
