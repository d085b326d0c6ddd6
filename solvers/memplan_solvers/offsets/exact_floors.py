"""The floors of a branch and bound: the lowest place that a waiting buffer can have in any packing, raised. Compiled."""

from __future__ import annotations

from memplan.base.units import MAX_BYTES
from memplan_solvers.common.arrays import Records
from memplan_solvers.jit import inlined, inner
from memplan_solvers.offsets.exact_state import PackingInstance, SearchProgress


@inlined(allocates=False)
def aligned(at: int, alignment: int) -> int:
    """The least multiple of the alignment from `at` on."""
    return (at + alignment - 1) // alignment * alignment


@inlined(allocates=False)
def note(progress: SearchProgress, j: int) -> None:
    """Write on the trail where buffer j may lie now, before that changes."""
    counts, place = progress.counts[0], progress.place[j]
    change = progress.trail[counts.changes]
    change.buffer, change.low, change.floor = j, place.low, place.floor
    change.hole, change.weight = place.hole, place.weight
    counts.changes += 1


@inner(allocates=False)
def lowest_on_waiting(buffer: Records, edge: Records, place: Records, j: int) -> int:
    """The lowest place of buffer j above one of those that wait and may block its hole; MAX_BYTES where none does."""
    hole = place[j].hole if place[j].hole >= 0 else place[j].low
    lowest = MAX_BYTES
    for k in range(buffer[j].edges, buffer[j + 1].edges):
        q = edge[k].to
        if place[q].offset < 0 and place[q].floor < hole + edge[k].above:
            if place[q].floor + edge[k].below < lowest:
                lowest = place[q].floor + edge[k].below
                place[j].blocker = k
    return aligned(lowest, buffer[j].alignment) if lowest < MAX_BYTES else MAX_BYTES


@inner(allocates=False)
def raise_by_holes(instance: PackingInstance, progress: SearchProgress, c: int) -> bool:
    """Raise floors in component c once, by what blocks each hole; whether a packing may exist."""
    buffer, edge, place, members = instance.buffer, instance.edge, progress.place, progress.members
    counts, component, capacity = progress.counts[0], progress.component[c], instance.capacity
    most_changes = len(progress.trail) - 2 * len(place)
    for m in range(component.row, component.row + component.length):
        j = members[m]
        mine = place[j]
        if mine.offset >= 0:
            continue
        floor = mine.floor
        if buffer[j].fixed >= 0:
            if floor > buffer[j].fixed:
                return False
            continue
        twin = buffer[j].twin
        if twin >= 0 and place[twin].offset < 0:
            floor = max(floor, place[twin].floor + buffer[twin].size)
        if floor > mine.low or mine.hole >= 0:
            k = mine.blocker
            reach = (mine.hole if mine.hole >= 0 else mine.low) + edge[k].above
            q = edge[k].to
            if place[q].offset >= 0 or place[q].floor >= reach or place[q].floor + edge[k].below > floor:
                floor = max(floor, lowest_on_waiting(buffer, edge, place, j))
        if floor + buffer[j].size > capacity:
            return False
        if floor > mine.floor and counts.changes < most_changes:
            note(progress, j)
            mine.floor = floor
    return True


@inner(allocates=False)
def _raise_others(
    instance: PackingInstance, progress: SearchProgress, s: int, first: int, least: int
) -> bool:
    """In section s all that wait but `first` lie from `least` on if they cannot be the lowest; whether they can."""
    buffer, sharers, place, section = instance.buffer, instance.sharers, progress.place, progress.section
    counts, most_changes = progress.counts[0], len(progress.trail) - 2 * len(progress.place)
    most = instance.capacity - section[s].waiting
    for k in range(section[s].sharers, section[s + 1].sharers):
        j = sharers[k]
        mine = place[j]
        if mine.offset < 0 and j != first and most < mine.floor < least:
            floor = aligned(least, buffer[j].alignment)
            if floor + buffer[j].size > instance.capacity or 0 <= buffer[j].fixed < floor:
                return False
            if counts.changes < most_changes:
                note(progress, j)
                mine.floor = floor
    return True


@inner(allocates=False)
def raise_by_sections(instance: PackingInstance, progress: SearchProgress, c: int) -> bool:
    """Raise floors in component c once, by who may be lowest in each section; whether a packing may exist."""
    buffer, sharers, place, section = instance.buffer, instance.sharers, progress.place, progress.section
    capacity = instance.capacity
    for s in range(progress.component[c].left, progress.component[c].right):
        here = section[s]
        if here.waiting == 0:
            continue
        most = capacity - here.waiting
        a, b = here.next, here.other
        if place[a].offset < 0 and place[a].floor <= most:
            if here.waiting == buffer[a].size:
                continue
            if a != b and place[b].offset < 0:
                if not most < place[b].floor < place[a].floor + buffer[a].size:
                    continue
        a, b, lowest, lower, top = -1, -1, MAX_BYTES, MAX_BYTES, MAX_BYTES
        for k in range(here.sharers, section[s + 1].sharers):
            j = sharers[k]
            if place[j].offset < 0:
                floor = place[j].floor
                if floor <= most:
                    top = min(top, floor + buffer[j].size)
                if floor < lowest:
                    b, lower = a, lowest
                    a, lowest = j, floor
                elif floor < lower:
                    b, lower = j, floor
        if lowest > most:
            return False
        here.next, here.other = a, b if b >= 0 else a
        if not _raise_others(instance, progress, s, a, top):
            return False
    return True
