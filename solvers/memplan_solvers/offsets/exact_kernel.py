"""Branch and bound for offsets under a capacity, compiled: after MiniMalloc (Moffitt, ASPLOS 2023), with more
inference.

Wanted is a packing in which no buffer could drop, not even past others. The waiting buffer that can lie
lowest is put there; when that is refuted it rests on a buffer that waits still, and one that waits blocks the
place. `floor` has the lowest place each waiting buffer can have in any packing from here; `low`, never above
it, the lowest that what is placed allows. A section in which only one waiting buffer can be next has all
others above that one; one in which none can condemns the last decision. What is left is split wherever no
waiting buffer crosses a cut in time; a component without a packing condemns the decision that split it off,
whatever its siblings did.
"""

from __future__ import annotations

from memplan_solvers.jit import inner, kernel
from memplan_solvers.offsets.exact_floors import (
    aligned,
    lowest_on_waiting,
    note,
    raise_by_holes,
    raise_by_sections,
)
from memplan_solvers.offsets.exact_state import PackingInstance, SearchProgress, SliceOutcome


@inner(allocates=False)
def _lay(instance: PackingInstance, progress: SearchProgress, i: int, at: int) -> bool:
    """Put buffer i there; whether its neighbours still fit."""
    buffer, edge, place, section = instance.buffer, instance.edge, progress.place, progress.section
    cells, capacity = instance.cells, instance.capacity
    place[i].offset = at
    good = at + buffer[i].size <= capacity
    for k in range(buffer[i].cells, buffer[i + 1].cells):
        here = section[cells[k]]
        good &= at + here.waiting <= capacity
        here.waiting -= buffer[i].size
    for s in range(buffer[i].begin, buffer[i].last):
        section[s].crossing -= 1
    if not good:
        return False
    for k in range(buffer[i].edges, buffer[i + 1].edges):
        j = edge[k].to
        mine = place[j]
        if mine.offset >= 0:
            continue
        lowest = at + edge[k].above
        hole = mine.hole
        if hole < 0 and mine.floor > mine.low and lowest > mine.low:
            hole = mine.low
        if hole >= 0 and at < hole + edge[k].below:
            hole = -1
        if hole != mine.hole or lowest > mine.low:
            note(progress, j)
            mine.hole = hole
        if lowest > mine.low:
            lowest = aligned(lowest, buffer[j].alignment)
            mine.low, mine.floor = lowest, max(lowest, mine.floor)
            if lowest + buffer[j].size > capacity or 0 <= buffer[j].fixed < lowest:
                return False
    return True


@inner(allocates=False)
def _take_back(instance: PackingInstance, progress: SearchProgress, back: int) -> None:
    """Undo the decision at depth `back` and all later ones."""
    buffer, place, section, depth = instance.buffer, progress.place, progress.section, progress.depth
    counts, trail, cells = progress.counts[0], progress.trail, instance.cells
    d = back
    while d < len(depth) and depth[d].buffer >= 0:
        i = depth[d].buffer
        depth[d].buffer = -1
        place[i].offset = -1
        for k in range(buffer[i].cells, buffer[i + 1].cells):
            section[cells[k]].waiting += buffer[i].size
        for s in range(buffer[i].begin, buffer[i].last):
            section[s].crossing += 1
        d += 1
    while counts.changes > depth[back].changes:
        counts.changes -= 1
        change = trail[counts.changes]
        mine = place[change.buffer]
        mine.low, mine.floor, mine.hole, mine.weight = change.low, change.floor, change.hole, change.weight
    counts.components = depth[back].components


@inner(allocates=False)
def _rank_anew(instance: PackingInstance, progress: SearchProgress, row: int, stop: int) -> None:
    """Weigh the members of a new component by the most bytes that wait in a section that they fill."""
    buffer, cells, place, section = instance.buffer, instance.cells, progress.place, progress.section
    members = progress.members
    for k in range(row, stop):
        j = members[k]
        most = 0
        for x in range(buffer[j].cells, buffer[j + 1].cells):
            most = max(most, section[cells[x]].waiting)
        if most != place[j].weight:
            note(progress, j)
            place[j].weight = most


@inner(allocates=False)
def _split(instance: PackingInstance, progress: SearchProgress, c: int, i: int) -> None:
    """Go one deeper, to the components into which component c falls without buffer i."""
    buffer, section, members = instance.buffer, progress.section, progress.members
    counts, old = progress.counts[0], progress.component[c]
    begin, head, row, end = old.left, old.sibling, old.row, old.row + old.length
    for m in range(row, end):
        if members[m] == i:
            members[m], members[end - 1] = members[end - 1], i
            break
    end -= 1
    for s in range(buffer[i].begin, buffer[i].last + 1):
        last = s == buffer[i].last
        if row == end or (section[s].crossing > 0 and not last):
            continue
        until = old.right if last else s + 1
        m = row
        for k in range(row, end):
            j = members[k]
            if last or buffer[j].begin < until:
                members[k], members[m] = members[m], j
                m += 1
        if m > row:
            new = progress.component[counts.components]
            new.left, new.right, new.parent = begin, until, counts.depth
            new.row, new.length, new.sibling = row, m - row, head
            head = counts.components
            counts.components += 1
            if instance.ranks_anew and m - row < old.length - 1:
                _rank_anew(instance, progress, row, m)
        row, begin = m, until
    counts.depth += 1
    progress.depth[counts.depth].component, progress.depth[counts.depth].buffer = head, -1


@inner(allocates=False)
def _lowest_member(progress: SearchProgress, c: int) -> int:
    """The waiting buffer of component c whose floor is lowest; of those the one of largest weight, then the first."""
    place, members, component = progress.place, progress.members, progress.component[c]
    i = members[component.row]
    for m in range(component.row + 1, component.row + component.length):
        j = members[m]
        higher = place[j].floor - place[i].floor
        lighter = place[i].weight - place[j].weight
        if higher < 0 or (higher == 0 and (lighter < 0 or (lighter == 0 and j < i))):
            i = j
    return int(i)


@inner(allocates=False)
def _is_refuted(instance: PackingInstance, progress: SearchProgress, back: int) -> bool:
    """Take back the last decision, from depth `back` up, whose buffer may rest on one that waits; whether
    there is none.
    """
    buffer, edge, place = instance.buffer, instance.edge, progress.place
    while back >= 0:
        i, c = progress.depth[back].buffer, progress.depth[back].component
        _take_back(instance, progress, back)
        if buffer[i].fixed < 0:
            floor = lowest_on_waiting(buffer, edge, place, i)
            if place[i].floor < floor <= instance.capacity - buffer[i].size:
                note(progress, i)
                if place[i].hole < 0:
                    place[i].hole = place[i].low
                place[i].floor = floor
                if raise_by_holes(instance, progress, c) and raise_by_sections(instance, progress, c):
                    progress.counts[0].depth = back
                    return False
        back = progress.component[c].parent
    return True


@kernel(allocates=False)
def search(instance: PackingInstance, progress: SearchProgress, node_limit: int) -> SliceOutcome:
    """Continue the depth-first search for at most `node_limit` nodes."""
    buffer, edge, place, counts = instance.buffer, instance.edge, progress.place, progress.counts[0]
    stop = counts.nodes + node_limit
    while counts.nodes < stop:
        c = progress.depth[counts.depth].component
        if c < 0:
            return SliceOutcome.SOLVED
        if counts.changes + 8 * len(place) > len(progress.trail):
            return SliceOutcome.FULL
        i = _lowest_member(progress, c)
        if buffer[i].fixed < 0 and place[i].floor > place[i].low:  # it cannot lie on what is placed
            floor = lowest_on_waiting(buffer, edge, place, i)
            if place[i].floor < floor <= instance.capacity - buffer[i].size:
                note(progress, i)
                place[i].floor = floor
                continue
            back = progress.component[c].parent
        else:
            counts.nodes += 1
            decision = progress.depth[counts.depth]
            decision.changes, decision.components, decision.buffer = counts.changes, counts.components, i
            if _lay(instance, progress, i, place[i].floor):
                if raise_by_holes(instance, progress, c) and raise_by_sections(instance, progress, c):
                    _split(instance, progress, c, i)
                    continue
            back = counts.depth
        if _is_refuted(instance, progress, back):
            return SliceOutcome.EXHAUSTED
    return SliceOutcome.PAUSED
