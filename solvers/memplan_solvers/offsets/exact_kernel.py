"""Branch and bound for offsets under a capacity, compiled: after MiniMalloc (Moffitt, ASPLOS 2023), with more inference.

Wanted is a packing in which no buffer could drop, not even past others. The waiting buffer that can lie lowest is put
there; when that is refuted it rests on a buffer that waits still, and one that waits blocks the place. `floor` has the
lowest place each waiting buffer can have in any packing from here; `low`, never above it, the lowest that what is placed
allows. A section in which only one waiting buffer can be next has all others above that one; one in which none can
condemns the last decision. What is left is split wherever no waiting buffer crosses a cut in time; a component without
a packing condemns the decision that split it off, whatever its siblings did.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numba

from memplan_solvers.jit import kernel

SOLVED, EXHAUSTED, PAUSED, FULL = 1, 0, 2, 3
FAR = 2**62
LEFT, RIGHT, PARENT, ROW, LENGTH, SIBLING = range(6)
"""Columns of a component: sections [left, right), the depth of the decision that split it off, its waiting buffers among
members[row:row + length], the next component or -1."""
COMPONENT, TRAIL, MADE, BUFFER = range(4)
"""Columns of a depth: its component, where its trail and components begin, the buffer it places."""
DEPTH, NODES, TOP, POOL, RANKED = range(5)
"""Places of `state`: depth, nodes so far, lengths of trail and components, whether components are ranked anew."""
SIZE, ALIGN, FIXED, TWIN, EDGES, BEGIN, LAST, CELLS = range(8)
"""Columns of a buffer, numbered in branching order: bytes, alignment, offset (-1: free), the last earlier equal buffer or -1,
where its edges begin, first and last section, where its cells begin. One more row ends the last edges and cells."""
TO, ABOVE, BELOW = range(3)
"""Columns of an edge: the neighbour, and the distances to it as in `Conflicts`."""
LOW, FLOOR, HOLE, WEIGHT, OFFSET, BLOCK = range(6)
"""Columns of `now`, a row a buffer: low and floor (see above), a place it must not be able to drop to (or -1), what goes first
of those as low (the largest), its offset (-1: it waits), the edge to a neighbour that may block its hole."""
WAITING, CUT, NEXT, OTHER, SHARERS = range(5)
"""Columns of a section: bytes that wait, how many that wait cross into the next section, two buffers that may be lowest, where
those that fill it begin among `sharers`. One more row ends the last."""


_inner: Any = numba.njit(  # type: ignore[call-overload,unused-ignore]
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)
"""For what only compiled code calls: it compiles sooner without the wrappers."""


@_inner
def _set(now, j, column, value, trail, top):  # type: ignore[no-untyped-def]
    """now[j, column] = value, to be restored; the new length of the trail."""
    trail[top, 0], trail[top, 1], trail[top, 2] = j, column, now[j, column]
    now[j, column] = value
    return top + 1


@_inner
def _rest(j, buffer, edge, now):  # type: ignore[no-untyped-def]
    """The lowest place of buffer j above one of those that wait and may block its hole; FAR where none does."""
    align = buffer[j, ALIGN]
    hole = now[j, HOLE] if now[j, HOLE] >= 0 else now[j, LOW]
    lowest = FAR
    for k in range(buffer[j, EDGES], buffer[j + 1, EDGES]):
        q = edge[k, TO]
        if (
            now[q, OFFSET] < 0
            and now[q, FLOOR] < hole + edge[k, ABOVE]
            and now[q, FLOOR] + edge[k, BELOW] < lowest
        ):
            lowest = now[q, FLOOR] + edge[k, BELOW]
            now[j, BLOCK] = k
    return (lowest + align - 1) // align * align if lowest < FAR else FAR


@_inner
def _infer(c, capacity, buffer, edge, sharers, now, section, components, members, trail, top):  # type: ignore[no-untyped-def]
    """Raise floors in component c once: whether a packing may exist, and the new length of the trail."""
    row, end = components[c, ROW], components[c, ROW] + components[c, LENGTH]
    room = trail.shape[0] - 2 * now.shape[0]
    for m in range(row, end):
        j = members[m]
        if now[j, OFFSET] >= 0:
            continue
        place = now[j, FLOOR]
        if buffer[j, FIXED] >= 0:
            if place > buffer[j, FIXED]:
                return False, top
            continue
        t = buffer[j, TWIN]
        if t >= 0 and now[t, OFFSET] < 0:
            place = max(place, now[t, FLOOR] + buffer[t, SIZE])
        if place > now[j, LOW] or now[j, HOLE] >= 0:
            k = now[j, BLOCK]
            reach = (now[j, HOLE] if now[j, HOLE] >= 0 else now[j, LOW]) + edge[k, ABOVE]
            q = edge[k, TO]
            if now[q, OFFSET] >= 0 or now[q, FLOOR] >= reach or now[q, FLOOR] + edge[k, BELOW] > place:
                place = max(place, _rest(j, buffer, edge, now))
        if place + buffer[j, SIZE] > capacity:
            return False, top
        if place > now[j, FLOOR] and top < room:
            top = _set(now, j, FLOOR, place, trail, top)
    for s in range(components[c, LEFT], components[c, RIGHT]):
        w = section[s, WAITING]
        if w == 0:
            continue
        most = capacity - w
        a, b = section[s, NEXT], section[s, OTHER]
        if now[a, OFFSET] < 0 and now[a, FLOOR] <= most:
            if w == buffer[a, SIZE]:
                continue
            if a != b and now[b, OFFSET] < 0 and not most < now[b, FLOOR] < now[a, FLOOR] + buffer[a, SIZE]:
                continue
        a, b, lowest, lower, top_of = -1, -1, FAR, FAR, FAR
        for k in range(section[s, SHARERS], section[s + 1, SHARERS]):
            j = sharers[k]
            if now[j, OFFSET] < 0:
                if now[j, FLOOR] <= most:
                    top_of = min(top_of, now[j, FLOOR] + buffer[j, SIZE])
                if now[j, FLOOR] < lowest:
                    b, lower = a, lowest
                    a, lowest = j, now[j, FLOOR]
                elif now[j, FLOOR] < lower:
                    b, lower = j, now[j, FLOOR]
        if lowest > most:
            return False, top
        section[s, NEXT], section[s, OTHER] = a, b if b >= 0 else a
        for k in range(section[s, SHARERS], section[s + 1, SHARERS]):
            j = sharers[k]
            if now[j, OFFSET] < 0 and j != a and most < now[j, FLOOR] < top_of:
                place = (top_of + buffer[j, ALIGN] - 1) // buffer[j, ALIGN] * buffer[j, ALIGN]
                if place + buffer[j, SIZE] > capacity or 0 <= buffer[j, FIXED] < place:
                    return False, top
                if top < room:
                    top = _set(now, j, FLOOR, place, trail, top)
    return True, top


@_inner
def _place(i, at, capacity, buffer, edge, cells, now, section, trail, top):  # type: ignore[no-untyped-def]
    """Put buffer i there: whether its neighbours still fit, and the new length of the trail."""
    now[i, OFFSET] = at
    good = at + buffer[i, SIZE] <= capacity
    for k in range(buffer[i, CELLS], buffer[i + 1, CELLS]):
        s = cells[k]
        good &= at + section[s, WAITING] <= capacity
        section[s, WAITING] -= buffer[i, SIZE]
    for s in range(buffer[i, BEGIN], buffer[i, LAST]):
        section[s, CUT] -= 1
    if not good:
        return False, top
    for k in range(buffer[i, EDGES], buffer[i + 1, EDGES]):
        j = edge[k, TO]
        if now[j, OFFSET] >= 0:
            continue
        lowest = at + edge[k, ABOVE]
        gap = now[j, HOLE]
        if gap < 0 and now[j, FLOOR] > now[j, LOW] and lowest > now[j, LOW]:
            gap = now[j, LOW]
        if gap >= 0 and at < gap + edge[k, BELOW]:
            gap = -1
        if gap != now[j, HOLE]:
            top = _set(now, j, HOLE, gap, trail, top)
        if lowest > now[j, LOW]:
            lowest = (lowest + buffer[j, ALIGN] - 1) // buffer[j, ALIGN] * buffer[j, ALIGN]
            top = _set(now, j, LOW, lowest, trail, top)
            if lowest > now[j, FLOOR]:
                top = _set(now, j, FLOOR, lowest, trail, top)
            if lowest + buffer[j, SIZE] > capacity or 0 <= buffer[j, FIXED] < lowest:
                return False, top
    return True, top


@_inner
def _take_back(depth, buffer, cells, now, section, depths, trail, top):  # type: ignore[no-untyped-def]
    """Undo the decision at `depth` and all later ones; the new length of the trail."""
    d = depth
    while d < depths.shape[0] and depths[d, BUFFER] >= 0:
        i = depths[d, BUFFER]
        if d > depth:
            depths[d, BUFFER] = -1
        now[i, OFFSET] = -1
        for k in range(buffer[i, CELLS], buffer[i + 1, CELLS]):
            section[cells[k], WAITING] += buffer[i, SIZE]
        for s in range(buffer[i, BEGIN], buffer[i, LAST]):
            section[s, CUT] += 1
        d += 1
    while top > depths[depth, TRAIL]:
        top -= 1
        now[trail[top, 0], trail[top, 1]] = trail[top, 2]
    return top


@_inner
def _split(depth, buffer, cells, now, section, depths, components, members, trail, state, top, pool):  # type: ignore[no-untyped-def]
    """The components that the decision at `depth` leaves: the first of the row, and new lengths of trail and components."""
    c = depths[depth, COMPONENT]
    i, begin, head = depths[depth, BUFFER], components[c, LEFT], components[c, SIBLING]
    row, end = components[c, ROW], components[c, ROW] + components[c, LENGTH]
    for m in range(row, end):
        if members[m] == i:
            members[m], members[end - 1] = members[end - 1], i
            break
    end -= 1
    for s in range(buffer[i, BEGIN], buffer[i, LAST] + 1):
        last = s == buffer[i, LAST]
        if row == end or (section[s, CUT] > 0 and not last):
            continue
        until = components[c, RIGHT] if last else s + 1
        m = row
        for k in range(row, end):
            j = members[k]
            if last or buffer[j, BEGIN] < until:
                members[k], members[m] = members[m], j
                m += 1
        if m > row:
            new = components[pool]
            new[LEFT], new[RIGHT], new[PARENT] = begin, until, depth
            new[ROW], new[LENGTH], new[SIBLING] = row, m - row, head
            head = pool
            pool += 1
            if state[RANKED] and m - row < components[c, LENGTH] - 1:
                for k in range(row, m):
                    j = members[k]
                    most = 0
                    for x in range(buffer[j, CELLS], buffer[j + 1, CELLS]):
                        most = max(most, section[cells[x], WAITING])
                    if most != now[j, WEIGHT]:
                        top = _set(now, j, WEIGHT, most, trail, top)
        row, begin = m, until
    return head, top, pool


@partial(kernel, error_model="numpy")
def search(  # type: ignore[no-untyped-def]
    capacity, budget, buffer, edge, cells, sharers, now, section, depths, components, members, trail, state
):
    """Continue the depth-first search for at most `budget` nodes.

    All arrays are int64; those of rows have the columns above. cells: the sections each buffer fills; members: all buffers,
    those of a component in a row; trail: rows of buffer, column and value to restore in `now`.
    Returns SOLVED, EXHAUSTED (no packing exists), PAUSED or FULL (the trail needs more rows).
    """
    depth, nodes, top, pool = state[DEPTH], state[NODES], state[TOP], state[POOL]
    stop = nodes + budget
    result = PAUSED
    while nodes < stop:
        c = depths[depth, COMPONENT]
        if c < 0:
            result = SOLVED
            break
        if top + 8 * now.shape[0] > trail.shape[0]:
            result = FULL
            break
        row, end = components[c, ROW], components[c, ROW] + components[c, LENGTH]
        i = members[row]
        for m in range(row + 1, end):
            j = members[m]
            higher = now[j, FLOOR] - now[i, FLOOR]
            lighter = now[i, WEIGHT] - now[j, WEIGHT]
            if higher < 0 or (higher == 0 and (lighter < 0 or (lighter == 0 and j < i))):
                i = j
        back = depth
        if buffer[i, FIXED] < 0 and now[i, FLOOR] > now[i, LOW]:  # it cannot lie on what is placed
            place = _rest(i, buffer, edge, now)
            if now[i, FLOOR] < place <= capacity - buffer[i, SIZE]:
                top = _set(now, i, FLOOR, place, trail, top)
                continue
            back = components[c, PARENT]
        else:
            nodes += 1
            depths[depth, TRAIL], depths[depth, MADE], depths[depth, BUFFER] = top, pool, i
            good, top = _place(i, now[i, FLOOR], capacity, buffer, edge, cells, now, section, trail, top)
            if good:
                good, top = _infer(
                    c, capacity, buffer, edge, sharers, now, section, components, members, trail, top
                )
            if good:
                head, top, pool = _split(
                    depth, buffer, cells, now, section, depths, components, members, trail, state, top, pool
                )
                depth += 1
                depths[depth, COMPONENT], depths[depth, BUFFER] = head, -1
                continue
        while back >= 0:  # the decision there is refuted
            depth, i = back, depths[back, BUFFER]
            top, pool = (
                _take_back(depth, buffer, cells, now, section, depths, trail, top),
                depths[depth, MADE],
            )
            depths[depth, BUFFER] = -1
            c = depths[depth, COMPONENT]
            if buffer[i, FIXED] < 0:
                place = _rest(i, buffer, edge, now)
                if now[i, FLOOR] < place <= capacity - buffer[i, SIZE]:
                    if now[i, HOLE] < 0:
                        top = _set(now, i, HOLE, now[i, LOW], trail, top)
                    top = _set(now, i, FLOOR, place, trail, top)
                    good, top = _infer(
                        c, capacity, buffer, edge, sharers, now, section, components, members, trail, top
                    )
                    if good:
                        break
            back = components[c, PARENT]
        if back < 0:
            result = EXHAUSTED
            break
    state[DEPTH], state[NODES], state[TOP], state[POOL] = depth, nodes, top, pool
    return result
