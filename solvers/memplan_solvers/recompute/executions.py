"""A sequence of executions under change, as arrays: what never changes, and the current and the proposed sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Floats, Ints, Records, Words
from memplan_solvers.jit import inlined, inner
from memplan_solvers.recompute.model import RecomputeModel

LIFE = np.dtype([("storage", np.int64), ("start", np.int64), ("last", np.int64), ("older", np.int64)])
"""A storage is live from step `start` to step `last`; `older` is the row of its life before, -1 without one."""

SIDE = np.dtype(
    [("length", np.int64), ("lives", np.int64), ("cost", np.float64), ("excess", np.float64)]
)  # fmt: skip
"""Of a sequence: its executions, the rows of its lives, its cost, and its bytes beyond the room summed over steps, in capacities."""

STATUS = np.dtype(
    [("side", np.int64), ("best_length", np.int64), ("best_cost", np.float64), ("price", np.float64)]
)
"""Which side is the current sequence, the best one that fits, and what an excess by the capacity costs at a step."""


class Facts(NamedTuple):
    """What never changes. Ops are numbered in an order in which each comes after what it reads.

    Storages that are live during one step alone count in `fleeting` and stand in no list.
    """

    first_read: Annotated[Ints, "ops + 1"]  # where the row of each op begins in `reads`
    reads: Annotated[Ints, "reads"]  # storages
    first_write: Annotated[Ints, "ops + 1"]
    writes: Annotated[Ints, "writes"]  # storages
    first_pred: Annotated[Ints, "ops + 1"]
    preds: Annotated[Ints, "predecessors"]  # ops of which one execution comes before each of the op
    fleeting: Annotated[Ints, "ops"]  # bytes live during the op's step alone
    cost: Annotated[Floats, "ops"]  # in mean costs of an op
    repeats: Annotated[Flags, "ops"]  # whether it may be executed again
    fixed: Annotated[Flags, "ops"]  # whether its first execution stays where it stands among first executions
    size: Annotated[Ints, "storages"]  # bytes
    producer: Annotated[Ints, "storages"]  # -1: given
    opening: Annotated[Flags, "storages"]
    closing: Annotated[Flags, "storages"]
    room: Annotated[Ints, "ops"]  # bytes that may be live while the op is executed
    most: int  # executions of an op
    capacity: int  # bytes


class Executions(NamedTuple):
    """The current and the proposed sequence, one side each, and what is scratch."""

    sequence: Annotated[Ints, "2, steps"]
    live: Annotated[Ints, "2, steps"]  # bytes
    lives: Annotated[Records, LIFE, "2, rows"]
    newest: Annotated[Ints, "2, storages"]  # row of the last life, -1 without one
    first: Annotated[Ints, "2, ops"]  # step of the first execution
    times: Annotated[Ints, "2, ops"]  # executions
    sides: Annotated[Records, SIDE, "2"]
    best: Annotated[Ints, "steps"]
    status: Annotated[Records, STATUS, "1"]
    needed: Annotated[Flags, "storages"]  # scratch
    dropped: Annotated[Flags, "steps"]  # scratch
    marked: Annotated[Flags, "ops"]  # scratch: what is to be inserted
    stack: Annotated[Ints, "ops"]  # scratch
    random: Annotated[Words, "1"]  # state of the random numbers


def make_facts(model: RecomputeModel, room: Sequence[int] | None = None) -> Facts:
    """The model as arrays; `room` are the bytes that may be live while each op is executed, the capacity where it is None."""
    used = {s for reads in model.reads for s in reads}
    brief = [model.streamed[s] or not (s in used or model.closing[s]) for s in range(len(model.sizes))]
    fleeting = [
        sum(model.sizes[s] for s in (*reads, *writes) if brief[s])
        for reads, writes in zip(model.reads, model.writes, strict=True)
    ]
    mean = sum(model.costs) / max(1, model.n) or 1.0
    read_from = {
        (p, i) for i, reads in enumerate(model.reads) for s in reads if (p := model.producer[s]) >= 0
    }
    sticky = {p for i, preds in enumerate(model.preds) for p in preds if (p, i) not in read_from}
    first_read, reads = _rows([[s for s in row if not brief[s]] for row in model.reads])
    first_write, writes = _rows([[s for s in row if not brief[s]] for row in model.writes])
    first_pred, preds = _rows(model.preds)
    return Facts(
        first_read, reads, first_write, writes, first_pred, preds,
        fleeting=np.array(fleeting, np.int64),
        cost=np.array([cost / mean for cost in model.costs]),
        repeats=np.array(model.repeats, np.bool_),
        fixed=np.array([model.program_order or i in sticky for i in range(model.n)], np.bool_),
        size=np.array(model.sizes, np.int64),
        producer=np.array(model.producer, np.int64),
        opening=np.array(model.opening, np.bool_),
        closing=np.array(model.closing, np.bool_),
        room=np.array(room if room is not None else [model.capacity] * model.n, np.int64),
        most=model.most or 1 << 40,
        capacity=model.capacity,
    )  # fmt: skip


def _rows(rows: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    """Where each row begins, and the rows one after another."""
    first = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=first[1:])
    return first, np.array([s for row in rows for s in row], np.int64)


def make_executions(facts: Facts, steps: int, seed: int) -> Executions:
    """Room for sequences of so many steps; see `begin_with`."""
    ops, storages = len(facts.cost), len(facts.size)
    rows = storages + steps * int(max(np.diff(facts.first_write), default=0)) + 1
    return Executions(
        sequence=np.zeros((2, steps), np.int64),
        live=np.zeros((2, steps), np.int64),
        lives=np.zeros((2, rows), LIFE),
        newest=np.zeros((2, storages), np.int64),
        first=np.zeros((2, ops), np.int64),
        times=np.zeros((2, ops), np.int64),
        sides=np.zeros(2, SIDE),
        best=np.zeros(steps, np.int64),
        status=np.array([(0, 0, np.inf, 100.0)], STATUS),
        needed=np.zeros(storages, np.bool_),
        dropped=np.zeros(steps, np.bool_),
        marked=np.zeros(ops, np.bool_),
        stack=np.zeros(ops, np.int64),
        random=np.array([(seed + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1], np.uint64),
    )


@inner(allocates=False)
def judge(facts: Facts, state: Executions, side: int, most: float) -> bool:
    """Drop executions that nobody needs, and work out lives, live bytes, cost and excess.

    False if the sequence makes no sense or costs more than `most`: then there is nothing but a cost.
    """
    _count(facts, state, side)
    _drop(facts, state, side)
    about, sequence, live = state.sides[side], state.sequence[side], state.live[side]
    length = about.length
    about.cost = 0.0
    for t in range(length):
        about.cost += facts.cost[sequence[t]]
    if about.cost > most:
        return False
    about.lives = 0
    live[:length] = 0
    for s in range(len(facts.size)):
        state.newest[side, s] = -1
        if facts.opening[s]:
            begin_life(state, side, s, 0)
    for t in range(length):
        i = sequence[t]
        for k in range(facts.first_read[i], facts.first_read[i + 1]):
            s = facts.reads[k]
            if state.newest[side, s] < 0:
                if facts.producer[s] >= 0:
                    return False
                begin_life(state, side, s, t)
            state.lives[side, state.newest[side, s]].last = t
        for k in range(facts.first_write[i], facts.first_write[i + 1]):
            begin_life(state, side, facts.writes[k], t)
    _add_up(facts, state, side)
    return True


@inlined(allocates=False)
def copy(source: Ints, start: int, stop: int, target: Ints, to: int) -> None:
    """Copy `source[start:stop]` to where `target[to:]` begins; they share no memory."""
    for k in range(stop - start):
        target[to + k] = source[start + k]


@inlined(allocates=False)
def begin_life(state: Executions, side: int, s: int, t: int) -> None:
    """Storage `s` is live from step t on."""
    row = state.sides[side].lives
    state.sides[side].lives = row + 1
    life = state.lives[side, row]
    life.storage = s
    life.start = life.last = t
    life.older = state.newest[side, s]
    state.newest[side, s] = row


@inlined(allocates=False)
def _count(facts: Facts, state: Executions, side: int) -> None:
    """Where each op is executed first, and how often each is."""
    for i in range(len(facts.cost)):
        state.times[side, i] = 0
    for t in range(state.sides[side].length):
        i = state.sequence[side, t]
        if state.times[side, i] == 0:
            state.first[side, i] = t
        state.times[side, i] += 1


@inlined(allocates=False)
def _drop(facts: Facts, state: Executions, side: int) -> None:
    """Leave out executions whose results nobody reads, as long as each op is executed once."""
    sequence, needed, dropped = state.sequence[side], state.needed, state.dropped
    for s in range(len(facts.size)):
        needed[s] = facts.closing[s]
    some = False
    for t in range(state.sides[side].length - 1, -1, -1):
        i = sequence[t]
        wanted = state.times[side, i] == 1 or (facts.fixed[i] and state.first[side, i] == t)
        for k in range(facts.first_write[i], facts.first_write[i + 1]):
            wanted |= needed[facts.writes[k]]
            needed[facts.writes[k]] = False
        dropped[t] = not wanted
        if wanted:
            for k in range(facts.first_read[i], facts.first_read[i + 1]):
                needed[facts.reads[k]] = True
        else:
            some = True
            state.times[side, i] -= 1
    if some:
        kept = 0
        for t in range(state.sides[side].length):
            if not dropped[t]:
                sequence[kept] = sequence[t]
                kept += 1
        state.sides[side].length = kept
        _count(facts, state, side)


@inlined(allocates=False)
def _add_up(facts: Facts, state: Executions, side: int) -> None:
    """The live bytes of each step from the lives, and what of them is beyond the room."""
    about, live = state.sides[side], state.live[side]
    length = about.length
    for row in range(about.lives):
        life = state.lives[side, row]
        s = life.storage
        if facts.closing[s] and state.newest[side, s] == row:
            life.last = length - 1
        live[life.start] += facts.size[s]
        if life.last + 1 < length:
            live[life.last + 1] -= facts.size[s]
    excess, total = 0, 0
    for t in range(length):
        total += live[t]
        i = state.sequence[side, t]
        live[t] = total + facts.fleeting[i]
        excess += max(0, live[t] - facts.room[i])
    about.excess = excess / facts.capacity if facts.capacity else excess
