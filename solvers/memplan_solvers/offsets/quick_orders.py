"""Orders in which many buffers are placed once, compiled; where one ends above the best so far it is given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Floats, Ints
from memplan_solvers.offsets.ejection_chains import EjectionChains, rank_by


class QuickOrder(NamedTuple):
    """Sort keys, smallest first, the first key first; ties are by number."""

    keys: Callable[[EjectionChains], tuple[Ints | Floats, ...]]
    best_fit: bool = False  # each in its smallest hole, not in the lowest


QUICK_ORDERS: dict[str, QuickOrder] = {
    "crowded": QuickOrder(lambda c: (c.weight(20.0, 0.2),)),
    "peak_latest": QuickOrder(lambda c: (-c.crowding, -c.size, -c.begin)),
    "peak_earliest_end": QuickOrder(lambda c: (-c.crowding, -c.size, c.end)),
    "size_start": QuickOrder(lambda c: (-c.size, c.begin)),
    "conflicts_size": QuickOrder(lambda c: (-c.degree * c.size.astype(float), -c.size)),
    "crowded_latest": QuickOrder(lambda c: (c.weight(20.0, 0.0), -c.begin)),
    "less_crowded_latest": QuickOrder(lambda c: (c.weight(5.0, 0.0), -c.begin)),
    "vela": QuickOrder(lambda c: (-c.crowding, -c.width, c.begin, -c.size)),  # where its hill climb begins
    "area": QuickOrder(lambda c: (-c.area, -c.size)),
    "conflicts_tight": QuickOrder(lambda c: (-c.degree, -c.size, c.begin), best_fit=True),
    "conflicts_size_tight": QuickOrder(lambda c: (-c.degree * c.size.astype(float), -c.size), best_fit=True),
    "conflicts": QuickOrder(lambda c: (-c.degree, -c.size)),
    "size": QuickOrder(lambda c: (-c.size,)),
    "duration": QuickOrder(lambda c: (-c.width,)),
    "start": QuickOrder(lambda c: (c.begin, -c.size)),
    "given": QuickOrder(lambda c: (np.zeros(c.size.size),)),
}
"""By name: first what is best on heavy-tailed traces, then what is best on those of training steps.

Of the latter, the largest that meet the fullest step go first, and of equal ones those that begin last: so they
lie in the reverse order of their ends. Mirrored in time, that is the earliest end.
"""


ALWAYS, QUICK_SHARE = 5, 0.1
"""Orders that are tried in any case, and the share of the time after which no other is: repair gains more.

An order that is no better is given up within a tenth of the time that a better one takes, mostly.
"""


def place_once(chains: EjectionChains, goal: int, below: int, limits: Limits) -> list[int] | None:
    """Offsets of the best of all orders, None where each ends at `below` or above; `goal` is enough.

    Where the time is up, the best so far. Repair begins with it from now on.
    """
    whole, until = chains.stages[-1], limits.seconds + QUICK_SHARE * limits.remaining_s
    for k, order in enumerate(QUICK_ORDERS.values()):
        began = limits.seconds
        if below <= goal or limits.spent() or (k >= ALWAYS and began > until):
            break
        rank = rank_by(*order.keys(chains))
        if (found := whole.first_fit(rank, below - 1, order.best_fit, limits)) is not None:
            offsets = np.empty_like(found)
            offsets[whole.members] = found
            below = whole.peak(found)
            chains.begin_with(offsets, limits.seconds - began)
    return None if chains.placed is None else chains.placed.tolist()
