"""A level of states, in numba: its tables, how states and sets enter them, and what is still to be paid from each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.peak.executed import execute, price, undo
from memplan_solvers.search.kernel import first_bit, mix, same
from memplan_solvers.search.least_peak import raise_least_peak

MINIMAL, BELADY, FREE, STORES, LOADS, GOAL, ALIKE = range(7)
"""Entries of `rules`, see `levels.RULES`; ALIKE: all that is live needs a store, so the dirty peak is the live one."""

STATES, SETS, BEST, PARENT, MOVE, CUT = range(6)
"""Entries of `made`: children; distinct sets of executed ops among them; the best goal's value, parent and op; the
least f that was pruned."""

NO_FRONT = -2
LEFT_OUT = 1 << 61


class Points(NamedTuple):
    """Pairs of storages and a price by set of executed ops: which pairs [first, last) are each set's own, in ascending
    order of price; per pair the storages and the price. Without entries where nothing is known."""

    first: Any
    last: Any
    inside: Any
    cost: Any


class Front(NamedTuple):
    """What loads alone and stores alone cost from each set of executed ops on, at one level: see `frontier`.

    Per set of executed ops: its words, and the slot of its hash that names it. No sets where nothing is known.
    """

    words: Any
    slots: Any
    loads: Points
    stores: Points


class Level(NamedTuple):
    """States of one level. Per state: its row, what was paid, its parent, its last op, its set's number; per distinct
    set of executed ops: its words, lower bounds on the live and the dirty peak to come, live and dirty bytes, the reload
    of all that is live, its number in the frontier, and whether the rest needs no spill."""

    row: Any
    paid: Any
    parent: Any
    move: Any
    set_of: Any
    words: Any
    low: Any
    low_dirty: Any
    live: Any
    live_dirty: Any
    reload: Any
    front: Any
    goal: Any
    slots: Any
    set_slots: Any
    made: Any
    goal_row: Any


@kernel
def find_set(level, done, width):  # type: ignore[no-untyped-def]
    """The number of a set of executed ops; -1 and its free slot where it is new."""
    mask = level.set_slots.shape[0] - 1
    slot = mix(done, 0, width) & mask
    while level.set_slots[slot] >= 0:
        if same(level.words[level.set_slots[slot]], done, 0, width):
            return level.set_slots[slot], slot
        slot = (slot + 1) & mask
    return np.int64(-1), slot


@inner
def find_front(front, done, width):  # type: ignore[no-untyped-def]
    """The number of a set in a frontier; NO_FRONT without a frontier, -1 where it was left out of it."""
    if front.words.shape[0] == 0:
        return np.int64(NO_FRONT)
    mask = front.slots.shape[0] - 1
    slot = mix(done, 0, width) & mask
    while front.slots[slot] >= 0:
        if same(front.words[front.slots[slot]], done, 0, width):
            return np.int64(front.slots[slot])
        slot = (slot + 1) & mask
    return np.int64(-1)


@kernel
def add_set(flat, level, front, done, width, slot, i, live, dirty, low, low_dirty, room, effort, rules):  # type: ignore[no-untyped-def]
    """Number the set reached by op i, with bounds on what is to come."""
    number = level.made[SETS]
    level.made[SETS] += 1
    level.set_slots[slot] = number
    for w in range(width):
        level.words[number, w] = done[w]
    if i >= 0:
        start = live.executed.totals[0].count
        during, change = price(live.model, live.executed, i)
        if during >= low:
            low = np.int64(0)
        execute(live.model, live.executed, i, change)
    level.live[number] = live.executed.totals[0].live
    level.front[number] = find_front(front, done, width)
    reload = np.int64(0)
    for s in range(flat.size.shape[0]):
        begun = live.model.opening[s] or live.executed.touched[s] > 0
        if begun and (live.model.closing[s] or live.executed.touched[s] < live.model.touches[s]):
            reload += flat.reload[s]
    level.reload[number] = reload
    goal = False
    if rules[GOAL] or rules[LOADS] or rules[ALIKE]:
        low, goal = raise_least_peak(live, low, room, effort)
    if i >= 0:
        undo(live.model, live.executed, start)
    level.low[number] = low
    level.goal[number] = goal and rules[GOAL]
    if rules[ALIKE]:
        level.live_dirty[number] = level.live[number]
        level.low_dirty[number] = low
        return number
    if i >= 0:
        start = dirty.executed.totals[0].count
        during, change = price(dirty.model, dirty.executed, i)
        if during >= low_dirty:
            low_dirty = np.int64(0)
        execute(dirty.model, dirty.executed, i, change)
    level.live_dirty[number] = dirty.executed.totals[0].live
    if rules[STORES] and not (goal and rules[GOAL]):
        low_dirty, _ = raise_least_peak(dirty, low_dirty, room, effort)
    if i >= 0:
        undo(dirty.model, dirty.executed, start)
    level.low_dirty[number] = low_dirty
    return number


@inner
def weigh(flat, inside, clean, m):  # type: ignore[no-untyped-def]
    """Of what is present: bytes, bytes that host does not have and would need, and the cost of loading it again."""
    held = np.int64(0)
    unsafe = np.int64(0)
    reload = np.int64(0)
    for w in range(inside.shape[0]):
        bits = inside[w]
        while bits != 0:
            s = (w << 6) + first_bit(bits)
            held += flat.size[s]
            reload += flat.reload[s]
            if flat.store[s] and (clean[w] >> (s & 63)) & 1 == 0:
                unsafe += flat.size[s]
            bits &= bits - 1
    return held, unsafe, reload


@inner
def bound(flat, level, front, number, inside, clean, held, unsafe, reload, room, rate, rules):  # type: ignore[no-untyped-def]
    """A lower bound on what is still to be paid from a state: loads and stores, each for itself.

    `held`, `unsafe` and `reload` are what `weigh` says of it.
    """
    total = np.int64(0)
    k = level.front[number]
    if rules[LOADS]:
        total = scaled(level.low[number] - room - (level.live[number] - held), rate)
        if k != NO_FRONT and front.loads.first.shape[0]:
            loads = to_pay(front.loads, k, inside, clean, flat.reload, True)
            total = max(total, loads - (level.reload[number] - reload))
    if rules[STORES]:
        stores = scaled(level.low_dirty[number] - room - (level.live_dirty[number] - unsafe), rate)
        if k != NO_FRONT and front.stores.first.shape[0]:
            stores = max(stores, to_pay(front.stores, k, inside, clean, flat.store, False))
        total += stores
    return total


@kernel
def scaled(lack, rate):  # type: ignore[no-untyped-def]
    """The least cost of moving `lack` bytes of scratchpad."""
    if lack <= 0:
        return np.int64(0)
    return np.int64(np.ceil(lack * rate - 1e-6)) if rate < 1 else np.int64(lack)


@inner
def to_pay(points, k, inside, clean, price, loading):  # type: ignore[no-untyped-def]
    """The least bytes that one half pays from a set on, with `inside` present and `clean` of it in host.

    Of a pair, what it keeps beyond `inside` is loaded; of `inside` what host has not and the pair does not keep is stored.
    """
    best = np.int64(LEFT_OUT)
    if k < 0:
        return best
    for p in range(points.first[k], points.last[k]):
        cost = points.cost[p]
        if cost >= best:
            break
        for w in range(inside.shape[0]):
            kept = points.inside[p, w]
            bits = kept & ~inside[w] if loading else inside[w] & ~clean[w] & ~kept
            cost = cheaper(bits, w << 6, price, cost, best)
        best = min(best, cost)
    return best


@inner
def cheaper(bits, s, price, cost, best):  # type: ignore[no-untyped-def]
    """`cost` and the price of the storages from s on that `bits` names, or something that is not below `best`."""
    while bits != 0 and cost < best:
        cost += price[s + first_bit(bits)]
        bits &= bits - 1
    return cost


@kernel
def add_state(level, row, cost, parent, op, number):  # type: ignore[no-untyped-def]
    """Keep a state, or the cheaper way to it; False where there is no room."""
    mask = level.slots.shape[0] - 1
    width = row.shape[0]
    slot = mix(row, 0, width) & mask
    while level.slots[slot] >= 0:
        k = level.slots[slot]
        if same(level.row[k], row, 0, width):
            if cost < level.paid[k]:
                level.paid[k] = cost
                level.parent[k] = parent
                level.move[k] = op
            return True
        slot = (slot + 1) & mask
    k = level.made[STATES]
    if k == level.row.shape[0]:
        return False
    level.slots[slot] = k
    for w in range(width):
        level.row[k, w] = row[w]
    level.paid[k] = cost
    level.parent[k] = parent
    level.move[k] = op
    level.set_of[k] = number
    level.made[STATES] += 1
    return True


@kernel
def restore(new, old, order):  # type: ignore[no-untyped-def]
    """Fill an empty level with the states `order` of another one and all its sets."""
    new, old, order = borrow(new), borrow(old), borrow(order)
    for x in range(order.shape[0]):
        k = order[x]
        add_state(new, old.row[k], old.paid[k], old.parent[k], old.move[k], old.set_of[k])
    place_sets(new.words[: new.made[SETS]], new.set_slots)


@kernel
def place_sets(words, slots):  # type: ignore[no-untyped-def]
    """Enter sets of executed ops into an empty table."""
    words, slots = borrow(words), borrow(slots)
    mask = slots.shape[0] - 1
    for number in range(words.shape[0]):
        slot = mix(words[number], 0, words.shape[1]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number
