"""From one level of states to the next, in numba: moves, evictions, and what dominates what."""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.peak.executed import settle
from memplan_solvers.search.kernel import (
    NEVER,
    begun,
    demand,
    first_bit,
    is_free,
    left,
    members,
    rank_victims,
)
from memplan_solvers.search.level import (
    ALIKE,
    BELADY,
    BEST,
    CUT,
    FREE,
    MINIMAL,
    MOVE,
    PARENT,
    SETS,
    add_set,
    add_state,
    bound,
    find_set,
    weigh,
)


@inner
def run_op(flat, parent, i, row, W, V):  # type: ignore[no-untyped-def]
    """Write the state after op i, nothing evicted, to `row`, all but its executed ops."""
    R, C = W, W + V
    for w in range(W, row.shape[0]):
        row[w] = parent[w]
    done = parent[:W]
    for k in range(flat.touch_at[i], flat.touch_at[i + 1]):
        s = flat.touch[k]
        bit = np.int64(1) << (s & 63)
        if not flat.closing[s] and left(flat, s, done) == 1:
            row[R + (s >> 6)] &= ~bit
            row[C + (s >> 6)] &= ~bit
        elif row[R + (s >> 6)] & bit == 0:
            row[R + (s >> 6)] |= bit
            if flat.store[s] and begun(flat, s, done):
                row[C + (s >> 6)] |= bit


@inner
def emit(front, flat, new, p, i, number, row, cost, held, unsafe, reload, room, rate, rules, W, V):  # type: ignore[no-untyped-def]
    """Keep the state `row`, reached from state p by op i, unless it is a goal or too dear; False where there is no room."""
    if new.goal[number]:
        if cost < new.made[BEST]:
            new.made[BEST] = cost
            new.made[PARENT] = p
            new.made[MOVE] = i
            for w in range(row.shape[0]):
                new.goal_row[w] = row[w]
        else:
            new.made[CUT] = min(new.made[CUT], cost)
        return True
    f = cost + bound(
        flat, new, front, number, row[W : W + V], row[W + V :], held, unsafe, reload, room, rate, rules
    )
    if f >= new.made[BEST]:
        new.made[CUT] = min(new.made[CUT], f)
        return True
    return add_state(new, row, cost, p, i, number)


@inner
def superfluous(before, mine, chosen, depth, candidates):  # type: ignore[no-untyped-def]
    """Whether one of the chosen had better stay and another leave in its place."""
    for x in range(depth):
        at = 0
        for a in range(candidates):
            # `chosen` ascends: walk along it.
            while at < depth and chosen[at] < a:
                at += 1
            if (at == depth or chosen[at] != a) and before[mine[a], mine[chosen[x]]]:
                return True
    return False


@kernel
def expand(  # type: ignore[no-untyped-def]
    flat,
    live,
    dirty,
    front_old,
    front,
    old,
    new,
    start,
    stop,
    room,
    rate,
    effort,
    rules,
    W,
    V,
    scratch,
    before,
):
    """Add the children of the states [start, stop) of `old`, sorted by set, to `new`; where it stopped for want of room."""
    flat, live, dirty, front_old, front = (
        borrow(flat),
        borrow(live),
        borrow(dirty),
        borrow(front_old),
        borrow(front),
    )
    old, new, rules, scratch, before = (
        borrow(old),
        borrow(new),
        borrow(rules),
        borrow(scratch),
        borrow(before),
    )
    m = flat.size.shape[0]
    ready, present, out, chosen, mine = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    row = np.empty(W + 2 * V, np.int64)
    base = np.empty(W + 2 * V, np.int64)
    covered = np.empty(W, np.int64)
    standing = np.int64(-1)
    for p in range(start, stop):
        if new.made[SETS] + live.executed.waits.shape[0] > new.words.shape[0]:
            return p
        number = old.set_of[p]
        here = old.row[p, :W]
        inside = old.row[p, W : W + V]
        clean = old.row[p, W + V :]
        held, unsafe, reload = weigh(flat, inside, clean, m)
        f = old.paid[p] + bound(
            flat, old, front_old, number, inside, clean, held, unsafe, reload, room, rate, rules
        )
        if f >= new.made[BEST]:
            new.made[CUT] = min(new.made[CUT], f)
            continue
        if number != standing:
            settle(live.model, live.executed, here)
            if not rules[ALIKE]:
                settle(dirty.model, dirty.executed, here)
            standing = number
            count_ready = live.executed.totals[0].ready
            for k in range(count_ready):
                ready[k] = live.executed.ready[k]
            ready[:count_ready].sort()
        count = members(inside, m, present)
        only = np.int64(-1)
        if rules[FREE]:
            for k in range(count_ready):
                i = ready[k]
                if demand(flat, i, here, inside, held) <= room and is_free(flat, i, here, inside, clean):
                    only = i
                    break
        ranked = False
        for k in range(count_ready):
            i = ready[k]
            if only >= 0 and i != only:
                continue
            for w in range(W):
                base[w] = here[w]
            base[i >> 6] |= np.int64(1) << (i & 63)
            child, slot = find_set(new, base, W)
            if child < 0:
                child = add_set(
                    flat,
                    new,
                    front,
                    base,
                    W,
                    slot,
                    i,
                    live,
                    dirty,
                    old.low[number],
                    old.low_dirty[number],
                    room,
                    effort,
                    rules,
                )
            run_op(flat, old.row[p], i, base, W, V)
            held_now, unsafe_now, reload_now = weigh(flat, base[W : W + V], base[W + V :], m)
            lack = demand(flat, i, here, inside, held) - room
            if lack <= 0:
                if not emit(
                    front,
                    flat,
                    new,
                    p,
                    i,
                    child,
                    base,
                    old.paid[p],
                    held_now,
                    unsafe_now,
                    reload_now,
                    room,
                    rate,
                    rules,
                    W,
                    V,
                ):
                    return p
                continue
            # Evictions cost at least what they take off the bound.
            if rate == 1 and not new.goal[child]:
                f = old.paid[p] + bound(
                    flat,
                    new,
                    front,
                    child,
                    base[W : W + V],
                    base[W + V :],
                    held_now,
                    unsafe_now,
                    reload_now,
                    room,
                    rate,
                    rules,
                )
                if f >= new.made[BEST]:
                    new.made[CUT] = min(new.made[CUT], f)
                    continue
            # Who may leave: all that is present, not touched and not pinned, the largest first.
            candidates = 0
            rest = np.int64(0)
            for a in range(count):
                s = present[a]
                if flat.reload[s] >= NEVER or flat.size[s] == 0:
                    continue
                used = False
                for e in range(flat.touch_at[i], flat.touch_at[i + 1]):
                    if flat.touch[e] == s:
                        used = True
                        break
                if used:
                    continue
                at = candidates
                while at > 0 and flat.size[out[at - 1]] < flat.size[s]:
                    out[at] = out[at - 1]
                    mine[at] = mine[at - 1]
                    at -= 1
                out[at] = s
                mine[at] = a
                candidates += 1
                rest += flat.size[s]
            if rest < lack:
                continue
            if rules[BELADY] and not ranked:
                rank_victims(flat, here, clean, present, count, before, covered)
                ranked = True
            # All inclusion-minimal sets: the last and smallest chosen is needed, so every one is.
            depth = 0
            at = 0
            freed = np.int64(0)
            cost = old.paid[p]
            for w in range(W + 2 * V):
                row[w] = base[w]
            while True:
                if freed >= lack and not (
                    rules[BELADY] and superfluous(before, mine, chosen, depth, candidates)
                ):
                    if not emit(
                        front,
                        flat,
                        new,
                        p,
                        i,
                        child,
                        row,
                        cost,
                        held_now,
                        unsafe_now,
                        reload_now,
                        room,
                        rate,
                        rules,
                        W,
                        V,
                    ):
                        return p
                if at == candidates or (freed >= lack and rules[MINIMAL]) or freed + rest < lack:
                    # Take back the last one chosen, and go on without it.
                    if depth == 0:
                        break
                    depth -= 1
                    while at > chosen[depth] + 1:
                        at -= 1
                        rest += flat.size[out[at]]
                    s = out[chosen[depth]]
                    bit = np.int64(1) << (s & 63)
                    row[W + (s >> 6)] |= bit
                    freed -= flat.size[s]
                    held_now += flat.size[s]
                    reload_now += flat.reload[s]
                    cost -= flat.reload[s]
                    if clean[s >> 6] & bit:
                        row[W + V + (s >> 6)] |= bit
                    else:
                        cost -= flat.store[s]
                        if flat.store[s]:
                            unsafe_now += flat.size[s]
                    continue
                s = out[at]
                bit = np.int64(1) << (s & 63)
                dear = flat.reload[s]
                if clean[s >> 6] & bit == 0:
                    dear += flat.store[s]
                rest -= flat.size[s]
                if cost + dear < new.made[BEST]:
                    chosen[depth] = at
                    depth += 1
                    freed += flat.size[s]
                    held_now -= flat.size[s]
                    reload_now -= flat.reload[s]
                    cost += dear
                    row[W + (s >> 6)] &= ~bit
                    row[W + V + (s >> 6)] &= ~bit
                    if clean[s >> 6] & bit == 0 and flat.store[s]:
                        unsafe_now -= flat.size[s]
                else:
                    new.made[CUT] = min(new.made[CUT], cost + dear)
                at += 1
    return stop


@kernel
def dominate(flat, level, order, keep, most, W, V, kept):  # type: ignore[no-untyped-def]
    """Clear `keep` of states that another of the same set turns into at no more cost.

    `order` lists states by set, then by what was paid. Each is compared with the `most` cheapest that remain.
    """
    flat, level, order, keep, kept = borrow(flat), borrow(level), borrow(order), borrow(keep), borrow(kept)
    count = 0
    standing = np.int64(-1)
    for x in range(order.shape[0]):
        b = order[x]
        if level.set_of[b] != standing:
            standing = level.set_of[b]
            count = 0
        worse = False
        for y in range(count):
            a = kept[y]
            slack = level.paid[b] - level.paid[a]
            for w in range(V):
                here = level.row[a, W + w]
                there = level.row[b, W + w]
                clean = level.row[a, W + V + w]
                bits = here & ~there
                while bits != 0 and slack >= 0:
                    s = (w << 6) + first_bit(bits)
                    slack -= flat.reload[s]
                    if (clean >> (s & 63)) & 1 == 0:
                        slack -= flat.store[s]
                    bits &= bits - 1
                bits = here & there & ~level.row[a, W + V + w] & level.row[b, W + V + w]
                while bits != 0 and slack >= 0:
                    slack -= flat.store[(w << 6) + first_bit(bits)]
                    bits &= bits - 1
                if slack < 0:
                    break
            if slack >= 0:
                worse = True
                break
        keep[b] = not worse
        if not worse and count < most:
            kept[count] = b
            count += 1


@kernel
def values(flat, level, front, order, f, room, rate, rules, W, V):  # type: ignore[no-untyped-def]
    """f of the states `order`."""
    flat, level, front, order, f, rules = (
        borrow(flat),
        borrow(level),
        borrow(front),
        borrow(order),
        borrow(f),
        borrow(rules),
    )
    m = flat.size.shape[0]
    for x in range(order.shape[0]):
        k = order[x]
        inside, clean = level.row[k, W : W + V], level.row[k, W + V :]
        held, unsafe, reload = weigh(flat, inside, clean, m)
        f[x] = level.paid[k] + bound(
            flat, level, front, level.set_of[k], inside, clean, held, unsafe, reload, room, rate, rules
        )
