"""Windows of a plan solved again with everything around them as it is: large-neighbourhood search.

A plan is an order and evictions: (step, storage) says that the storage leaves before the op of that step, while it is
still needed. What is present where a window begins is kept; what is present where it ends must be there again or be
paid for; what leaves in it and returns later leaves in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from memplan.solving.limits import Limits
from memplan_solvers.search.subproblem import Subproblem

BEAM = 300
"""States of a level that go on in a window."""

STATES = 60_000
"""States after which a window is left as it is."""

LENGTHS = (36, 72, 144)
"""Ops of a window; the longer ones once the shorter ones find nothing."""


@dataclass(frozen=True)
class PartialPlan:
    """One plan through a subproblem: ops by step, and what leaves before which step."""

    subproblem: Subproblem
    order: tuple[int, ...]
    evictions: tuple[tuple[int, int], ...]

    @cached_property
    def value(self) -> int:
        """What the evictions cost: a reload each, a store for the first of a storage that host does not have."""
        total, stored = 0, set(s for s, clean in enumerate(self.subproblem.clean) if clean)
        for _, s in sorted(self.evictions):
            total += self.subproblem.reload[s] + (0 if s in stored else self.subproblem.store[s])
            stored.add(s)
        return total

    @cached_property
    def steps(self) -> list[list[int]]:
        """Per storage, the steps that touch it."""
        found: list[list[int]] = [[] for _ in self.subproblem.size]
        for t, i in enumerate(self.order):
            for s in self.subproblem.touched[i]:
                found[s].append(t)
        return found

    @cached_property
    def leaves(self) -> list[list[int]]:
        """Per storage, the steps before which it leaves."""
        found: list[list[int]] = [[] for _ in self.subproblem.size]
        for t, s in sorted(self.evictions):
            found[s].append(t)
        return found

    def inside(self, s: int, t: int) -> bool:
        """Whether a storage that exists and is still needed is present between steps t - 1 and t."""
        last_touch = max((x for x in self.steps[s] if x < t), default=-1)
        last_leave = max((x for x in self.leaves[s] if x < t), default=-1)
        if last_touch < 0 and last_leave < 0:
            return self.subproblem.inside[s]
        return last_touch >= last_leave

    @property
    def reversed(self) -> PartialPlan:
        """The same plan through `subproblem.reversed`: what leaves in a gap leaves right after the touch that opens it there."""
        n = self.subproblem.n
        order = tuple(n - 1 - i for i in reversed(self.order))
        closed = [(min((x for x in self.steps[s] if x >= t), default=n), s) for t, s in self.evictions]
        return PartialPlan(self.subproblem.reversed, order, tuple(sorted((n - t, s) for t, s in closed)))


@dataclass(frozen=True)
class Window:
    """Steps [first, stop) of a plan as a subproblem. `leaving` are storages that must leave in it, whatever it does."""

    plan: PartialPlan
    first: int
    stop: int

    @cached_property
    def _kinds(self) -> tuple[list[int], list[int]]:
        """Storages that the window decides about, and those that only leave."""
        plan, subproblem = self.plan, self.plan.subproblem
        chosen: list[int] = []
        gone: list[int] = []
        for s, steps in enumerate(plan.steps):
            if steps and (
                steps[-1] < self.first
                and not subproblem.closing[s]
                or steps[0] >= self.stop
                and not subproblem.begun[s]
            ):
                continue
            begun = subproblem.begun[s] or bool(steps and steps[0] < self.first)
            needed = subproblem.closing[s] or bool(steps and steps[-1] >= self.stop)
            within = any(self.first <= t < self.stop for t in steps)
            if within:
                chosen.append(s)
            elif begun and needed and plan.inside(s, self.first):
                (chosen if plan.inside(s, self.stop) else gone).append(s)
        return chosen, gone

    @cached_property
    def leaving(self) -> frozenset[int]:
        """Storages of the subproblem that are still needed behind the window and not present there."""
        plan, subproblem = self.plan, self.plan.subproblem
        return frozenset(
            s
            for s in self._kinds[0]
            if (subproblem.closing[s] or plan.steps[s][-1] >= self.stop) and not plan.inside(s, self.stop)
        )

    @cached_property
    def subproblem(self) -> Subproblem:
        """The window as a subproblem of its own, storages numbered as in `_kinds`."""
        plan, whole = self.plan, self.plan.subproblem
        chosen = self._kinds[0]
        number = {s: k for k, s in enumerate(chosen)}
        ops = plan.order[self.first : self.stop]
        position = {i: k for k, i in enumerate(ops)}
        closing = tuple(
            s not in self.leaving
            and (whole.closing[s] or bool(plan.steps[s]) and plan.steps[s][-1] >= self.stop)
            for s in chosen
        )
        begun = tuple(whole.begun[s] or bool(plan.steps[s]) and plan.steps[s][0] < self.first for s in chosen)
        store = []
        for s in chosen:
            outside = any(not self.first <= t < self.stop for t in plan.leaves[s])
            store.append(0 if outside or whole.clean[s] or s in self.leaving else whole.store[s])
        over = {}
        for k, i in enumerate(ops):
            saved, sources = whole.over.get(i, (0, ()))
            dying = tuple(number[s] for s in sources if plan.steps[s][-1] < self.stop)
            if dying:
                over[k] = saved, dying
        return Subproblem(
            whole.capacity,
            ops,
            tuple(chosen),
            tuple(whole.size[s] for s in chosen),
            tuple(whole.reload[s] for s in chosen),
            tuple(store),
            tuple(tuple(number[s] for s in whole.touched[i]) for i in ops),
            tuple(whole.extra[i] for i in ops),
            over,
            tuple(tuple(position[p] for p in whole.preds[i] if p in position) for i in ops),
            begun,
            tuple(b and plan.inside(s, self.first) for b, s in zip(begun, chosen, strict=True)),
            (False,) * len(chosen),
            closing,
        )

    @cached_property
    def value(self) -> int:
        """What the plan pays in the window, but for what must leave in any case."""
        total, stored = 0, set()
        number = {s: k for k, s in enumerate(self._kinds[0])}
        for t, s in sorted(self.plan.evictions):
            if not self.first <= t < self.stop or s not in number:
                continue
            if s in self.leaving and not any(t <= x < self.stop for x in self.plan.steps[s]):
                continue
            k = number[s]
            total += self.subproblem.reload[k] + (0 if s in stored else self.subproblem.store[k])
            stored.add(s)
        return total

    def put_back(self, order: Sequence[int], evictions: Sequence[tuple[int, int]]) -> PartialPlan:
        """The plan with the window's steps done so."""
        plan, chosen = self.plan, self._kinds[0]
        steps = [self.subproblem.ops[k] for k in order]
        last: dict[int, int] = {}
        for t, i in enumerate(steps):
            for s in plan.subproblem.touched[i]:
                last[s] = self.first + t
        new = [(t, s) for t, s in plan.evictions if not self.first <= t < self.stop]
        new += [(self.first + t, chosen[s]) for t, s in evictions]
        new += [(last.get(s, self.first - 1) + 1, s) for s in self.leaving]
        new += [(self.first, s) for s in self._kinds[1]]
        full = (*plan.order[: self.first], *steps, *plan.order[self.stop :])
        return replace(plan, order=full, evictions=tuple(sorted(set(new))))


def improve_windows(plan: PartialPlan, limits: Limits, enough: int) -> PartialPlan:
    """A plan that costs less, or the same one: windows around evictions solved again until none gets better."""
    from memplan_solvers.search.engine import Engine
    from memplan_solvers.search.layered_search import search_layers

    for length in LENGTHS:
        settled: set[tuple[int, ...]] = set()
        changed = True
        while changed and plan.value > enough:
            changed = False
            first = 0
            while first < len(plan.order):
                if limits.spent():
                    return plan
                stop = min(first + length, len(plan.order))
                key = plan.order[first:stop]
                if key not in settled and any(first <= t < stop for t, _ in plan.evictions):
                    settled.add(key)
                    window = Window(plan, first, stop)
                    if window.value > 0:
                        found = search_layers(
                            Engine(window.subproblem, effort=2_000), window.value, limits, BEAM, most=STATES
                        )
                        if found.order is not None:
                            better = window.put_back(found.order, found.evictions)
                            if better.value < plan.value:
                                plan, changed = better, True
                if stop == len(plan.order):
                    break
                first += length // 2
        if length >= len(plan.order):
            break
    return plan
