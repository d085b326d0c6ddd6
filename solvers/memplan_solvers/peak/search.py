"""`minimum_peak_order`: the order with the least peak of live bytes, and what is proved about it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

from memplan.problem import Problem
from memplan.solver import Budget
from memplan_solvers.compiled import load
from memplan_solvers.peak.live import LiveModel, certain_bound, contracted, live_model, live_peak
from memplan_solvers.schedule import SCHEDULES

RULES = frozenset({"shrink", "path", "visited", "jump", "certain", "backward", "joined", "neck"})
"""What makes the search fast; each may be left out without changing a result (the tests do).

shrink   a ready op that fits and leaves no more bytes live than before is executed at once
path     so is a chain of ops, each enabled by the one before, up to its first return to the live bytes it began with
visited  a set of executed ops that failed once is not tried again
jump     a failed search proves the least transient it cut off, not just one byte more than its budget
certain  the search begins at what is live at some step under every order
joined   an op that works in place on what the op before it wrote, and nobody else wants, goes with that one
neck     what was done before a set of executed ops that every order comes through is not done again in another order
backward a search that takes long is tried from the other end too, last op first: one may need a thousandth of the other

The two safe moves rest on submodularity: for Q the ops moved to the front of a completion of D, and any part P of that
completion, live(D+P+Q) <= live(D+P) + live(D+Q) - live(D+(P and Q)), and no part of Q has fewer live bytes than
Q. The transient of an op that comes later obeys the same inequality, since its operands only count as live
throughout. Working in place needs more ops executed before, never fewer, so forwards it is never lost by a safe move;
backwards the moves that could lose it are not made. Turning time round leaves live bytes and inequality as they are.
"""

LARGE = 10_000
"""Ops beyond which only near-linear heuristics give the first order."""

EFFORT = 400_000
"""Evaluations of an op between two looks at the clock: some 20 ms."""

MOST_SEEN = 12_000_000
"""Sets that are remembered at most, 16 bytes each at a load of 3/4; beyond, the search goes on without."""

PATIENCE = 25_000_000
"""Evaluations that one budget may take in one direction before a larger budget is tried."""

FIRST_TRIES = 10
"""Limits that may stay open before evaluations that are counted are used up: several are worth more than one."""

FIRST_PATIENCE = 400_000
"""Evaluations after which the other direction has its turn; each turn is four times as long as the last."""


class PeakResult(NamedTuple):
    """An order, its peak of live bytes, a lower bound on that of every order, sets expanded by the search.

    `compile_s` are the seconds that went into compiling or loading the search, 0 where it was not needed.
    """

    order: tuple[int, ...]
    peak: int
    bound: int
    nodes: int
    compile_s: float = 0.0

    @property
    def proved(self) -> bool:
        """Whether no order has a smaller peak."""
        return self.peak <= self.bound


def minimum_peak_order(
    problem: Problem,
    budget: Budget,
    goal: int | None = None,
    rules: frozenset[str] = RULES,
    evaluations: float = float("inf"),
) -> PeakResult:
    """The order of least live peak without spills, or the best found by the time `budget` is spent.

    It also ends once peaks that it could neither reach nor refute took `evaluations` of an op in each direction: so
    what it answers before the time is up depends on the problem alone.

    With a `goal` the search ends as soon as a peak of at most `goal` is found or proved impossible. The bound is
    true whenever the search stops. Nothing is compiled where a heuristic order meets the bound. Exponential in
    the worst case; peaks between bound and best order are tried by bisection, one depth-first search each.
    """
    model = live_model(problem)
    if problem.options.order == "program":
        order = tuple(range(problem.n))
        peak = live_peak(model, order)
        return PeakResult(order, peak, peak, 0)
    bound = int(problem.min_capacity)
    enough = -1 if goal is None else goal
    order, peak = _first(problem, model, max(bound, enough), budget)
    if peak > max(bound, enough) and "certain" in rules:
        bound = max(bound, certain_bound(model))
    if _settled(peak, bound, goal) or budget.spent():
        return PeakResult(order, peak, bound, 0)
    mine = load("peak", budget)
    found = _bisect(Directions(model, rules), order, peak, bound, goal, mine, evaluations)
    return found._replace(compile_s=mine.started - budget.started)


def _settled(peak: int, bound: int, goal: int | None) -> bool:
    return peak <= bound or (goal is not None and (peak <= goal or bound > goal))


def _first(problem: Problem, model: LiveModel, enough: int, budget: Budget) -> tuple[tuple[int, ...], int]:
    """The best heuristic order and its peak; stops at one of at most `enough`."""
    best: tuple[tuple[int, ...], int] | None = None
    names = SCHEDULES if problem.n <= LARGE else ("program", "least_live")
    for name in names:
        order = SCHEDULES[name](problem)
        peak = live_peak(model, order)
        if best is None or peak < best[1]:
            best = order, peak
            budget.report("orders", peak, problem.free_bound)
        if best[1] <= enough or budget.spent():
            break
    assert best is not None  # SCHEDULES is not empty
    return best


def _bisect(
    search: Directions,
    order: tuple[int, ...],
    peak: int,
    bound: int,
    goal: int | None,
    budget: Budget,
    evaluations: float,
) -> PeakResult:
    """Close the gap: a found order lowers the peak, a failed search raises the bound."""
    low = bound  # the least budget worth trying: below it the search failed or gave up
    patience, limit = min(PATIENCE, evaluations / FIRST_TRIES), bound if goal is None else goal
    while not (_settled(peak, bound, goal) or evaluations <= 0 or budget.spent()):
        patience = max(1, min(patience, evaluations))
        outcome = search.within(limit, budget, int(patience))
        if isinstance(outcome, int):
            bound = low = max(bound, outcome if "jump" in search.rules else limit + 1)
        elif outcome:
            order = outcome
            peak = live_peak(search.model, order)
        else:
            evaluations -= patience
            if goal is None and limit < peak - 1:
                low = limit + 1  # hard: look for a better order above it first
            else:
                low, patience = bound, 8 * patience
        budget.report("peak", peak, bound, search.nodes)
        limit = min((low + peak) // 2, peak - 1) if goal is None else goal
    return PeakResult(order, peak, min(bound, peak), search.nodes)


def warm() -> None:
    """Call every kernel of the search."""
    from memplan_solvers.peak import kernel

    search = Search(LiveModel((), (), (), (), (), {}, (), ()))
    Try(search, 0).go_on(Budget(float("inf")), 1)
    kernel.enlarge(*search.np.zeros((2, 4, 2), search.np.int64))


class Directions:
    """The searches of one model from both ends."""

    def __init__(self, model: LiveModel, rules: frozenset[str] = RULES) -> None:
        self.model, self.rules = model, rules
        model, self.groups = (
            contracted(model) if "joined" in rules else (model, [[i] for i in range(model.n)])
        )
        ways = (model, model.reversed) if "backward" in rules else (model,)
        self.searches = [Search(way, rules) for way in ways]

    @property
    def nodes(self) -> int:
        """Sets expanded so far, in both directions."""
        return sum(search.nodes for search in self.searches)

    def within(self, limit: int, budget: Budget, patience: int, seed: int = 0) -> tuple[int, ...] | int:
        """An order whose live peak is at most `limit`, () if none was found in time, or the number of bytes
        that every order needs where it is proved that there is none: from whichever end is done first, turn by turn.

        `patience` is the number of evaluations allowed in each. `seed` varies which of equally good ops goes first.
        """
        tries = [Try(search, limit, seed) for search in self.searches]
        turn = min(FIRST_PATIENCE, patience)
        while True:
            for one in tries:
                outcome = one.go_on(budget, turn)
                if isinstance(outcome, tuple):
                    outcome = tuple(i for k in outcome for i in self.groups[k])
                if outcome or budget.spent():
                    return outcome
            if turn >= patience:
                return ()
            turn = min(4 * turn, patience)


class Search:
    """One model's arrays, and how many sets were expanded over them."""

    def __init__(self, model: LiveModel, rules: frozenset[str] = RULES) -> None:
        import numpy as np

        self.model, self.rules, self.nodes = model, rules, 0
        self.np = np
        self.keys = np.random.default_rng(0x6D656D).integers(-(2**63), 2**63 - 1, (max(model.n, 1), 2))
        self.total = self.flat([len(t) for t in model.touches])
        over = [model.over.get(i, (0, ())) for i in range(model.n)]
        self.dying = self.total * 0 if model.backward else self.total - 1
        self.fixed = (
            *self._rows(model.touched),
            self.flat(model.size),
            np.array(model.opening, dtype=np.bool_),
            np.array(model.closing, dtype=np.bool_),
            self.total,
            self.flat(model.extra),
            *self._rows([sources for _, sources in over]),
            self.flat([saved for saved, _ in over]),
            self.dying,
            *self._rows(model.rivals),
            *self._rows(model.succs),
            self.flat(necks(model) if "neck" in rules else []),
        )

    def flat(self, values: Sequence[int]) -> Any:
        return self.np.array(values, dtype=self.np.int64)

    def _rows(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Rows end to end, and where each begins."""
        at = self.np.zeros(len(rows) + 1, dtype=self.np.int64)
        at[1:] = self.np.cumsum([len(r) for r in rows])
        return at, self.flat(list(chain.from_iterable(rows)))


def necks(model: LiveModel) -> list[int]:
    """Numbers of ops after which every order has executed the same ones: up to one that all others come before or after.

    In an order of the ops, that is one none before which waits for none up to it, and none after which skips back
    over it. Linear.
    """
    order = topological(model)
    place = [0] * model.n
    for t, i in enumerate(order):
        place[i] = t
    reached = [min((place[j] for j in model.succs[i]), default=model.n) for i in order]
    needed = [max((place[j] for j in model.preds[i]), default=-1) for i in order]
    furthest = list(accumulate(reached, max))  # the last place that one of the first ops reaches first
    nearest = [*accumulate(reversed(needed), min)][::-1]
    return [t + 1 for t in range(model.n - 1) if (not t or furthest[t - 1] <= t) and nearest[t + 1] >= t]


def topological(model: LiveModel) -> list[int]:
    """The ops, each after those that it waits for."""
    waits = [len(before) for before in model.preds]
    order = [i for i, count in enumerate(waits) if not count]
    for i in order:
        for j in model.succs[i]:
            waits[j] -= 1
            if not waits[j]:
                order.append(j)
    return order


class Try:
    """One search under one limit, to be continued."""

    def __init__(self, search: Search, limit: int, seed: int = 0) -> None:
        from memplan_solvers.peak import kernel

        np, model, n = search.np, search.model, search.model.n
        self.search, self.limit, self.effort = search, limit, 0
        waits = search.flat([len(p) for p in model.preds])
        ready, place = np.zeros(n + 1, np.int64), np.zeros(n, np.int64)
        self.state = np.zeros(kernel.PASSED + 1, np.int64)
        self.state[kernel.LIVE] = sum(z for z, there in zip(model.size, model.opening, strict=True) if there)
        self.state[kernel.CUT] = kernel.NONE
        for i in np.flatnonzero(waits == 0):
            ready[self.state[kernel.READY]], place[i] = i, self.state[kernel.READY]
            self.state[kernel.READY] += 1
        rank = np.arange(n) if seed == 0 else np.random.default_rng(seed).permutation(n)
        self.trail, frames = np.zeros(n, np.int64), np.zeros((n + 1, 2), np.int64)
        self.candidates, self.seen = np.zeros((8 * n + 64, 2), np.int64), np.zeros((1 << 12, 2), np.int64)
        self.before = self.state, self.trail, np.zeros(n, np.int64), ready, place, waits, frames
        self.behind = np.zeros(len(model.size), np.int64), search.keys, rank, *search.fixed
        self.rules = tuple(rule in search.rules for rule in ("shrink", "path", "visited"))

    def go_on(self, budget: Budget, effort: int) -> tuple[int, ...] | int:
        """Search until `effort` evaluations of an op were made in all; see `Directions.within`."""
        from memplan_solvers.peak import kernel

        run: Any = kernel.run
        np, state, n = self.search.np, self.state, self.search.model.n
        before = int(state[kernel.NODES])
        end = kernel.PAUSED
        while end == kernel.FULL or (end == kernel.PAUSED and self.effort < effort and not budget.spent()):
            end = run(
                self.limit,
                EFFORT,
                *self.rules,
                MOST_SEEN,
                *self.before,
                self.candidates,
                self.seen,
                *self.behind,
            )
            if end != kernel.FULL:
                self.effort += EFFORT
                continue
            if state[kernel.CANDIDATES] + n > len(self.candidates):
                self.candidates = np.concatenate([self.candidates, np.zeros_like(self.candidates)])
            if 4 * (state[kernel.SEEN] + 1) > 3 * len(self.seen):
                old, self.seen = self.seen, np.zeros((4 * len(self.seen), 2), np.int64)
                kernel.enlarge(old, self.seen)
        self.search.nodes += int(state[kernel.NODES]) - before
        if end == kernel.FAILED:
            return int(state[kernel.CUT])
        if end != kernel.FOUND:
            return ()
        return tuple(self.trail[::-1].tolist() if self.search.model.backward else self.trail.tolist())
