"""Annealing over sequences of executions: from any sequence to cheap ones whose live bytes fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import log

import numpy as np

from memplan.solving.limits import Limits
from memplan_solvers.recompute.anneal_kernel import begin_with, run_rounds
from memplan_solvers.recompute.executions import make_executions, make_facts
from memplan_solvers.recompute.model import RecomputeModel

SLICES = 100
"""Parts of a cooling between which the clock is looked at, at least."""

SLICE_STEPS = 400_000
"""Executions that are judged between two looks at the clock, at most: some milliseconds."""

ROOM = 6
"""Times as many executions as ops that a sequence may have, beside a few."""

HOT, WARM, COLD = 1.0, 0.3, 0.005
"""Temperatures in mean costs of an op: where a cooling begins, from any sequence or from a good one, and where it ends."""

CHEAP, DEAR = 30.0, 5000.0
"""Prices of an excess by the whole capacity at one step, in mean costs of an op: at `HOT` and at `COLD`."""


class Annealing:
    """Coolings that go on from the best sequence that fits, as long as somebody wants more of them."""

    def __init__(self, model: RecomputeModel, seed: int, room: Sequence[int] | None = None) -> None:
        """`room`: bytes that may be live while each op is executed, the capacity where it is None."""
        self.model = model
        self._facts = make_facts(model, room)
        self._state = make_executions(self._facts, ROOM * model.n + 64, seed)
        self.best: tuple[int, ...] | None = None
        self.best_cost = 0

    def begin(self, sequence: Sequence[int]) -> None:
        """Go on from this sequence, which fits or not; one that is too long is left alone."""
        if len(sequence) <= self._state.sequence.shape[1]:
            begin_with(self._facts, self._state, np.array(sequence, np.int64))
            self._keep()

    def cool(self, rounds: int, limits: Limits, hot: float = HOT) -> None:
        """One cooling of so many rounds from the current sequence on, unless the limits cut it."""
        slices = max(SLICES, rounds * max(1, self.model.n) // SLICE_STEPS)
        heats = [hot * (COLD / hot) ** (k / slices) for k in range(slices + 1)]
        prices = [CHEAP * (DEAR / CHEAP) ** (log(heat / HOT) / log(COLD / HOT)) for heat in heats]
        for k in range(slices):
            if limits.spent():
                break
            run_rounds(
                self._facts, self._state, max(1, rounds // slices), *heats[k : k + 2], *prices[k : k + 2]
            )
        self._keep()

    def _keep(self) -> None:
        length = int(self._state.status[0]["best_length"])
        if not length:
            return
        found = tuple(map(int, self._state.best[:length]))
        cost = self.model.extra_cost(found)
        if self.best is None or cost < self.best_cost:
            self.best, self.best_cost = found, cost


def warm() -> None:
    """Call every kernel of the annealing."""
    chain = tuple((k - 1,) if k else () for k in range(4))
    model = RecomputeModel(
        capacity=3, sizes=(1, 2, 1, 2), producer=(0, 1, 2, 3), opening=(False,) * 4, closing=(False,) * 4,
        streamed=(False,) * 4, reads=chain, writes=tuple((k,) for k in range(4)), preds=chain,
        repeats=(True,) * 4, most=None, costs=(1, 1, 1, 1), unit=Fraction(1), program_order=False,
    )  # fmt: skip
    for program_order in (False, True):
        annealing = Annealing(replace(model, program_order=program_order), 0)
        annealing.begin(range(4))
        annealing.cool(100, Limits(float("inf")))
