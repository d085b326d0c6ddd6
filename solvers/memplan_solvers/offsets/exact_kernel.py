"""Branch and bound for offsets under a capacity, compiled: after MiniMalloc (Moffitt, ASPLOS 2023).

Only canonical packings are visited: buffers in order of offset, each at the lowest place above the
neighbours below it. Pruned are: a candidate above which a waiting buffer would fit entirely
(dominance), equal buffers out of order, a buffer whose lowest place ends above the capacity, a
section whose waiting bytes do not fit above its floor.
"""

from __future__ import annotations

import numba
import numpy as np

SOLVED, EXHAUSTED, PAUSED = 1, 0, 2


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def search(  # type: ignore[no-untyped-def]
    size, align, fixed, twin, first, to, gap, section_first, section, capacity, budget,
    low, offset, waiting, floor, least, path, path_next, tried, level, trail_at, trail_kind, trail_index, trail_old, state
):  # fmt: skip
    """Continue the depth-first search for at most `budget` nodes; the state arrays hold where it stands.

    Buffers are numbered in branching order. size, align, fixed (-1: free), twin (the previous equal
    buffer or -1): int64[n]. low: lowest place now; offset: -1 while it waits. waiting, floor: int64[s] bytes
    that wait in a section and where its used part ends. path[d]: buffer placed at depth d;
    (tried[d], path_next[d]): place and buffer from which the next candidate is taken; level[d]: offset placed last before depth d.
    trail_*: values to restore, trail_at[d] where depth d begins. state: [depth, nodes, trail length].
    Returns SOLVED, EXHAUSTED (no packing exists) or PAUSED.
    """
    n = size.size
    depth, nodes, top = state[0], state[1], state[2]
    stop = nodes + budget
    while True:
        if depth == n:
            state[0], state[1], state[2] = depth, nodes, top
            return SOLVED
        if nodes >= stop:
            state[0], state[1], state[2] = depth, nodes, top
            return PAUSED
        base = level[depth]
        # The lowest end any waiting free buffer can have: whoever starts above it is dominated.
        ceiling = np.int64(9223372036854775807)
        dead = False
        for i in range(n):
            if offset[i] < 0:
                at = low[i]
                if at < base:
                    # It cannot rest where it is any more: what is placed from now on starts at `base`.
                    at = base
                if at + size[i] > capacity:
                    dead = True
                    break
                if fixed[i] >= 0:
                    if fixed[i] < at:
                        dead = True
                        break
                elif low[i] + size[i] < ceiling:
                    ceiling = low[i] + size[i]
        if ceiling <= base:
            dead = True
        if not dead and depth > 0:
            # Waiting bytes must fit above the lowest place that any of a section's waiting buffers has.
            for s in range(least.size):
                least[s] = capacity
            for i in range(n):
                if offset[i] < 0:
                    at = max(low[i], base)
                    for k in range(section_first[i], section_first[i + 1]):
                        if at < least[section[k]]:
                            least[section[k]] = at
            for s in range(least.size):
                if waiting[s] > 0 and least[s] + waiting[s] > capacity:
                    dead = True
                    break
        chosen = -1
        if not dead:
            # Lowest place first, then branching order; what was tried here before is not tried again.
            best = ceiling
            for i in range(n):
                if offset[i] >= 0:
                    continue
                at = low[i]
                if fixed[i] >= 0:
                    at = fixed[i]
                if at < base or at >= best or at < tried[depth] or (at == tried[depth] and i < path_next[depth]):
                    continue
                if at == base and depth > 0 and i < path[depth - 1] and offset[path[depth - 1]] == base:
                    continue  # the two could have come in the other order
                t = twin[i]
                if t >= 0 and offset[t] < 0 and low[t] == low[i]:
                    continue  # its equal goes first
                chosen = i
                best = at
        if chosen < 0:
            # Nothing left here: take back the decision above.
            path_next[depth] = 0
            tried[depth] = 0
            if depth == 0:
                state[0], state[1], state[2] = depth, nodes, top
                return EXHAUSTED
            depth -= 1
            i = path[depth]
            for k in range(section_first[i], section_first[i + 1]):
                waiting[section[k]] += size[i]
            while top > trail_at[depth]:
                top -= 1
                if trail_kind[top] == 0:
                    low[trail_index[top]] = trail_old[top]
                else:
                    floor[trail_index[top]] = trail_old[top]
            offset[i] = -1
            continue
        nodes += 1
        i = chosen
        at = fixed[i] if fixed[i] >= 0 else low[i]
        path_next[depth], tried[depth] = i + 1, at
        path[depth] = i
        trail_at[depth] = top
        offset[i] = at
        end = at + size[i]
        good = True
        for k in range(section_first[i], section_first[i + 1]):
            s = section[k]
            waiting[s] -= size[i]
            if end > floor[s]:
                trail_kind[top], trail_index[top], trail_old[top] = 1, s, floor[s]
                top += 1
                floor[s] = end
            if waiting[s] > 0 and floor[s] + waiting[s] > capacity:
                good = False
        for k in range(first[i], first[i + 1]):
            j = to[k]
            if offset[j] < 0:
                lowest = at + gap[k]
                lowest = (lowest + align[j] - 1) // align[j] * align[j]
                if lowest > low[j]:
                    trail_kind[top], trail_index[top], trail_old[top] = 0, j, low[j]
                    top += 1
                    low[j] = lowest
                    if lowest + size[j] > capacity or (fixed[j] >= 0 and lowest > fixed[j]):
                        good = False
                        break
        depth += 1
        level[depth] = at
        path_next[depth], tried[depth] = 0, 0
        if not good:
            tried[depth] = capacity + 1  # leave the new node at once
