"""A lower bound that no order escapes: what must be absent while the ops of one chain run, by an integer program.

An op between a storage's first and last touch under every order finds it live, so where an op finds more live than fits,
some of that is absent. Ops of a chain, each a descendant of the one before, come in the same order in every plan: a
storage that is absent at two of them leaves twice if an op between them touches it, and costs a reload each time,
and a store. Graphs that keep much for long, as training steps do, pay little more than that.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from memplan.solving.limits import Limits
from memplan_solvers.ilp.linear import Linear
from memplan_solvers.ilp.mathopt import solve_mathopt
from memplan_solvers.search.subproblem import PROHIBITIVE, Subproblem


def chain_bound(subproblem: Subproblem, limits: Limits) -> int:
    """What every plan costs at least by the chain whose ops lack most in all; 0 where none lacks anything."""
    before = subproblem.ancestors
    after = [0] * subproblem.n
    for i in reversed(range(subproblem.n)):
        after[i] = reduce(or_, (after[j] | 1 << j for j in subproblem.succs[i]), 0)
    untouched = _certainly_live(subproblem, before, after)
    lacks = _lacks(subproblem, untouched)
    chain = _heaviest_chain(subproblem, lacks)
    if not chain:
        return 0
    program, unit = Linear(), subproblem.unit
    absent: dict[int, list[tuple[int, int]]] = {i: [] for i in chain}
    for s, mask in enumerate(untouched):
        if subproblem.reload[s] >= PROHIBITIVE or not subproblem.size[s]:
            continue
        touchers = sum(1 << k for k in subproblem.touches[s])
        gaps: list[int] = []
        last = -1  # the op of the chain at which it may be absent before this one
        for i in chain:
            if not mask >> i & 1:
                continue
            if last < 0 or after[last] & before[i] & touchers:
                gaps.append(program.binary(subproblem.reload[s]))
            absent[i].append((gaps[-1], subproblem.size[s] // unit))
            last = i
        if gaps and subproblem.store[s] and not subproblem.clean[s]:
            stored = program.binary(subproblem.store[s])
            for gap in gaps:
                program.add([(stored, 1), (gap, -1)], low=0)
    for i in chain:
        program.add(absent[i], low=-(-lacks[i] // unit))
    return solve_mathopt(program, limits).bound or 0


def _certainly_live(subproblem: Subproblem, before: tuple[int, ...], after: list[int]) -> list[int]:
    """Per storage, the ops that do not touch it and find it begun and still needed under every order, as bits."""
    everywhere, found = (1 << subproblem.n) - 1, []
    for s, ops in enumerate(subproblem.touches):
        present = subproblem.begun[s] and subproblem.inside[s]
        begun = everywhere if present else reduce(or_, (after[i] for i in ops), 0)
        needed = everywhere if subproblem.closing[s] else reduce(or_, (before[i] for i in ops), 0)
        found.append(begun & needed & ~sum(1 << i for i in ops))
    return found


def _lacks(subproblem: Subproblem, untouched: list[int]) -> list[int]:
    """Per op, the bytes by which what it touches and what is live beside exceed the capacity, under every order."""
    lacks = [z - subproblem.usable_capacity for z in subproblem.extra]
    for i, (saved, _) in subproblem.over.items():
        lacks[i] -= saved
    for s, mask in enumerate(untouched):
        mask |= sum(1 << i for i in subproblem.touches[s])
        while mask:
            lacks[(mask & -mask).bit_length() - 1] += subproblem.size[s]
            mask &= mask - 1
    return lacks


def _heaviest_chain(subproblem: Subproblem, lacks: list[int]) -> list[int]:
    """Ops that lack something, each a descendant of the one before, with the largest sum of what they lack."""
    weight = [max(0, lack) for lack in lacks]
    best, previous = [0] * subproblem.n, [-1] * subproblem.n
    for i, sources in enumerate(subproblem.preds):
        previous[i] = max(sources, key=lambda p: best[p], default=-1)
        best[i] = weight[i] + (best[previous[i]] if sources else 0)
    i = max(range(subproblem.n), key=lambda i: best[i], default=-1)
    chain = []
    while i >= 0:
        if weight[i]:
            chain.append(i)
        i = previous[i]
    return chain[::-1]
