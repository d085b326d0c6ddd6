"""Fronts of tilings: bytes against what is computed."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.solving.tiler import ROUNDING
from memplan.tiling.record import Tiling


@dataclass(frozen=True)
class TilingPoint:
    """A tiling and what it costs.

    Args:
        tiling: its regions, none of the untiled graph.
        peak: bytes, of a checked plan in the program's order.
        macs: what is computed, as a multiple of what the untiled graph computes.
        ops: how many ops there are.
        live_resident, live_external: the most bytes that are live at once, the model's inputs and outputs among them, and
            without them: the two ways in which others count.
    """

    tiling: Tiling
    peak: int
    macs: float
    ops: int
    live_resident: int
    live_external: int


@dataclass(frozen=True)
class TilingFront:
    """Tilings of one graph, none of which another one beats in bytes and in what is computed.

    Args:
        graph: the untiled one.
        points: by rising `macs` and falling `peak`, from the untiled graph, or what beats it, on.
        seconds: what the search and the planning took.
    """

    graph: Graph
    points: tuple[TilingPoint, ...]
    seconds: float

    def within(self, macs: float = inf, peak: int | None = None) -> TilingPoint:
        """The point of the least peak that computes at most `macs` times what the untiled graph does; or, where `peak` is
        given, the one that computes the least with at most so many bytes. OptionError where there is none."""
        fits = [p for p in self.points if p.macs <= macs + ROUNDING and (peak is None or p.peak <= peak)]
        if not fits:
            within = [p.peak for p in self.points if p.macs <= macs + ROUNDING]
            raise OptionError(
                f"no tiling of '{self.graph.name}' was found that needs {peak} bytes and computes {macs:g} times as much",
                f"the least was {min(within)} bytes" if within else "give a factor from 1",
            )
        return fits[-1] if peak is None else fits[0]
