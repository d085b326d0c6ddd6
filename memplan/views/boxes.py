"""A plan as boxes: residencies, joined parts inside their outputs, who made each, and the ways between them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from memplan.ir.graph import Graph
from memplan.judge.plan_view import PlanView
from memplan.judge.simulate import spill_moves
from memplan.problem.plan import Plan

ROLES = ("activation", "spilled", "input", "output", "constant", "workspace")
"""What a storage is to a plan: spilled before output before the kind of its tensor."""


class Box(NamedTuple):
    """A storage, or a part of a joined one, in bytes `[offset, offset + size)` of `memory` in steps `[start, stop)`.

    Args:
        whole: of a joined part, the storage in whose bytes it lies; else empty.
        execution: which execution of its op begins it, counted from 1; 0 where none does.
        arrival: the number of the move that begins it; -1 where none does.
    """

    tensor: str
    memory: str
    start: int
    stop: int
    offset: int
    size: int
    whole: str = ""
    execution: int = 0
    arrival: int = -1


class Way(NamedTuple):
    """Move number `move` leads from box number `source` to box number `destination`.

    It does so straight, or through a memory without addresses.
    """

    move: int
    source: int
    destination: int


class Over(NamedTuple):
    """In step `step` box number `output` is written over the bytes of box number `operand`, which ends there."""

    step: int
    output: int
    operand: int


class Scene(NamedTuple):
    """All that a picture of a plan shows.

    Args:
        boxes: the residencies in the plan's order, then the joined parts.
        ways: how boxes come from others; streamed constants, which come and go, have none.
        overs: what is written in place.
        spilled: per move, whether it is spill traffic.
        left: the storages that leave before their last use: they come back to a memory, or are stored without need.
    """

    graph: Graph
    plan: Plan
    boxes: list[Box]
    ways: list[Way]
    overs: list[Over]
    spilled: list[bool]
    left: set[str]

    def role(self, storage: str) -> str:
        """What the storage is to the plan: one of `ROLES`."""
        if storage in self.left:
            return "spilled"
        return "output" if storage in self.graph.output_storages else self.graph.tensor[storage].kind


def scene_of(graph: Graph, plan: Plan, view: PlanView | None = None) -> Scene:
    """The scene of a valid plan, linear in its size but for sorting; `view`: that of the plan, if it is known."""
    view = view or PlanView(graph, plan)
    boxes = _residencies(view)
    boxes += _parts(view, boxes)
    ways = _ways(view, boxes)
    spilled = spill_moves(graph, plan, view)
    left = {m.tensor for m, more in zip(plan.moves, spilled, strict=True) if more and not plan.is_load(m)}
    left |= {boxes[b].tensor for _, a, b in ways if boxes[a].memory == boxes[b].memory}
    return Scene(graph, plan, boxes, ways, _overs(plan, boxes), spilled, left)


def _residencies(view: PlanView) -> list[Box]:
    arrivals = {(m.tensor, m.destination, m.issue): i for i, m in enumerate(view.plan.moves)}
    boxes = []
    for r in view.plan.residencies:
        arrival = arrivals.get((r.tensor, r.memory, r.start), -1)
        execution = 0 if arrival >= 0 else _execution(view, r.tensor, r.start)
        boxes.append(Box(*r, execution=execution, arrival=arrival))
    return boxes


def _execution(view: PlanView, storage: str, step: int) -> int:
    """Which execution of its op writes the storage at the step, counted from 1; 0 where none does."""
    steps = view.written.get(storage, [])
    k = bisect_right(steps, step)
    return k if k and steps[k - 1] == step else 0


def _parts(view: PlanView, boxes: Sequence[Box]) -> Iterator[Box]:
    """The joined parts, each from its writer on until the joined op and its last reader are done."""
    places: dict[str, list[Box]] = defaultdict(list)
    for box in boxes:
        places[box.tensor].append(box)
    for op in view.graph.ops:
        for x, _ in op.joins if op.name in view.joined else ():
            whole, first = view.parts[x]
            start, nbytes = view.written[x][0], view.graph.tensor[x].nbytes
            stop = max((*view.steps[op.name], *view.uses.get(x, ()))) + 1
            for box in places[whole]:
                if box.start <= start < box.stop:
                    stop = min(stop, box.stop)
                    yield Box(x, box.memory, start, stop, box.offset + first, nbytes, whole, 1)


def _overs(plan: Plan, boxes: Sequence[Box]) -> list[Over]:
    begun: dict[tuple[str, int], list[int]] = defaultdict(list)
    ended: dict[tuple[str, int], list[int]] = defaultdict(list)
    for i, box in enumerate(boxes):
        begun[box.tensor, box.start].append(i)
        ended[box.tensor, box.stop].append(i)
    return [
        Over(step, b, a)
        for step, output, operand in plan.inplace
        for b in begun[output, step]
        for a in ended[operand, step + 1]
        if (boxes[a].memory, boxes[a].offset) == (boxes[b].memory, boxes[b].offset)
    ]


def _ways(view: PlanView, boxes: Sequence[Box]) -> list[Way]:
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i in sorted(range(len(boxes)), key=lambda i: boxes[i].start):
        places[boxes[i].tensor, boxes[i].memory].append(i)
    streamed = view.plan.options.weights == "stream"
    ways = []
    for i, box in enumerate(boxes):
        if box.arrival < 0 or (streamed and view.graph.tensor[box.tensor].kind == "constant"):
            continue
        source = view.plan.moves[box.arrival].source
        rows = places[box.tensor, source if source in view.addressed else box.memory]
        k = bisect_right(rows, box.start, key=lambda j: boxes[j].start)
        ways += [Way(box.arrival, j, i) for j in rows[max(0, k - 2) : k] if j != i][-1:]
    return ways
