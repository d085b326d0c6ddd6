"""A tiling by blocks: ops that work row by row, as those of attention between its projections do, are executed some rows at
a time. Nothing is computed twice for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import NamedTuple

from memplan.ir.boxes import volume
from memplan.ir.graph import Graph
from memplan.ir.needs import cut_axes
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.tiler import Pose, Tiler
from memplan.tiling.derive import derive
from memplan.tiling.ranges import Boxes, Readers, asked, made_by, readers, widened
from memplan.tiling.record import Region, Tiling

LONGEST = 48
"""The most ops of one run: a transformer's block has about 30."""

COUNTS = (2, 4, 8, 16, 32, 64)
"""Numbers of blocks that are tried."""

GAIN = 0.95
"""More blocks are worth their ops if they take no more than so much of what fewer take."""

MOST_OPS = 10_000
"""No tiling has more tiles than that: so many ops are planned in seconds."""

SHARE = 0.9
"""Runs are cut that have to do with steps at which so much of the most bytes are live."""

PATIENCE = 4
"""How often further runs are cut, though the last ones have not helped yet: those of several layers help together."""


class Run(NamedTuple):
    """Ops from `first` to `last`, by program position, each of which works on the rows of a block when the last one makes
    the block of its result along `axis`."""

    first: int
    last: int
    axis: int


class Blocks(Tiler):
    """The tiling by blocks that brings the live bytes of the program's order down the most; none where none does."""

    name = "blocks"

    def tilings(self, graph: Graph, pose: Pose, macs: float, limits: Limits) -> Sequence[Tiling]:
        """One tiling at most, in which nothing is computed twice."""
        found = runs(graph)
        best: Tiling = ()
        least: float = max(live_bytes(pose(graph)), default=0)
        for count in COUNTS:
            tiling, most = _grown(graph, pose, found, count)
            if most <= GAIN * least:
                best, least = tiling, most
            if limits.spent():
                break
        return [best] if best else []


def runs(graph: Graph) -> list[Run]:
    """Runs that share no op, in the program's order, inside which the most bytes are written and read for the last time:
    they need no more room than a block of them has. Of those with as many bytes they hold the most ops, and are the most:
    what leaves a run is there whole until its last tile."""
    last_read = {
        graph.storage_of[name]: i for i, op in enumerate(graph.ops) for name in (*op.outputs, *op.inputs)
    }
    last_read |= dict.fromkeys(graph.output_storages, len(graph.ops))
    who = readers(graph, range(len(graph.ops)))
    best: list[tuple[tuple[int, int, int], Run | None]] = [((0, 0, 0), None)]
    for last in range(len(graph.ops)):
        worth = best[last]
        choice: tuple[tuple[int, int, int], Run | None] = (worth[0], None)
        for axis in _long_axes(graph, last):
            inside = 0
            for first, nbytes in _backwards(graph, who, last_read, last, axis):
                inside += nbytes
                bytes_before, ops_before, runs_before = best[first][0]
                value = (bytes_before + inside, ops_before + last - first + 1, runs_before + 1)
                if value > choice[0]:
                    choice = (value, Run(first, last, axis))
        best.append(choice)
    found, end = [], len(graph.ops)
    while end:
        run = best[end][1]
        found += [] if run is None else [run]
        end = end - 1 if run is None else run.first
    return found[::-1]


def live_bytes(problem: Problem) -> list[int]:
    """The bytes of what is live at each step of the program's order, less what is overwritten by it."""
    n = problem.n
    change = [0] * (n + 1)
    alive = spans(problem)
    for (start, stop), s in zip(alive, problem.storages, strict=True):
        change[start] += s.size
        change[stop] -= s.size
    live = list(accumulate(change[:n]))
    for i, (_, over) in problem.overwriting.items():
        live[i] -= max((problem.storages[k].size for k in over if alive[k][1] == i + 1), default=0)
    return live


def _long_axes(graph: Graph, last: int) -> list[int]:
    """Axes along which the op's result can be cut into as many blocks as are tried: rows, but no heads."""
    op = graph.ops[last]
    shape = graph.tensor[op.results[0]].shape or () if op.results else ()
    return [axis for axis in sorted(cut_axes(op)) if shape[axis] >= COUNTS[-1]]


def _backwards(
    graph: Graph, who: Readers, last_read: Mapping[str, int], last: int, axis: int
) -> Iterator[tuple[int, int]]:
    """Ops from `last` back to the first one of which halves of what that one makes need halves, with the bytes of each that
    no op behind `last` reads. Shared elements, what is needed whole and what only others read end the run."""
    full = made_by(graph, last)
    middle = (full[axis][1] + 1) // 2
    halves = [(*full[:axis], part, *full[axis + 1 :]) for part in ((0, middle), (middle, full[axis][1]))]
    made: list[Boxes] = [{last: half} for half in halves]
    for position in range(last, max(last - LONGEST, -1), -1):
        op, shape = graph.ops[position], made_by(graph, position)
        if position < last:
            for boxes in made:
                if (box := asked(graph, who, position, boxes)) is not None:
                    boxes[position] = widened(graph, position, box)
        if any(position not in boxes for boxes in made):
            return
        if sum(volume(boxes[position]) for boxes in made) != volume(shape):
            return
        inner = [name for name in op.results if last_read[graph.storage_of[name]] <= last]
        if len(op.results) > 1 and len(inner) < len(op.results):
            return  # no tile writes several results that are wanted outside
        yield position, 0 if op.view else sum(graph.tensor[name].nbytes for name in inner)


def _grown(graph: Graph, pose: Pose, found: Sequence[Run], count: int) -> tuple[Tiling, float]:
    """The best tiling with so many blocks, and the most bytes that are live in it: runs are added where most is live."""
    run_of = {graph.ops[k].name: run for run in found for k in range(run.first, run.last + 1)}
    best: Tiling = ()
    least = inf
    chosen, idle, problem = set[Run](), 0, pose(graph)
    live = live_bytes(problem)
    while idle < PATIENCE and (more := _concerned(problem, live, run_of) - chosen):
        chosen |= more
        if count * sum(run.last - run.first + 1 for run in chosen) > MOST_OPS:
            break
        tiling = tuple(_region(graph, run, count) for run in sorted(chosen))
        problem = pose(derive(graph, tiling))
        live, idle = live_bytes(problem), idle + 1
        if max(live) < least:
            best, least, idle = tiling, max(live), 0
    return best, least


def _region(graph: Graph, run: Run, count: int) -> Region:
    op = graph.ops[run.last]
    size = (graph.tensor[op.results[0]].shape or ())[run.axis]
    return Region((graph.ops[run.first].name, op.name), (run.axis,), (-(-size // count),))


def _concerned(problem: Problem, live: Sequence[int], run_of: Mapping[str, Run]) -> set[Run]:
    """The runs of the ops at the steps where the most is live, and of those that write or read what is live there."""
    most = max(live)
    high = [bytes_ >= SHARE * most for bytes_ in live]
    before = [0, *accumulate(high)]
    concerned = {i for i, is_high in enumerate(high) if is_high}
    for (start, stop), s in zip(spans(problem), problem.storages, strict=True):
        if before[stop] > before[start] and s.size > (1 - SHARE) ** 2 * most:
            concerned.update(s.touches)
    ops = (problem.graph.ops[i] for i in concerned)
    names = (op.name if op.tile is None else op.tile[0] for op in ops)
    return {run_of[name] for name in names if name in run_of}


def spans(problem: Problem) -> list[tuple[int, int]]:
    """From which step of the program's order each storage is there, and before which it is gone."""
    found = []
    for s in problem.storages:
        touches = s.touches or (0,)
        start = 0 if s.resident and s.in_host else touches[0]
        found.append((start, problem.n if s.resident and s.is_output else touches[-1] + 1))
    return found
