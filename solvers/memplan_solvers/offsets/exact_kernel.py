"""Branch and bound for offsets under a capacity, compiled: after MiniMalloc (Moffitt, ASPLOS 2023), with more inference.

Wanted is a packing in which no buffer could drop, not even past others. The waiting buffer that can lie lowest is put
there; when that is refuted it rests on a buffer that waits still, and one that waits blocks the place. `floor` has the
lowest place each waiting buffer can have in any packing from here; `low`, never above it, the lowest that what is placed
allows. A section in which only one waiting buffer can be next has all others above that one; one in which none can
condemns the last decision. What is left is split wherever no waiting buffer crosses a cut in time; a component without
a packing condemns the decision that split it off, whatever its siblings did.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba

SOLVED, EXHAUSTED, PAUSED, FULL = 1, 0, 2, 3
FAR = 2**62
LEFT, RIGHT, PARENT, ROW, LENGTH, NEXT = range(6)
"""Columns of a component: sections [left, right), the depth of the decision that split it off, its waiting buffers among
members[row:row + length], the next component or -1."""
COMPONENT, TRAIL, MADE, BUFFER = range(4)
"""Columns of a depth: its component, where its trail and components begin, the buffer it places."""
DEPTH, NODES, TOP, POOL, RANKED = range(5)
"""Places of `state`: depth, nodes so far, lengths of trail and components, whether components are ranked anew."""


class Given(NamedTuple):
    """What does not change, buffers numbered in branching order: int64 arrays, and the capacity.

    align, fixed (-1: free) and twin (the last earlier equal buffer or -1) by buffer; neighbours and sections as in
    `Conflicts`; members of each section s: sharer[sharer_first[s]:sharer_first[s + 1]].
    """

    size: Any
    align: Any
    fixed: Any
    twin: Any
    first: Any
    to: Any
    above: Any
    below: Any
    span: Any
    section_first: Any
    section: Any
    sharer_first: Any
    sharer: Any
    capacity: int


class Standing(NamedTuple):
    """Where the search stands: int64 arrays.

    By buffer: low and floor (see above), hole (a place it must not be able to drop to, or -1), weight (the largest goes
    first of those as low), offset (-1 while it waits), block (a neighbour that may block its hole, as a place in `to`).
    By section: waiting bytes, cut (how many that wait cross into the next section), next (two buffers that may be lowest).
    trail: rows of what to restore: which array, which buffer, its value.
    """

    low: Any
    floor: Any
    hole: Any
    weight: Any
    offset: Any
    block: Any
    waiting: Any
    cut: Any
    next: Any
    depths: Any
    components: Any
    members: Any
    trail: Any
    state: Any


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _set(kind, j, array, value, trail, top):  # type: ignore[no-untyped-def]
    """array[j] = value, to be restored; the new length of the trail."""
    trail[top, 0], trail[top, 1], trail[top, 2] = kind, j, array[j]
    array[j] = value
    return top + 1


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _undo(standing, top, until):  # type: ignore[no-untyped-def]
    """Restore what the trail has from `until` on."""
    trail = standing.trail
    while top > until:
        top -= 1
        kind, j, value = trail[top, 0], trail[top, 1], trail[top, 2]
        if kind == 0:
            standing.low[j] = value
        elif kind == 1:
            standing.floor[j] = value
        elif kind == 2:
            standing.hole[j] = value
        else:
            standing.weight[j] = value
    return top


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _rest(j, given, standing):  # type: ignore[no-untyped-def]
    """The lowest place of buffer j above one of those that wait and may block its hole; FAR where none does."""
    floor, align = standing.floor, given.align[j]
    hole = standing.hole[j] if standing.hole[j] >= 0 else standing.low[j]
    lowest = FAR
    for k in range(given.first[j], given.first[j + 1]):
        q = given.to[k]
        if standing.offset[q] < 0 and floor[q] < hole + given.above[k] and floor[q] + given.below[k] < lowest:
            lowest = floor[q] + given.below[k]
            standing.block[j] = k
    return (lowest + align - 1) // align * align if lowest < FAR else FAR


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _infer(row, end, left, right, given, standing, top):  # type: ignore[no-untyped-def]
    """Raise floors in a component once: whether a packing may exist, and the new length of the trail."""
    size, align, fixed, twin, to = given.size, given.align, given.fixed, given.twin, given.to
    sharer_first, sharer, capacity = given.sharer_first, given.sharer, given.capacity
    low, floor, hole, offset, trail = standing.low, standing.floor, standing.hole, standing.offset, standing.trail
    waiting, following, block = standing.waiting, standing.next, standing.block
    room = trail.shape[0] - 2 * size.size
    for m in range(row, end):
        j = standing.members[m]
        place = floor[j]
        if fixed[j] >= 0:
            if place > fixed[j]:
                return False, top
            continue
        t = twin[j]
        if t >= 0 and offset[t] < 0:
            place = max(place, floor[t] + size[t])
        if place > low[j] or hole[j] >= 0:
            k = block[j]
            reach = (hole[j] if hole[j] >= 0 else low[j]) + given.above[k]
            if offset[to[k]] >= 0 or floor[to[k]] >= reach or floor[to[k]] + given.below[k] > place:
                place = max(place, _rest(j, given, standing))
        if place + size[j] > capacity:
            return False, top
        if place > floor[j] and top < room:
            top = _set(1, j, floor, place, trail, top)
    for s in range(left, right):
        w = waiting[s]
        if w == 0:
            continue
        most = capacity - w
        a, b = following[s, 0], following[s, 1]
        if offset[a] < 0 and floor[a] <= most:
            if w == size[a] or (a != b and offset[b] < 0 and (floor[b] <= most or floor[b] >= floor[a] + size[a])):
                continue
        a, b, lowest, lower, top_of = -1, -1, FAR, FAR, FAR
        for k in range(sharer_first[s], sharer_first[s + 1]):
            j = sharer[k]
            if offset[j] < 0:
                if floor[j] <= most:
                    top_of = min(top_of, floor[j] + size[j])
                if floor[j] < lowest:
                    b, lower = a, lowest
                    a, lowest = j, floor[j]
                elif floor[j] < lower:
                    b, lower = j, floor[j]
        if lowest > most:
            return False, top
        following[s, 0], following[s, 1] = a, b if b >= 0 else a
        for k in range(sharer_first[s], sharer_first[s + 1]):
            j = sharer[k]
            if offset[j] < 0 and j != a and most < floor[j] < top_of:
                place = (top_of + align[j] - 1) // align[j] * align[j]
                if place + size[j] > capacity or 0 <= fixed[j] < place:
                    return False, top
                if top < room:
                    top = _set(1, j, floor, place, trail, top)
    return True, top


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _place(i, at, given, standing, top):  # type: ignore[no-untyped-def]
    """Put buffer i there: whether its neighbours still fit, and the new length of the trail."""
    size, align, fixed, capacity, to = given.size, given.align, given.fixed, given.capacity, given.to
    low, floor, hole, offset, trail = standing.low, standing.floor, standing.hole, standing.offset, standing.trail
    offset[i] = at
    good = at + size[i] <= capacity
    for k in range(given.section_first[i], given.section_first[i + 1]):
        s = given.section[k]
        good &= at + standing.waiting[s] <= capacity
        standing.waiting[s] -= size[i]
    for s in range(given.span[i, 0], given.span[i, 1]):
        standing.cut[s] -= 1
    if not good:
        return False, top
    for k in range(given.first[i], given.first[i + 1]):
        j = to[k]
        if offset[j] >= 0:
            continue
        lowest = at + given.above[k]
        gap = hole[j]
        if gap < 0 and floor[j] > low[j] and lowest > low[j]:
            gap = low[j]
        if gap >= 0 and at < gap + given.below[k]:
            gap = -1
        if gap != hole[j]:
            top = _set(2, j, hole, gap, trail, top)
        if lowest > low[j]:
            lowest = (lowest + align[j] - 1) // align[j] * align[j]
            top = _set(0, j, low, lowest, trail, top)
            if lowest > floor[j]:
                top = _set(1, j, floor, lowest, trail, top)
            if lowest + size[j] > capacity or 0 <= fixed[j] < lowest:
                return False, top
    return True, top


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _take_back(depth, given, standing, top):  # type: ignore[no-untyped-def]
    """Undo the decision at `depth` and all later ones; the new length of the trail."""
    depths, offset = standing.depths, standing.offset
    d = depth
    while d < depths.shape[0] and depths[d, BUFFER] >= 0:
        i = depths[d, BUFFER]
        if d > depth:
            depths[d, BUFFER] = -1
        offset[i] = -1
        for k in range(given.section_first[i], given.section_first[i + 1]):
            standing.waiting[given.section[k]] += given.size[i]
        for s in range(given.span[i, 0], given.span[i, 1]):
            standing.cut[s] += 1
        d += 1
    return _undo(standing, top, depths[depth, TRAIL])


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _split(depth, given, standing, top, pool):  # type: ignore[no-untyped-def]
    """The components that the decision at `depth` leaves: the first of the row, and new lengths of trail and components."""
    components, members = standing.components, standing.members
    part = components[standing.depths[depth, COMPONENT]]
    i, row, end, begin, head = standing.depths[depth, BUFFER], part[ROW], part[ROW] + part[LENGTH], part[LEFT], part[NEXT]
    for m in range(row, end):
        if members[m] == i:
            members[m], members[end - 1] = members[end - 1], i
            break
    end -= 1
    for s in range(given.span[i, 0], given.span[i, 1] + 1):
        last = s == given.span[i, 1]
        if row == end or (standing.cut[s] > 0 and not last):
            continue
        until = part[RIGHT] if last else s + 1
        m = row
        for k in range(row, end):
            j = members[k]
            if last or given.span[j, 0] < until:
                members[k], members[m] = members[m], j
                m += 1
        if m > row:
            new = components[pool]
            new[LEFT], new[RIGHT], new[PARENT], new[ROW], new[LENGTH], new[NEXT] = begin, until, depth, row, m - row, head
            head = pool
            pool += 1
            if standing.state[RANKED] and m - row < part[LENGTH] - 1:
                for k in range(row, m):
                    j = members[k]
                    most = 0
                    for x in range(given.section_first[j], given.section_first[j + 1]):
                        most = max(most, standing.waiting[given.section[x]])
                    if most != standing.weight[j]:
                        top = _set(3, j, standing.weight, most, standing.trail, top)
        row, begin = m, until
    return head, top, pool


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def search(given, standing, budget):  # type: ignore[no-untyped-def]
    """Continue the depth-first search for at most `budget` nodes.

    Returns SOLVED, EXHAUSTED (no packing exists), PAUSED or FULL (the trail needs more rows).
    """
    fixed, capacity = given.fixed, given.capacity
    low, floor, weight, hole = standing.low, standing.floor, standing.weight, standing.hole
    depths, components, members, state = standing.depths, standing.components, standing.members, standing.state
    depth, nodes, top, pool = state[DEPTH], state[NODES], state[TOP], state[POOL]
    stop = nodes + budget
    result = PAUSED
    while nodes < stop:
        here = depths[depth]
        if here[COMPONENT] < 0:
            result = SOLVED
            break
        if top + 8 * low.size > standing.trail.shape[0]:
            result = FULL
            break
        part = components[here[COMPONENT]]
        row, end = part[ROW], part[ROW] + part[LENGTH]
        i = members[row]
        for m in range(row + 1, end):
            j = members[m]
            if floor[j] < floor[i] or (floor[j] == floor[i] and (weight[j] > weight[i] or (weight[j] == weight[i] and j < i))):
                i = j
        back = depth
        if fixed[i] < 0 and floor[i] > low[i]:  # it cannot lie on what is placed
            place = _rest(i, given, standing)
            if floor[i] < place <= capacity - given.size[i]:
                top = _set(1, i, floor, place, standing.trail, top)
                continue
            back = part[PARENT]
        else:
            nodes += 1
            here[TRAIL], here[MADE], here[BUFFER] = top, pool, i
            good, top = _place(i, floor[i], given, standing, top)
            if good:
                good, top = _infer(row, end, part[LEFT], part[RIGHT], given, standing, top)
            if good:
                head, top, pool = _split(depth, given, standing, top, pool)
                depth += 1
                depths[depth, COMPONENT], depths[depth, BUFFER] = head, -1
                continue
        while back >= 0:  # the decision there is refuted
            depth, i = back, depths[back, BUFFER]
            top, pool = _take_back(depth, given, standing, top), depths[depth, MADE]
            depths[depth, BUFFER] = -1
            part = components[depths[depth, COMPONENT]]
            if fixed[i] < 0:
                place = _rest(i, given, standing)
                if floor[i] < place <= capacity - given.size[i]:
                    if hole[i] < 0:
                        top = _set(2, i, hole, low[i], standing.trail, top)
                    top = _set(1, i, floor, place, standing.trail, top)
                    good, top = _infer(part[ROW], part[ROW] + part[LENGTH], part[LEFT], part[RIGHT], given, standing, top)
                    if good:
                        break
            back = part[PARENT]
        if back < 0:
            result = EXHAUSTED
            break
    state[DEPTH], state[NODES], state[TOP], state[POOL] = depth, nodes, top, pool
    return result
