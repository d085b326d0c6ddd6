"""Packing by constraint programming against every packing there is."""

from __future__ import annotations

import random
from collections import Counter

from memplan_solvers.offsets.conflicts import conflicts
from memplan_solvers.offsets.windows import solve_windows

from memplan.packing.check import check_packing
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from tests.solvers.offsets.instances import least_peak, tiny


def test_the_least_capacity_is_met_and_one_byte_less_is_refused() -> None:
    seen: Counter[Status] = Counter()
    seed = 0
    while sum(seen.values()) < 60:
        seed += 1
        buffers = [b for b in tiny(random.Random(seed)) if b.size][:6]
        if conflicts(buffers).exact or (least := least_peak(buffers)) is None:
            continue  # the search that everybody knows decides those
        status, offsets = solve_windows(buffers, least, Limits(20.0))
        assert status is Status.FEASIBLE and check_packing(buffers, offsets, least) == [], seed
        status, offsets = solve_windows(buffers, least - 1, Limits(20.0))
        assert (status, offsets) == (Status.INFEASIBLE, []), seed
        seen.update((Status.FEASIBLE, Status.INFEASIBLE))
