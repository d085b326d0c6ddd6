"""A set of executed ops that grows and shrinks by one op, with its live bytes, in numba.

Axes of all arrays of this package: `op` the ops of a live model, `storage` its storages, `candidate` the
candidates on the stack of a depth-first search, `word` the 64-bit words of a set of ops written as bits.
Bytes are bytes of scratchpad.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Ints, Records
from memplan_solvers.jit import inlined, inner, kernel
from memplan_solvers.peak.live import LiveModel

KEY = np.dtype([("a", np.int64), ("b", np.int64)])
"""128 random bits. The key of a set is the exclusive or of those of its ops and of the empty set."""

TOTALS = np.dtype(
    [
        ("count", np.int64),  # ops executed
        ("live", np.int64),  # bytes live after them
        ("ready", np.int64),  # ops that wait for none but executed ones
        ("key_a", np.int64),  # the key of the set
        ("key_b", np.int64),
    ]
)


class Rows(NamedTuple):
    """Rows of numbers end to end: row r is values[at[r] : at[r + 1]]."""

    at: Ints  # [rows + 1]
    values: Ints  # [entries of all rows]


class LiveArrays(NamedTuple):
    """A live model as arrays, with what follows from it alone."""

    touched: Rows  # per op, the storages that it writes or reads
    size: Annotated[Ints, "storage"]  # bytes
    opening: Annotated[Flags, "storage"]  # whether it is live from the start
    closing: Annotated[Flags, "storage"]  # whether it stays to the end
    touches: Annotated[Ints, "storage"]  # how many ops touch it
    extra: Annotated[Ints, "op"]  # bytes that are live during its step alone
    sources: Rows  # per op, the storages one of which must die with it for it to work in place
    saved: Annotated[Ints, "op"]  # bytes that working in place saves, 0 where it never does
    dying: Annotated[Ints, "storage"]  # how many executed ops touch it when the next one may write over it
    competitors: (
        Rows  # per op, the storages that another op may write over unless this one touches them first
    )
    succs: Rows  # per op, the ops that wait for it
    waits: Annotated[Ints, "op"]  # how many ops it waits for
    articulation: (
        Ints  # [articulation] ascending numbers of ops after which every order has executed the same ones
    )
    keys: Annotated[Records, KEY, "op + 1"]  # of each op; the last is that of the empty set


class ExecutedSet(NamedTuple):
    """A set of executed ops, in the order in which they were executed."""

    totals: Annotated[Records, TOTALS, "1"]
    trail: Annotated[Ints, "op"]  # the executed ops; entries from `count` on mean nothing
    changes: Annotated[Ints, "op"]  # bytes that each op of the trail added to the live ones
    ready: Annotated[Ints, "op + 1"]  # the ready ops; entries from `ready` on mean nothing
    place: Annotated[Ints, "op"]  # where each ready op is in `ready`
    waits: Annotated[Ints, "op"]  # how many ops outside the set it waits for
    touched: Annotated[Ints, "storage"]  # how many ops of the set touch it


def live_arrays(model: LiveModel, articulation: Sequence[int] = ()) -> LiveArrays:
    """The arrays of a model; the keys are the same in every process."""
    sources = [model.over.get(i, (0, ())) for i in range(model.n)]
    touches = integers(len(ops) for ops in model.touches)
    words = np.random.default_rng(0x6D656D).integers(-(2**63), 2**63 - 1, (model.n + 1, 2))
    return LiveArrays(
        touched=rows(model.touched),
        size=integers(model.size),
        opening=np.array(model.opening, np.bool_),
        closing=np.array(model.closing, np.bool_),
        touches=touches,
        extra=integers(model.extra),
        sources=rows([storages for _, storages in sources]),
        saved=integers(saved for saved, _ in sources),
        dying=np.zeros_like(touches) if model.backward else touches - 1,
        competitors=rows(model.competitors),
        succs=rows(model.succs),
        waits=integers(len(before) for before in model.preds),
        articulation=integers(articulation),
        keys=words.view(KEY).reshape(-1),
    )


def none_executed(model: LiveArrays) -> ExecutedSet:
    """The empty set."""
    n, m = len(model.extra), len(model.size)
    ready = np.flatnonzero(model.waits == 0)
    executed = ExecutedSet(
        totals=np.zeros(1, TOTALS),
        trail=np.zeros(n, np.int64),
        changes=np.zeros(n, np.int64),
        ready=np.zeros(n + 1, np.int64),
        place=np.zeros(n, np.int64),
        waits=model.waits.copy(),
        touched=np.zeros(m, np.int64),
    )
    executed.ready[: len(ready)], executed.place[ready] = ready, np.arange(len(ready))
    live = model.size[model.opening].sum()
    executed.totals[0] = (0, live, len(ready), model.keys["a"][-1], model.keys["b"][-1])
    return executed


def integers(values: Iterable[int]) -> Ints:
    """Integers as an array."""
    return np.array(list(values), np.int64)


def rows(parts: Sequence[Sequence[int]]) -> Rows:
    """Rows end to end."""
    at = np.zeros(len(parts) + 1, np.int64)
    at[1:] = np.cumsum([len(part) for part in parts])
    return Rows(at, integers(chain.from_iterable(parts)))


@inlined(allocates=False)
def price(model: LiveArrays, executed: ExecutedSet, i: int) -> tuple[int, int]:
    """Bytes live during op i, and the bytes it adds to the live ones."""
    begun = 0
    freed = 0
    for k in range(model.touched.at[i], model.touched.at[i + 1]):
        s = model.touched.values[k]
        count = executed.touched[s]
        if count == 0 and not model.opening[s]:
            begun += model.size[s]
        if count + 1 == model.touches[s] and not model.closing[s]:
            freed += model.size[s]
    during = executed.totals[0].live + begun + model.extra[i]
    for k in range(model.sources.at[i], model.sources.at[i + 1]):
        s = model.sources.values[k]
        if executed.touched[s] == model.dying[s]:
            during -= model.saved[i]
            break
    return during, begun - freed


@inner(allocates=False)
def is_blocked(model: LiveArrays, executed: ExecutedSet, i: int) -> bool:
    """Whether op i, moved to the front, would take from another op the possibility to work in place."""
    for k in range(model.competitors.at[i], model.competitors.at[i + 1]):
        if executed.touched[model.competitors.values[k]] == 0:
            return True
    return False


@inner(allocates=False)
def execute(model: LiveArrays, executed: ExecutedSet, i: int, change: int) -> None:
    """Add op i, which is ready and adds `change` bytes, to the set."""
    totals = executed.totals[0]
    for k in range(model.touched.at[i], model.touched.at[i + 1]):
        executed.touched[model.touched.values[k]] += 1
    totals.live += change
    totals.key_a ^= model.keys[i].a
    totals.key_b ^= model.keys[i].b
    executed.trail[totals.count] = i
    executed.changes[totals.count] = change
    totals.count += 1
    totals.ready -= 1
    last = executed.ready[totals.ready]
    executed.ready[executed.place[i]] = last
    executed.place[last] = executed.place[i]
    for k in range(model.succs.at[i], model.succs.at[i + 1]):
        j = model.succs.values[k]
        executed.waits[j] -= 1
        if executed.waits[j] == 0:
            executed.ready[totals.ready] = j
            executed.place[j] = totals.ready
            totals.ready += 1


@inner(allocates=False)
def undo(model: LiveArrays, executed: ExecutedSet, count: int) -> None:
    """Take ops back until `count` are left; the ready ops come back in the order in which they were."""
    totals = executed.totals[0]
    while totals.count > count:
        totals.count -= 1
        i = executed.trail[totals.count]
        totals.live -= executed.changes[totals.count]
        totals.key_a ^= model.keys[i].a
        totals.key_b ^= model.keys[i].b
        for k in range(model.touched.at[i], model.touched.at[i + 1]):
            executed.touched[model.touched.values[k]] -= 1
        for k in range(model.succs.at[i + 1] - 1, model.succs.at[i] - 1, -1):
            j = model.succs.values[k]
            if executed.waits[j] == 0:
                totals.ready -= 1
            executed.waits[j] += 1
        moved = executed.ready[executed.place[i]]
        executed.ready[totals.ready] = moved
        executed.place[moved] = totals.ready
        executed.ready[executed.place[i]] = i
        totals.ready += 1


@kernel(allocates=False)
def settle(model: LiveArrays, executed: ExecutedSet, done: Annotated[Ints, "word"]) -> None:
    """Let the set be `done`, written as bits; its ops count as executed in the order of their numbers."""
    totals = executed.totals[0]
    n: int = executed.waits.shape[0]
    for s in range(model.size.shape[0]):
        executed.touched[s] = 0
    for i in range(n):
        executed.waits[i] = model.waits[i]
    totals.count = 0
    totals.key_a = model.keys[n].a
    totals.key_b = model.keys[n].b
    for i in range(n):
        if (done[i >> 6] >> (i & 63)) & 1:
            executed.trail[totals.count] = i
            executed.changes[totals.count] = 0
            totals.count += 1
            totals.key_a ^= model.keys[i].a
            totals.key_b ^= model.keys[i].b
            for k in range(model.touched.at[i], model.touched.at[i + 1]):
                executed.touched[model.touched.values[k]] += 1
            for k in range(model.succs.at[i], model.succs.at[i + 1]):
                executed.waits[model.succs.values[k]] -= 1
    totals.ready = 0
    for i in range(n):
        if executed.waits[i] == 0 and (done[i >> 6] >> (i & 63)) & 1 == 0:
            executed.ready[totals.ready] = i
            executed.place[i] = totals.ready
            totals.ready += 1
    live = 0
    for s in range(model.size.shape[0]):
        begun = model.opening[s] or executed.touched[s] > 0
        needed = model.closing[s] or executed.touched[s] < model.touches[s]
        if begun and needed:
            live += model.size[s]
    totals.live = live
