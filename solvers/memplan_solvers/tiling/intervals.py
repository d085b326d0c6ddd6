"""The tiler `intervals`: regions are intervals of the program, tiled along the axes that windows slide along."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.ir.graph import Graph
from memplan.solving.limits import Limits
from memplan.solving.tiler import ROUNDING, Pose, Tiler
from memplan.tiling.record import Tiling
from memplan_solvers.tiling.accounts import Accounts
from memplan_solvers.tiling.paths import ways


class Intervals(Tiler):
    """For each number of bytes the cheapest way through the program in steps of one op or of a tiled region."""

    name = "intervals"

    def tilings(self, graph: Graph, pose: Pose, macs: float, limits: Limits) -> Sequence[Tiling]:
        """The front by the search's own accounting, the fewest bytes first."""
        accounts = Accounts(pose(graph))
        if not accounts.slid:
            return []
        most = (macs + ROUNDING) * accounts.flops.sum()
        return [
            way.tiling for way in reversed(ways(accounts, limits.spent)) if way.tiling and way.flops <= most
        ]
