"""Loads issued ahead of their due steps: list scheduling of copies over the space that a step plan leaves free.

The ops are played in order beside one queue of copies. Whenever the queue would run dry before an op ends, the next
load whose place is free until it is due, and that has a host copy, is issued at that op's step: the first by
due step, or one of the next few where the first finds no room. So no place is taken before the bus gets to it.
Room is counted in bytes, and everything is packed anew, or looked for between the addresses there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from memplan.problem.op_times import OpWork, op_work
from memplan.problem.plan import InPlace, Move, Residency
from memplan.problem.problem import Problem
from memplan_solvers.improve import Answer
from memplan_solvers.place import one_pass
from memplan_solvers.residency import Block, materialise
from memplan_solvers.timing import stretch_stores


class PrefetchPolicy(NamedTuple):
    """`reach`: loads, by due step, among which one that finds room is looked for; with 1 none goes before another.
    `ahead`: seconds of copying that may be issued beyond what the bus does beside the op that runs.
    """

    reach: int
    ahead: float


POLICIES = (PrefetchPolicy(1, 0.0), PrefetchPolicy(16, 0.0), PrefetchPolicy(1, float("inf")))
"""In due order; past loads that find no room; and as early as there is room, whether the bus gets to it or not."""

TIGHTER = (1.0, 0.95, 0.9, 0.8, 0.7)
"""Shares of the capacity within which loads are issued early by bytes until all packs under the whole."""


class Load(NamedTuple):
    """A copy that begins block `block`, which may be issued from step `floor` on and is due at step `due`."""

    block: int
    floor: int
    due: int
    seconds: float


class TimedAnswer(NamedTuple):
    """A placed answer with its copies in time."""

    order: tuple[int, ...]
    residencies: list[Residency]
    moves: list[Move]
    inplace: list[InPlace]


class PlacedCopies:
    """The copies of a placed answer, and the ops beside which they run.

    idle    per step, seconds of the bus that its op leaves
    loads   what may come early, by due step
    stores  per step from which a copy may start, the seconds and due steps of the stores
    """

    def __init__(self, answer: Answer) -> None:
        problem, host = answer.problem, answer.problem.target.host.bandwidth or 1.0
        self.answer = answer
        self.residencies, moves, self.inplace = materialise(answer.walk, answer.blocks, answer.offsets)
        self.moves = stretch_stores(problem, self.residencies, moves)
        work = op_work(problem.graph, problem.target, problem.options)
        self.idle = [_idle(problem, work[i]) for i in answer.walk.order]
        self.stores: dict[int, list[tuple[float, int]]] = {}
        loaded: set[tuple[str, int]] = set()
        reloadable: dict[str, int] = {}
        for move in self.moves:
            if problem.is_load(move):
                loaded.add((move.tensor, move.due))
            else:
                seconds = problem.storages[problem.number[move.tensor]].nbytes / host
                self.stores.setdefault(move.issue, []).append((seconds, move.due))
                reloadable[move.tensor] = move.due
        left: dict[str, int] = {}  # the step from which the storage is out of the scratchpad
        self.loads: list[Load] = []
        for k in sorted(range(len(answer.blocks)), key=lambda k: answer.blocks[k].start):
            block = answer.blocks[k]
            storage = problem.storages[block.members[0][0]]
            if (storage.name, block.start) in loaded:
                floor = max(left.get(storage.name, 0), reloadable.get(storage.name, 0))
                self.loads.append(Load(k, min(floor, block.start), block.start, storage.nbytes / host))
            for s, (_, stop) in block.members:
                left[problem.storages[s].name] = stop

    def issued(self, starts: dict[int, int], offsets: Sequence[int]) -> TimedAnswer:
        """The answer with the blocks of some loads begun at `starts`, and everything at `offsets`."""
        problem, residencies = self.answer.problem, []
        begin: dict[tuple[str, int], int] = {}
        for k, (block, offset) in enumerate(zip(self.answer.blocks, offsets, strict=True)):
            for member, (s, (start, stop)) in enumerate(block.members):
                storage = problem.storages[s]
                begin[storage.name, start] = early = start if member else starts.get(k, start)
                residencies.append(problem.residency(s, early, stop, int(offset)))
        moves = [
            move._replace(issue=begin[move.tensor, move.due]) if problem.is_load(move) else move
            for move in self.moves
        ]
        moves.sort(key=lambda m: (*problem.turn(m), m.due, m.tensor))
        return TimedAnswer(self.answer.walk.order, residencies, moves, self.inplace)


def _idle(problem: Problem, work: OpWork) -> float:
    """Seconds of the bus that an op leaves, where whatever may be placed is in the scratchpad."""
    pad, host = problem.target.scratchpad.bandwidth or 1.0, problem.target.host.bandwidth or 1.0
    fast = sum(nbytes for name, nbytes in work.operands.items() if name in problem.number)
    host_s = (sum(work.operands.values()) - fast) / host
    return max(work.compute_s - host_s, fast / pad) + problem.target.compute.overhead_s


def begun(blocks: Sequence[Block], starts: dict[int, int]) -> list[Block]:
    """The blocks, some begun earlier."""
    return [replace(b, start=starts.get(k, b.start)) for k, b in enumerate(blocks)]


class Space(ABC):
    """What is free, seen from one step after the other."""

    @abstractmethod
    def advance(self, t: int) -> None:
        """Go on to step `t`."""

    @abstractmethod
    def take(self, block: int, t: int) -> bool:
        """Begin a block at `t`, where the space has got to, if there is room for it until it was to begin."""


class Bytes(Space):
    """Free bytes, wherever they lie."""

    def __init__(self, blocks: Sequence[Block], capacity: int, n: int) -> None:
        self.blocks, self.free = blocks, [capacity] * n
        for b in blocks:
            for t in range(b.start, b.stop):
                self.free[t] -= b.size

    def advance(self, t: int) -> None:
        """Nothing to be done."""

    def take(self, block: int, t: int) -> bool:
        """Where the bytes are free at every step."""
        b = self.blocks[block]
        if min(self.free[t : b.start]) < b.size:
            return False
        for u in range(t, b.start):
            self.free[u] -= b.size
        return True


class Holes(Space):
    """Free places between blocks with addresses; a block that begins earlier may come to lie elsewhere."""

    def __init__(self, blocks: Sequence[Block], offsets: Sequence[int], capacity: int, n: int) -> None:
        self.blocks, self.offsets, self.capacity = blocks, list(offsets), capacity
        self.starting: list[set[int]] = [set() for _ in range(n + 1)]
        for k, b in enumerate(blocks):
            self.starting[b.start].add(k)
        self.active: set[int] = set()

    def advance(self, t: int) -> None:
        """What has ended goes, what begins comes."""
        self.active = {k for k in self.active if self.blocks[k].stop > t} | self.starting[t]

    def take(self, block: int, t: int) -> bool:
        """In the smallest hole that is there long enough."""
        b = self.blocks[block]
        others = self.active.union(*self.starting[t + 1 : b.stop]) - {block}
        taken = sorted((self.offsets[k], self.offsets[k] + self.blocks[k].size) for k in others)
        best, end = None, 0
        for low, high in (*taken, (self.capacity, self.capacity)):
            place = end if b.offset is None else b.offset
            if end <= place and place + b.size <= low and (best is None or low - end < best[0]):
                best = low - end, place
            end = max(end, high)
        if best is None:
            return False
        self.offsets[block] = best[1]
        self.starting[b.start].discard(block)
        self.active.add(block)
        return True


def list_schedule(
    copies: PlacedCopies, space: Space, policy: PrefetchPolicy, stop: Callable[[], bool]
) -> dict[int, int]:
    """Issue steps, by block, of the loads that come early; those of what was decided when `stop` said so."""
    starts: dict[int, int] = {}
    pending, queue = list(copies.loads), deque[list[float]]()  # queue: seconds left, due
    for t, idle in enumerate(copies.idle):
        if stop():
            break
        space.advance(t)
        queue.extend([s, due] for s, due in copies.stores.get(t, ()))
        while pending and pending[0].due <= t:
            queue.append([pending[0].seconds, t])
            del pending[0]
        waited = max((i for i, (_, due) in enumerate(queue) if due <= t), default=-1)
        for _ in range(waited + 1):  # the processor waits for what is due, and what comes before it
            queue.popleft()
        backlog = sum(s for s, _ in queue)
        while pending and backlog < idle + policy.ahead:
            found = next(
                (x for x in pending[: policy.reach] if x.floor <= t and space.take(x.block, t)), None
            )
            if found is None:
                break
            starts[found.block] = t
            pending.remove(found)
            queue.append([found.seconds, found.due])
            backlog += found.seconds
        while queue and idle > 0:
            copied = min(idle, queue[0][0])
            queue[0][0] -= copied
            idle -= copied
            if queue[0][0] <= 0:
                queue.popleft()
    return starts


def prefetched(answer: Answer, stop: Callable[[], bool]) -> Iterator[TimedAnswer]:
    """Timed versions of a placed answer, each made when it is asked for: as it is, loads early in its holes, and loads
    early by bytes, packed anew; only the first once `stop` says so.
    """
    copies, blocks, capacity = PlacedCopies(answer), answer.blocks, answer.problem.byte_limit
    yield copies.issued({}, answer.offsets)
    for policy in POLICIES if copies.loads else ():
        if stop():
            return
        holes = Holes(blocks, answer.offsets, capacity, answer.problem.n)
        starts = list_schedule(copies, holes, policy, stop)
        yield copies.issued(starts, holes.offsets)
        for share in TIGHTER:
            if stop():
                return
            starts = list_schedule(
                copies, Bytes(blocks, int(capacity * share), answer.problem.n), policy, stop
            )
            offsets, peak = one_pass(answer.problem, begun(blocks, starts), capacity, stop=stop)
            if offsets is not None and peak <= capacity:
                yield copies.issued(starts, offsets)
                break
