"""Addresses inside the program (eq. 9-11), for CP-SAT as no-overlap and for the rest as big-M pairs.

Both say the same: at each step the resident storages are disjoint in address, and a preserved one keeps
its address. CP-SAT takes one NoOverlap of optional intervals a step instead of eq. 10's u and d: an
interval present exactly where C + P + R = 1. That is exact arithmetic; big-M programs are not, so their
plans stand only once the checker has seen them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memplan_solvers.ilp.formulation import Formulation
from memplan_solvers.ilp.linear import Term


def places(f: Formulation) -> dict[tuple[int, int], list[Term]]:
    """The terms of presence by (storage, step), where the storage has bytes and may be there."""
    found = {}
    for s, size in enumerate(f.sizes):
        for t in range(f.n) if size else ():
            terms = f.resident(s, t)
            if terms:
                found[s, t] = terms
    return found


def bounds(f: Formulation, s: int) -> tuple[int, int]:
    """The lowest and the highest place of storage s, in units."""
    pinned = f.problem.storages[s].offset
    if pinned is None:
        return 0, max(0, f.capacity - f.sizes[s] // f.unit)
    return pinned // f.unit, pinned // f.unit


def stays(f: Formulation, s: int, t: int) -> list[Term] | None:
    """The terms that are 1 only where storage s at t is where it was at t - 1; None for a pinned one."""
    if f.is_pinned(s):
        return None
    kept = f.preserved.get(s, {})
    return [(kept[t], 1)] if t in kept else []


def no_overlap(f: Formulation) -> Callable[[Any, list[Any]], None]:
    """What adds the addresses to a CP-SAT model of the program."""

    def extend(model: Any, xs: list[Any]) -> None:
        at: dict[tuple[int, int], Any] = {}
        by_step: dict[int, list[Any]] = {}
        for (s, t), terms in places(f).items():
            width = f.sizes[s] // f.unit
            pinned = f.is_pinned(s)
            if pinned and (s, -1) in at:
                where = at[s, -1]
            else:
                where = model.new_int_var(*bounds(f, s), f"l{s}_{t}")
                at[s, -1] = where
            at[s, t] = where
            here = model.new_bool_var(f"h{s}_{t}")
            model.add(sum(xs[v] for v, _ in terms) == here)
            by_step.setdefault(t, []).append(
                model.new_optional_fixed_size_interval_var(where, width, here, f"i{s}_{t}")
            )
            if f.peak is not None:
                model.add(where + width <= xs[f.peak]).only_enforce_if(here)
            for v, _ in stays(f, s, t) or ():
                model.add(where == at[s, t - 1]).only_enforce_if(xs[v])
        for intervals in by_step.values():
            model.add_no_overlap(intervals)

    return extend


def big_m(f: Formulation) -> None:
    """Add eq. 9-11 to the program itself, with u and d for every pair of storages and step."""
    add, m = f.linear.add, f.capacity
    at: dict[tuple[int, int], int] = {}
    by_step: dict[int, list[int]] = {}
    where = places(f)
    for s, t in where:
        width = f.sizes[s] // f.unit
        pinned = f.is_pinned(s)
        if pinned and (s, -1) in at:
            at[s, t] = at[s, -1]
        else:
            at[s, -1] = at[s, t] = f.linear.integer(*bounds(f, s))
        by_step.setdefault(t, []).append(s)
        if f.peak is not None:
            # at + width <= peak wherever resident
            add([(at[s, t], 1), (f.peak, -1), *((v, m) for v, _ in where[s, t])], high=m - width)
        for v, _ in stays(f, s, t) or ():
            add([(at[s, t], 1), (at[s, t - 1], -1), (v, m)], high=m)
            add([(at[s, t - 1], 1), (at[s, t], -1), (v, m)], high=m)
    for t, storages in by_step.items():
        for k, a in enumerate(storages):
            for b in storages[:k]:
                u, d = f.linear.binary(), f.linear.binary()
                add([(at[a, t], 1), (at[b, t], -1), (u, -m)], low=f.sizes[b] // f.unit - m)
                add([(at[b, t], 1), (at[a, t], -1), (d, -m)], low=f.sizes[a] // f.unit - m)
                both = [(v, -c) for v, c in where[a, t] + where[b, t]]
                add([(u, 1), (d, 1), *both], low=-1)
                add([(u, 1), (d, 1)], high=1)
