"""Sequences of executions that can be packed: where places end above the capacity less is kept live, and only there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.recompute.addresses import Placed, overflows, place, place_harder
from memplan_solvers.recompute.anneal import WARM, Annealing
from memplan_solvers.recompute.model import RecomputeModel

PART = 0.4
"""Share of the time left that one packing, or the annealing between two, may take."""

TRIES = 6
"""Sequences that are packed at most, and attempts at the next one."""

STEPS = 10_000_000
"""Executions that the annealing between two packings judges, about."""


@dataclass
class Packable:
    """The search for a sequence that packs, near one that fits by bytes.

    Args:
        problem, model: what is planned.
        placed: a sequence that fits by bytes, with any places.
        seed: of the random numbers.
    """

    problem: Problem
    model: RecomputeModel
    placed: Placed
    seed: int

    def __post_init__(self) -> None:
        model, self._begin = self.model, self.placed
        self._least = [
            sum(model.sizes[s] for s in {*reads, *writes})
            for reads, writes in zip(model.reads, model.writes, strict=True)
        ]
        self._room = [model.capacity] * model.n

    @property
    def sequence(self) -> tuple[int, ...]:
        """The sequence near which it searches."""
        return self._begin.sequence

    def search(self, limits: Limits, is_cheaper: Callable[[int], bool], rounds: int) -> Placed | None:
        """Pack, and where that fails anneal with less room where places ended too high, in turns.

        Args:
            limits: of all of it.
            is_cheaper: whether a sequence of that extra cost would still be of use.
            rounds: of annealing between two packings, at most.

        Returns:
            A sequence with places within the capacity; None where none was found.
        """
        for k in range(TRIES):
            self.placed = place_harder(self.problem, self.placed, limits.share(PART))
            if self.placed.offsets is None or limits.cancelled():
                return None
            if self.placed.peak <= self.model.capacity:
                packed, self.placed = self.placed, self._begin
                self._loosen()
                return packed
            self._tighten(max(0.5, k / 4))
            found = self._annealed(min(rounds, STEPS // max(1, self.model.n)), limits.share(PART))
            if found is None or not is_cheaper(self.model.extra_cost(found)):
                self._loosen()
                return None
            self.placed = place(self.problem, self.model, found, limits)
        return None

    def _annealed(self, rounds: int, limits: Limits) -> tuple[int, ...] | None:
        """A sequence that fits the room, or as much more of it as proves to be needed; None without one."""
        for k in range(TRIES):
            self.seed += 1
            annealing = Annealing(self.model, self.seed, self._room)
            annealing.begin(self.placed.sequence)
            annealing.cool(rounds, limits.share(1 / (TRIES - k)), WARM)
            if annealing.best is not None:
                return annealing.best
            self._loosen()
        return None

    def _loosen(self) -> None:
        self._room = [(room + self.model.capacity) // 2 for room in self._room]

    def _tighten(self, share: float) -> None:
        """Where places end above the capacity, and live bytes would have to be less by as much, they may be so by this
        share of it.

        Other sequences lie at other places, so a half may do; it grows with each sequence that does not pack.
        """
        sequence = self.placed.sequence
        live, over = self.model.live_bytes(sequence), overflows(self.placed, self.model)
        for t, i in enumerate(sequence):
            if live[t] > self._room[i] - over[t]:
                self._room[i] = max(self._least[i], self._room[i] - ceil(over[t] * share))
