"""Searches for tilings as plug-ins: the base class, and all that are installed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from memplan.base.plugins import TILERS, load_plugin, plugins
from memplan.ir.graph import Graph
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.tiling.record import Tiling

Pose = Callable[[Graph], Problem]
"""Gives the problem of a graph: what of it is placed, and what may be overwritten."""


ROUNDING = 1e-9
"""Factors on what is computed that differ by no more are alike."""


class Tiler(ABC):
    """A search for tilings, found through the entry-point group `memplan.tilers`."""

    name: ClassVar[str]

    @abstractmethod
    def tilings(self, graph: Graph, pose: Pose, macs: float, limits: Limits) -> Sequence[Tiling]:
        """Tilings of the graph that may need the fewest bytes of those that compute as much, by whatever it counts.

        The caller derives and plans them, and drops what another one beats. Same graph and pose must give the same tilings
        unless the time ran out.

        Args:
            graph: what is to be tiled.
            pose: how the graph, and any that is derived from it, is to be planned.
            macs: tilings that compute more than so many times what the graph does are of no use.
            limits: time and cancellation; `limits.spent()` is asked at least every 0.1 s.
        """


def tilers() -> list[Tiler]:
    """All that are installed, by name."""
    return [load_plugin(point)() for point in plugins(TILERS).values()]
