"""Cuts and guards added where the decoded plan overflows, until it fits or the time is up."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.solving.limits import Limits
from memplan_solvers.ilp.mathopt import solve_mathopt
from memplan_solvers.recompute.cuts import CutProgram
from memplan_solvers.recompute.free_cut import free_cut
from memplan_solvers.recompute.model import RecomputeModel

MOST_ADDED = 3
"""Guards and cuts that are added after each solution."""

PROGRAM_SHARE, MOST_SHARE = 0.25, 0.5
"""Share of the time left that a program over cuts may take before annealing has its turn again, at first and at most."""


class CutSearch:
    """Programs over ever more cuts, for first executions in the order of their numbers.

    `bound` is a true lower bound, in the model's unit; `infeasible`: it is proved that there is no sequence; `finished`:
    the search can do no more, since the last plan is optimal and fits or overflows at no new cut or guard, or has solved
    so many programs; `solved`: the last program was solved to its end. A program that is cut before anything new is known
    is solved again in twice the share of the time.
    """

    def __init__(self, model: RecomputeModel, most: int) -> None:
        self.model = model
        self.bound = 0
        self.infeasible = False
        self.finished = most <= 0
        self.solved = True
        self._left = most
        self._share = PROGRAM_SHARE
        live = model.live_bytes(range(model.n))
        self._cuts = {max(range(model.n), key=live.__getitem__)} if model.n else set[int]()
        self._guards, self._ends = set[tuple[int, int]](), set[int]()

    def steps(self, most: int, limits: Limits, incumbent: Sequence[int] | None) -> list[list[int]]:
        """So many steps, or fewer if the search is finished or a program is cut before it is solved: what they say."""
        found = list[list[int]]()
        for _ in range(most):
            if self.finished or limits.spent():
                break
            sequence = self.step(limits, incumbent)
            if sequence is not None:
                found.append(sequence)
            if not self.solved:
                break
        return found

    def step(self, limits: Limits, incumbent: Sequence[int] | None) -> list[int] | None:
        """Solve the program over the cuts so far: the sequence that it says, which may overflow; None without one.

        Cuts for the next step are chosen where it overflows.
        """
        program = CutProgram(self.model, sorted(self._cuts), self._guards, self._ends)
        hint = program.encode(incumbent) if incumbent is not None else None
        if hint is not None and not program.linear.holds(hint):
            hint = None
        found = solve_mathopt(program.linear, limits.share(self._share), hint=hint)
        self.infeasible = self.infeasible or found.infeasible
        if found.bound is not None:
            self.bound = max(self.bound, found.bound)
        self.solved = found.infeasible
        if found.x is None or found.infeasible:
            self.finished = self.infeasible
            return None
        sequence = program.decode(found.x)
        self._left -= 1
        refined = self._refine(sequence)
        self.solved = found.bound is not None and found.bound >= program.linear.value(found.x)
        self._share = PROGRAM_SHARE if refined else min(MOST_SHARE, 2 * self._share)
        self.finished = self._left <= 0 or (self.solved and not refined)
        return sequence

    def _refine(self, sequence: Sequence[int]) -> bool:
        """Add cuts, guards and ends where the sequence overflows, the worst steps first; whether any is new."""
        live = self.model.live_bytes(sequence)
        first: dict[int, int] = {}
        for t, i in enumerate(sequence):
            first.setdefault(i, t)
        over = [t for t in range(len(sequence)) if live[t] > self.model.capacity]
        over.sort(key=lambda t: (-live[t], t))
        added = 0
        for t in over:
            added += self._cut_at(sequence, first, t)
            if added == MOST_ADDED:
                break
        return added > 0

    def _cut_at(self, sequence: Sequence[int], first: dict[int, int], t: int) -> bool:
        """Add the guard of the execution at step t if there is none, else the end of its segment, else a cut near it; whether
        that is new."""
        op = sequence[t]
        cut = max((c for c in self._cuts if first[c] <= t), default=None)
        if first[op] == t and op not in self._cuts:
            self._cuts.add(op)
            return True
        follows = any(first[c] > t for c in self._cuts)
        if first[op] != t and cut is not None and follows and (cut, op) not in self._guards:
            self._guards.add((cut, op))
            return True
        is_last = cut is not None and cut + 1 in self._cuts and first[cut + 1] == t + 1
        if cut is not None and is_last and cut not in self._ends:
            self._ends.add(cut)
            return True
        near = [i for i in range(max(0, op), self.model.n) if i not in self._cuts]
        near.sort(key=lambda i: (abs(first[i] - t), i))
        if near:
            self._cuts.add(near[0])
        self._guards = {(c, r) for c, r in self._guards if c in self._cuts}
        return bool(near)


class FreeCuts:
    """The program over one cut after another, where the order is free; `bound` and `infeasible` as of `CutSearch`."""

    def __init__(self, model: RecomputeModel, most: int) -> None:
        self.model = model
        self.bound = 0
        self.infeasible = False
        live = model.live_bytes(range(model.n))
        self._left = sorted(range(model.n), key=lambda i: (-live[i], i))[:most]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be done."""
        return self.infeasible or not self._left

    def step(self, limits: Limits) -> None:
        """Solve the program over the next cut."""
        found = solve_mathopt(free_cut(self.model, self._left.pop(0)), limits.share(PROGRAM_SHARE))
        self.infeasible = self.infeasible or found.infeasible
        if found.bound is not None:
            self.bound = max(self.bound, found.bound)
