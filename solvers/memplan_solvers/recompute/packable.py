"""Sequences of executions that can be packed: annealed as if the capacity were a little smaller, by about what packing loses.

Whether a sequence packs is mostly chance where sizes are unequal, little as it leaves free: of sequences that cost nearly
the same some do and some do not. So many are tried, each for a short while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.recompute.addresses import Placed, place
from memplan_solvers.recompute.anneal import WARM, Annealing
from memplan_solvers.recompute.model import RecomputeModel

STEPS = 10_000_000
"""Executions that the annealing between two packings judges, about."""

SPARE = 0.02
"""Share of the capacity that is left free at first."""

LESS, MORE, MUCH_MORE = 0.7, 1.15, 2.0
"""What the share is multiplied by: where a sequence packed, cost too much or was not found; where it did not pack; and where
it did not as none before."""

LONGEST = 8
"""Times as many executions that are judged, at most, where so many were too few to find a sequence."""


@dataclass
class Packable:
    """The search for sequences that pack, near those that fit by bytes; it goes on with the share left free that it had last.

    `loosest`: as long as none has packed, the last one that did not, which leaves the most free.

    Args:
        problem, model: what is planned.
        rounds: of annealing between two packings, at most.
        seed: of the random numbers.
    """

    problem: Problem
    model: RecomputeModel
    rounds: int
    seed: int

    def __post_init__(self) -> None:
        model = self.model
        self._spare, self._longer, self._some_packed = SPARE, 1, False
        self.loosest: Placed | None = None
        self._least = [
            sum(model.sizes[s] for s in {*reads, *writes})
            for reads, writes in zip(model.reads, model.writes, strict=True)
        ]

    def near(
        self, sequence: Sequence[int], is_cheaper: Callable[[int], bool], tries: int, limits: Limits
    ) -> Iterator[Placed]:
        """Sequences with places within the capacity, of so many that are annealed in turns, unless the limits cut them.

        Args:
            sequence: what the first one is annealed from.
            is_cheaper: whether a sequence of that extra cost would be of use.
        """
        begin = sequence
        for _ in range(tries):
            if limits.spent():
                return
            found = self._annealed(begin, limits)
            if found is None:
                self._spare *= LESS
                self._longer = min(LONGEST, 2 * self._longer)
            elif not is_cheaper(self.model.extra_cost(found)):
                self._spare *= LESS
                begin = sequence
            elif (placed := place(self.problem, self.model, found, limits)).within(self.model.capacity):
                self._spare *= LESS
                self._some_packed, self.loosest = True, None
                begin = found
                yield placed
            elif self._some_packed:
                self._spare *= MORE
            else:
                self._spare *= MUCH_MORE
                begin, self.loosest = found, placed

    def _annealed(self, begin: Sequence[int], limits: Limits) -> tuple[int, ...] | None:
        """A sequence that leaves that share free wherever what an op touches lets it; None where none was found."""
        self.seed += 1
        room = int(self.model.capacity * (1 - self._spare))
        annealing = Annealing(self.model, self.seed, [max(room, least) for least in self._least])
        annealing.begin(begin)
        annealing.cool(min(self.rounds, self._longer * STEPS // max(100, self.model.n)), limits, WARM)
        return annealing.best
