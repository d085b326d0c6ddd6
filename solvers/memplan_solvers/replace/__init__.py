"""Which storages leave the scratchpad when the bytes do not suffice: a rank per policy, highest leaves."""

from __future__ import annotations

from collections.abc import Callable

Rank = Callable[[int, int, int], float]
"""(steps until the next use, size in bytes, bytes its eviction costs) -> how gladly it is evicted."""

POLICIES: dict[str, Rank | None] = {
    # Cost per byte freed and step of absence: clean copies go first, then what is not needed for long.
    "cost": lambda distance, size, cost: distance * size / max(cost, 1),
    # The farthest next use (Belady 1966), kept in a heap.
    "belady": None,
    # Size-aware: what frees most bytes for longest.
    "size": lambda distance, size, cost: float(distance) * size * size / max(cost, 1),
    # The cheapest eviction first, whatever the distance: little is spilled early, more later.
    "cheap": lambda distance, size, cost: distance / (distance + 1) - cost,
}
"""Replacement policies by the name used in spec strings, the most promising first."""
