"""Fixed places that leave no plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from memplan.problem.problem import Problem


def contradiction(problem: Problem) -> str:
    """Why the fixed offsets leave no plan: two storages at one address in one step; nothing if that is not so."""
    for i in range(problem.n):
        for a, b in fixed_clashes(problem, problem.present[i]):
            written, over = problem.overwriting.get(i, (-1, ()))
            if not ((a == written and b in over) or (b == written and a in over)):
                one, other = problem.storages[a], problem.storages[b]
                return (
                    f"op '{problem.graph.ops[i].name}' needs '{one.name}' at [{one.offset}, {one.end}) and "
                    f"'{other.name}' at [{other.offset}, {other.end}), where they are pinned"
                )
    return ""


def fixed_clashes(problem: Problem, storages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Pairs of the storages whose fixed places overlap: never resident together, but for an in-place pair."""
    fixed = [k for k in storages if problem.storages[k].offset is not None and problem.storages[k].size]
    for a, b in combinations(sorted(fixed), 2):
        one, other = problem.storages[a], problem.storages[b]
        if (one.offset or 0) < other.end and (other.offset or 0) < one.end:
            yield a, b
