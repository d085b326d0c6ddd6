"""From an order and stretches of presence to the residencies and moves of a plan.

Every solver decides, for a given order, in which stretches of steps each storage is present; what has
to be loaded and stored follows from that alone and is written down here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from memplan.base.units import align_up
from memplan.problem.plan import InPlace, Move, Plan, Residency
from memplan.problem.problem import Problem

Stretch = tuple[int, int]
"""Steps `[start, stop)` in which a storage is present without a break."""


@dataclass(frozen=True)
class Walk:
    """An order of ops, seen from the storages: who is touched when.

    order     op numbers by step
    touches   per step, the storages its op touches
    steps     per storage, the steps that touch it, ascending
    inplace   storage written over, by the storage that does
    whole     per storage, its stretches without any spill
    """

    problem: Problem
    order: tuple[int, ...]

    @cached_property
    def touches(self) -> tuple[tuple[int, ...], ...]:
        problem = self.problem
        return tuple(tuple({*problem.reads[i], *problem.writes[i]}) for i in self.order)

    @cached_property
    def steps(self) -> tuple[tuple[int, ...], ...]:
        found: list[list[int]] = [[] for _ in self.problem.storages]
        for t, touched in enumerate(self.touches):
            for s in touched:
                found[s].append(t)
        return tuple(map(tuple, found))

    @cached_property
    def inplace(self) -> dict[int, int]:
        """Storage written over, by the storage that does: rule 8 under this order, first come.

        No chain of pairs joins two pinned offsets.
        """
        pairs, taken = {}, set()
        place: dict[int, int | None] = {}
        for t, i in enumerate(self.order):
            if i in self.problem.inplace_pairs:
                written, sources = self.problem.inplace_pairs[i]
                own = self.problem.storages[written].offset
                for s in sources:
                    there = place.get(s, self.problem.storages[s].offset)
                    if self.steps[s][-1] == t and s not in taken and (own is None or there in (None, own)):
                        pairs[written] = s
                        taken.add(s)
                        place[written] = there if own is None else own
                        break
        return pairs

    @cached_property
    def whole(self) -> list[list[Stretch]]:
        """The stretches without any spill, per storage; streamed weights come and go."""
        n = self.problem.n
        stream = self.problem.options.weights == "stream"
        stretches: list[list[Stretch]] = []
        for s, steps in zip(self.problem.storages, self.steps, strict=True):
            if s.is_constant and stream:
                stretches.append([(t, t + 1) for t in steps])
                continue
            start = 0 if s.resident and s.is_input else steps[0]
            stop = n if s.resident and s.is_output else steps[-1] + 1
            stretches.append([(start, stop)])
        return stretches


@dataclass
class Block:
    """What the packer places: one residency, or a chain of in-place ones that share an offset.

    `offset` is where it is pinned to lie.
    """

    start: int
    stop: int
    size: int
    members: list[tuple[int, Stretch]] = field(default_factory=list)
    offset: int | None = None


def blocks_of(walk: Walk, stretches: Sequence[Sequence[Stretch]]) -> list[Block]:
    """One block per residency; in-place pairs whose stretches meet share one."""
    storages = walk.problem.storages
    blocks: list[Block] = []
    ending: dict[int, Block] = {}
    written_over = set(walk.inplace.values())
    # In order of start an overwritten storage's last block exists before the block that follows it.
    for s, stretch in sorted(
        ((s, x) for s, each in enumerate(stretches) for x in each),
        key=lambda p: (p[1][0], p[0] in walk.inplace and p[1][0] == walk.steps[p[0]][0], p[0]),
    ):
        start, stop = stretch
        source = walk.inplace.get(s)
        host = ending.get(source) if source is not None and start == walk.steps[s][0] else None
        if host is not None and host.stop == start + 1:
            host.stop = stop
            host.members.append((s, stretch))
            host.offset = storages[s].offset if host.offset is None else host.offset
        else:
            host = Block(start, stop, storages[s].size, [(s, stretch)], storages[s].offset)
            blocks.append(host)
        if s in written_over:
            ending[s] = host
    return blocks


def materialise(
    walk: Walk, blocks: Sequence[Block], offsets: Sequence[int]
) -> tuple[list[Residency], list[Move], list[InPlace]]:
    """Residencies, moves (step model: issue = due) and in-place pairs of the placed blocks.

    A storage is loaded where a stretch does not begin at its producer, and stored once, at the end of
    its first stretch, if it comes back later or must be in host in the end. Where ops are joined a storage begins with the
    first part; what is `hosted` before has its own residency in its place.
    """
    problem = walk.problem
    graph = problem.graph
    step = {i: t for t, i in enumerate(walk.order)} if problem.joined else {}
    begins = {s: min(step[i] for i in writers) for s, writers in problem.writers.items()}
    residencies: list[Residency] = []
    stretches: dict[int, list[Stretch]] = {}
    inplace: list[InPlace] = []
    for block, offset in zip(blocks, offsets, strict=True):
        for k, (s, (start, stop)) in enumerate(block.members):
            storage = problem.storages[s]
            begin = begins[s] if s in begins and start == walk.steps[s][0] else start
            residencies.append(problem.residency(s, begin, stop, int(offset)))
            stretches.setdefault(s, []).append((start, stop))
            if k:
                source = problem.storages[block.members[k - 1][0]]
                inplace.append(InPlace(start, storage.name, source.name))
    place = (
        {r.tensor: r for r in sorted(residencies, reverse=True, key=lambda r: r.start)}
        if problem.hosted
        else {}
    )
    for operand, part, writer, joined, first in problem.hosted:
        there, size = (
            place[joined],
            align_up(graph.tensor[operand].nbytes, problem.target.scratchpad.alignment),
        )
        start, stop = step[graph.producer[operand]], step[writer] + 1
        residencies.append(
            there._replace(tensor=operand, start=start, stop=stop, offset=there.offset + first, size=size)
        )
        inplace.append(InPlace(step[writer], part, operand))
    moves: list[Move] = []
    for s, parts in stretches.items():
        storage = problem.storages[s]
        parts.sort()
        if storage.resident:
            continue
        first = 0 if storage.in_host else 1
        moves.extend(problem.load(s, start, start) for start, _ in parts[first:])
        if first and (len(parts) > 1 or storage.is_output):
            moves.append(problem.store(s, parts[0][1], parts[0][1]))
    moves.sort(key=lambda m: (*problem.turn(m), m.tensor))
    return residencies, moves, inplace


def read_plan(problem: Problem, plan: Plan) -> tuple[Walk, list[Block], list[int]]:
    """Order, blocks and offsets of a valid plan: `materialise` makes the same plan of them."""
    op = {o.name: i for i, o in enumerate(problem.graph.ops)}
    walk = Walk(problem, tuple(op[name] for name in plan.schedule))
    blocks: list[Block] = []
    offsets: list[int] = []
    last: dict[str, Block] = {}
    overwritten = plan.overwritten
    inside = {each.operand: each.storage for each in problem.hosted}
    begins: dict[str, int] = {}
    for r in plan.residencies:
        if r.tensor in inside:
            begins[inside[r.tensor]] = min(r.start, begins.get(inside[r.tensor], r.start))
    rows = []
    for r in sorted(plan.residencies, key=lambda r: r.start):
        if r.tensor not in inside:  # what lies in a joined output before its first part begins that
            rows.append(r._replace(start=min(r.start, begins.pop(r.tensor, r.start))))
    for r in sorted(rows, key=lambda r: (r.start, r.tensor in overwritten)):
        member = problem.number[r.tensor], (r.start, r.stop)
        host = last.get(overwritten.get(r.tensor, ""))
        if host is not None and r.tensor not in last and host.stop == r.start + 1:
            host.stop = r.stop
            host.members.append(member)
        else:
            host = Block(r.start, r.stop, r.size, [member])
            blocks.append(host)
            offsets.append(r.offset)
        last[r.tensor] = host
    return walk, blocks, offsets


def stretches_of(problem: Problem, blocks: Sequence[Block]) -> list[list[Stretch]]:
    """The stretches of the blocks, per storage, ascending."""
    found: list[list[Stretch]] = [[] for _ in problem.storages]
    for block in blocks:
        for s, stretch in block.members:
            found[s].append(stretch)
    for parts in found:
        parts.sort()
    return found


def traffic(problem: Problem, stretches: Sequence[Sequence[Stretch]]) -> int:
    """Non-compulsory bytes of the stretches: every reload, and the stores that only reloads need."""
    total = 0
    for storage, parts in zip(problem.storages, stretches, strict=True):
        if len(parts) > 1:
            total += storage.nbytes * (len(parts) - 1)
            if not (storage.in_host or storage.is_output):
                total += storage.nbytes
    return total
