"""Coolings in turn, of which each goes on from what was found: first executions in program order, and in any where that is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from memplan.solving.limits import Limits
from memplan_solvers.recompute.anneal import HOT, WARM, Annealing
from memplan_solvers.recompute.model import RecomputeModel

FIRST_STEPS = 25_000_000
"""Executions that the first cooling judges, about; each one has twice as many rounds as the one before."""


class Coolings:
    """Annealing of a model, by turns.

    Args:
        model: what is annealed.
        starts: where to begin, which need not fit.
        rounds: in all.
        seed: of the random numbers.
        offer: is told of every sequence that fits.

    `done` counts rounds.
    """

    def __init__(
        self,
        model: RecomputeModel,
        starts: Sequence[Sequence[int]],
        rounds: int,
        seed: int,
        offer: Callable[[Sequence[int]], object],
    ) -> None:
        self._offer, self._most = offer, rounds
        self.done = 0
        self._rounds, self._turns = FIRST_STEPS // max(100, model.n), 0
        self._kept_order = Annealing(replace(model, program_order=True), seed)
        self._free = None if model.program_order else Annealing(model, seed)
        self._starts: dict[Annealing | None, list[Sequence[int]]] = {
            self._kept_order: [range(model.n)],
            self._free: list(starts)[::-1],
        }

    @property
    def finished(self) -> bool:
        """Whether all rounds are done."""
        return self.done >= self._most

    @property
    def in_program_order(self) -> Sequence[int] | None:
        """The best sequence whose first executions are in program order."""
        return self._kept_order.best

    def begin(self, sequence: Sequence[int]) -> None:
        """The next coolings begin with this sequence, whose first executions are in program order."""
        for starts in self._starts.values():
            starts.append(sequence)

    def cool(self, limits: Limits) -> None:
        """A cooling of each kind, unless the limits cut it."""
        rounds = min(self._rounds, max(1, self._most - self.done))
        self._turn(self._kept_order, rounds, limits)
        if self._free is not None:
            if self._kept_order.best is not None:
                self._free.begin(self._kept_order.best)
            self._turn(self._free, rounds, limits)
        self.done += rounds
        self._rounds *= 2
        self._turns += 1

    def _turn(self, annealing: Annealing, rounds: int, limits: Limits) -> None:
        starts, warm = self._starts[annealing], False
        if starts:
            annealing.begin(starts.pop())
        elif annealing.best is not None:
            annealing.begin(annealing.best)
            warm = self._turns % 2 == 1
        annealing.cool(rounds, limits, WARM if warm else HOT)
        if annealing.best is not None:
            self._offer(annealing.best)
