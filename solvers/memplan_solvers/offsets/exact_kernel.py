"""Branch and bound for offsets under a capacity, compiled: after MiniMalloc (Moffitt, ASPLOS 2023).

Only canonical packings are visited: buffers in order of offset, each at the lowest place above the
neighbours below it. What is left is split wherever no waiting buffer crosses a cut in time; a
component without a packing condemns the decision that split it off, whatever its siblings did.
Pruned are: a candidate above which a waiting buffer would fit entirely (dominance), equal buffers
out of order, a buffer whose lowest place ends above the capacity, a section whose waiting bytes do
not fit above the lowest place that any of its waiting buffers has.
"""

from __future__ import annotations

import numba

SOLVED, EXHAUSTED, PAUSED = 1, 0, 2
FAR = 2**62
LEFT, RIGHT, PARENT, LEVEL, ROW, LENGTH, NEXT = range(7)
"""Columns of a component: sections [left, right), the depth of the decision that split it off, the lowest
offset still allowed, its waiting buffers among members[row:row + length], the next component or -1."""
COMPONENT, TRAIL, MADE, MEMBERS, BUFFER, PLACE, TRIED = range(7)
"""Columns of a depth: its component, where its trail, components and members begin, its decision (buffer and
place), and the buffer after the last one tried at that place."""
DEPTH, NODES, TOP, POOL, STORE, FRESH = range(6)
"""Places of `state`: depth, nodes so far, lengths of trail, components and members, whether the depth is new."""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def search(  # type: ignore[no-untyped-def]
    size, align, fixed, twin, first, to, above, below, span, section_first, section, capacity, budget,
    low, offset, waiting, count, cut, least, depths, components, members, trail, state
):  # fmt: skip
    """Continue the depth-first search for at most `budget` nodes; the state arrays hold where it stands.

    Buffers are numbered in branching order. size, align, fixed (-1: free), twin (the previous equal
    buffer or -1): int64[n]; the rest of the conflicts as in `Conflicts`. low: lowest place now; offset: -1 while it
    waits. waiting, count, cut: int64[s], per section the bytes and the number of buffers that wait, and how many of
    them cross into the next section; least: scratch. trail: int64[t, 2], lows to restore.
    Returns SOLVED, EXHAUSTED (no packing exists) or PAUSED.
    """
    depth, nodes, top, pool, store = state[DEPTH], state[NODES], state[TOP], state[POOL], state[STORE]
    fresh = state[FRESH] == 1
    stop = nodes + budget
    result = PAUSED
    while True:
        here = depths[depth]
        if here[COMPONENT] < 0:
            result = SOLVED
            break
        if nodes >= stop:
            break
        part = components[here[COMPONENT]]
        base, left, right, row, end = part[LEVEL], part[LEFT], part[RIGHT], part[ROW], part[ROW] + part[LENGTH]
        # Lowest place first, then branching order; what was tried here before is not tried again. `ceiling` is the
        # lowest end any waiting free buffer can have: whoever starts above it is dominated.
        chosen, best, ceiling, dead = -1, FAR, FAR, False
        tried, place = here[TRIED], here[PLACE]
        elder = depths[part[PARENT], BUFFER] if part[PARENT] >= 0 and depths[part[PARENT], PLACE] == base else -1
        if fresh:
            for s in range(left, right):
                least[s] = capacity
        for m in range(row, end):
            i = members[m]
            if offset[i] >= 0 or span[i, 0] < left or span[i, 0] >= right:
                continue
            at = low[i]
            if fixed[i] >= 0:
                at = fixed[i]
                if at < base or at < low[i]:
                    dead = True
                    break
            else:
                ceiling = min(ceiling, at + size[i])
            if at < base:
                if not fresh:
                    continue
                # It was passed over where it could rest, so it has to rest on another that waits.
                at = FAR
                for k in range(first[i], first[i + 1]):
                    j = to[k]
                    if offset[j] < 0:
                        at = min(at, (fixed[j] if fixed[j] >= 0 else max(low[j], base)) + below[k])
                at = (at + align[i] - 1) // align[i] * align[i]
            elif (at < best or (at == best and i < chosen)) and not (
                at < place or (at == place and i < tried) or (at == base and i < elder)
            ):  # not tried here, nor could it have come before the decision above
                t = twin[i]
                if t < 0 or offset[t] >= 0 or low[t] != low[i]:  # or its equal goes first
                    chosen, best = i, at
            if fresh:
                if at + size[i] > capacity:
                    dead = True
                    break
                for k in range(section_first[i], section_first[i + 1]):
                    if at < least[section[k]]:
                        least[section[k]] = at
        if fresh and not dead:
            for s in range(left, right):
                if waiting[s] > 0 and least[s] + waiting[s] > capacity:
                    dead = True
                    break
        if dead or best >= ceiling:
            chosen = -1
        if chosen < 0:
            # No packing of this component: take back all that was decided since it was split off.
            depth = part[PARENT]
            if depth < 0:
                result = EXHAUSTED
                break
            back = depth
            while back < depths.shape[0] and depths[back, BUFFER] >= 0:
                i = depths[back, BUFFER]
                if back > depth:
                    depths[back, BUFFER] = -1
                offset[i] = -1
                for k in range(section_first[i], section_first[i + 1]):
                    waiting[section[k]] += size[i]
                for s in range(span[i, 0], span[i, 1] + 1):
                    count[s] += 1
                    if s < span[i, 1]:
                        cut[s] += 1
                back += 1
            depths[depth, BUFFER] = -1
            while top > depths[depth, TRAIL]:
                top -= 1
                low[trail[top, 0]] = trail[top, 1]
            pool, store = depths[depth, MADE], depths[depth, MEMBERS]
            fresh = False
            continue
        nodes += 1
        fresh = False
        i, at = chosen, best
        here[PLACE], here[TRIED] = at, i + 1
        here[TRAIL], here[MADE], here[MEMBERS] = top, pool, store
        offset[i] = at
        good = True
        for k in range(first[i], first[i + 1]):
            j = to[k]
            if offset[j] < 0:
                lowest = (at + above[k] + align[j] - 1) // align[j] * align[j]
                if lowest > low[j]:
                    trail[top, 0], trail[top, 1] = j, low[j]
                    top += 1
                    low[j] = lowest
                    if lowest + size[j] > capacity or 0 <= fixed[j] < lowest:
                        good = False
                        break
        if good:
            for k in range(section_first[i], section_first[i + 1]):
                if at + waiting[section[k]] > capacity:
                    good = False
                    break
        if not good:
            offset[i] = -1
            while top > here[TRAIL]:
                top -= 1
                low[trail[top, 0]] = trail[top, 1]
            continue
        here[BUFFER] = i
        for k in range(section_first[i], section_first[i + 1]):
            waiting[section[k]] -= size[i]
        for s in range(span[i, 0], span[i, 1] + 1):
            count[s] -= 1
            if s < span[i, 1]:
                cut[s] -= 1
        # What is left of the component falls apart where nothing that waits crosses from section to section.
        head = part[NEXT]
        s = left
        while s < right:
            if count[s] == 0:
                s += 1
                continue
            begin = s
            while s + 1 < right and cut[s] > 0:
                s += 1
            s += 1
            alive = 0
            for m in range(row, end):
                j = members[m]
                if offset[j] < 0 and begin <= span[j, 0] < s:
                    alive += 1
            new = components[pool]
            new[LEFT], new[RIGHT], new[PARENT], new[LEVEL], new[NEXT] = begin, s, depth, at, head
            new[ROW], new[LENGTH] = row, end - row
            if 2 * alive <= end - row:
                new[ROW], new[LENGTH] = store, alive
                for m in range(row, end):
                    j = members[m]
                    if offset[j] < 0 and begin <= span[j, 0] < s:
                        members[store] = j
                        store += 1
            head = pool
            pool += 1
        depth += 1
        there = depths[depth]
        there[COMPONENT], there[BUFFER], there[PLACE], there[TRIED] = head, -1, -1, 0
        fresh = True
    state[DEPTH], state[NODES], state[TOP], state[POOL], state[STORE] = depth, nodes, top, pool, store
    state[FRESH] = 1 if fresh else 0
    return result
