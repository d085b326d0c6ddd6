"""What is known of a graph before any region of it is looked at."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memplan.ir.needs import cut_axes
from memplan.ir.parts import Access, Op
from memplan.problem.problem import Problem
from memplan.solving.blocks import live_bytes, spans
from memplan.tiling.slices import slice_axis

Bytes = NDArray[np.float64]
"""Bytes, or flops, by op, by candidate (a way to cut a region) or by threshold."""


class Accounts:
    """What is known of a problem before any region is looked at.

    Args:
        problem: of the graph without tiles.
    """

    def __init__(self, problem: Problem) -> None:
        self.graph, self.problem = problem.graph, problem
        self.untiled: Bytes = np.array(live_bytes(problem), dtype=float)
        self.flops: Bytes = np.array([float(op.flops or 0) for op in self.graph.ops])
        self.maker = {name: i for i, op in enumerate(self.graph.ops) for name in op.results}
        self.span = {
            s.name: span if s.name in self.maker else (-1, span[1])  # an input is there before any op
            for s, span in zip(problem.storages, spans(problem), strict=True)
        }
        self.size = {s.name: s.size for s in problem.storages}

    @cached_property
    def slid(self) -> frozenset[int]:
        """The two axes, by number, along which most ops slide windows, or enlarge."""
        count: dict[int, int] = {}
        for op in self.graph.ops:
            for access in (access for operand in op.needs for access in operand if access is not None):
                if access != Access(access.axis):
                    count[access.axis] = count.get(access.axis, 0) + 1
        return frozenset(sorted(count, key=lambda axis: (-count[axis], axis))[:2])

    def axes(self, last: int) -> list[list[int]]:
        """Along which axes together a region that ends with this op may be cut: those that windows slide along; any other."""
        op = self.graph.ops[last]
        shape = self.graph.tensor[op.results[0]].shape or () if op.results else ()
        cut = [axis for axis in sorted(cut_axes(op)) if shape[axis] > 1]
        slid = [axis for axis in cut if axis in self.slid]
        return [slid] * bool(slid) + [[axis] for axis in cut if axis not in slid]

    def placed(self, name: str) -> bool:
        """Whether the tensor takes bytes."""
        return self.graph.storage_of[name] in self.size

    def crossing(self, first: int, last: int) -> tuple[float, float]:
        """Bytes that are there whole throughout the ops from `first` to `last`: all, and of them what is made there."""
        at_all = made = 0.0
        for name, (start, stop) in self.span.items():
            if start < first < stop:
                at_all += self.size[name]
            elif first <= start <= last and stop > last + 1:
                made += self.size[name]
        return at_all + made, made

    def shape(self, position: int) -> tuple[int, ...]:
        """Of what an op makes first."""
        return self.graph.tensor[self.graph.ops[position].results[0]].shape or ()

    def channels(self, position: int) -> int:
        """How many slices an op's tiles can be cut into; 1 where they cannot."""
        axis = slice_axis(self.graph, self.graph.ops[position])
        return 1 if axis is None else self.shape(position)[axis]

    def stop(self, op: Op) -> int:
        """The first op behind the last one that reads what the op makes, through views too."""
        return max(self.span.get(self.graph.storage_of[name], (0, 0))[1] for name in op.results)
