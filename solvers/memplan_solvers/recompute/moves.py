"""Changes of a sequence of executions: ops inserted, deleted and moved. Each writes the proposed sequence."""

from __future__ import annotations

from memplan_solvers.common.arrays import Ints
from memplan_solvers.common.random_numbers import rand
from memplan_solvers.jit import inlined, inner
from memplan_solvers.recompute.executions import Executions, Facts, copy

MOST_IN_CHAIN = 24
"""Ops that are inserted at once, at most."""

EARLIER = 0.3
"""Share of insertions that are not just before the next use: there may be less room there than at a step before."""


@inner(allocates=False)
def insert(facts: Facts, state: Executions) -> bool:
    """Execute again, before its next use, what is live at an over-full step and not touched there.

    Mostly just before that use; alone, or with operands that are no longer live then. What is executed as often as it
    may be gives up its other executions but the first. Where no step is over-full any step will do. False where there
    is nothing.
    """
    side = state.status[0].side
    t = _step(facts, state, side)
    s = _victim(facts, state, side, t)
    if s < 0:
        return False
    length = state.sides[side].length
    u = t + 1
    while u < length and not _reads(facts, state.sequence[side, u], s):
        u += 1
    if rand(state.random) < EARLIER:
        u = t + 1 + int(rand(state.random) * (u - t))
    count = _mark_chain(facts, state, u, facts.producer[s])
    if length + count > state.sequence.shape[1]:
        _unmark(state, count)
        return False
    old, new = state.sequence[side], state.sequence[1 - side]
    before = _copy_within_limit(facts, state, old, 0, u, new, 0)
    after = _copy_within_limit(facts, state, old, u, length, new, before + count)
    _write_chain(state, new, before, count)
    state.sides[1 - side].length = after
    return True


@inlined(allocates=False)
def _copy_within_limit(
    facts: Facts, state: Executions, old: Ints, start: int, stop: int, new: Ints, to: int
) -> int:
    """Copy `old[start:stop]` to where `new[to:]` begins, and return where the copy ends.

    Of what is to be inserted and is executed as often as it may be, all but the first execution are left out.
    """
    side = state.status[0].side
    for t in range(start, stop):
        i = old[t]
        if not (state.marked[i] and state.times[side, i] >= facts.most and state.first[side, i] != t):
            new[to] = i
            to += 1
    return to


@inlined(allocates=False)
def _step(facts: Facts, state: Executions, side: int) -> int:
    """An over-full step of the current sequence; any, where there is none."""
    length, live = state.sides[side].length, state.live[side]
    if state.sides[side].excess <= 0.0:
        return int(rand(state.random) * length)
    start = int(rand(state.random) * length)
    t = start
    while live[t] <= facts.room[state.sequence[side, t]]:
        t = t + 1 if t + 1 < length else 0
    return t


@inlined(allocates=False)
def _victim(facts: Facts, state: Executions, side: int, t: int) -> int:
    """A storage that is live at step t, not touched there, and used later; -1 without one."""
    best, best_score = -1, -1.0
    i = state.sequence[side, t]
    by_worth = rand(state.random) < 0.6
    for row in range(state.sides[side].lives):
        life = state.lives[side, row]
        s = life.storage
        if not (life.start < t and (life.last > t or facts.closing[s])):
            continue
        p = facts.producer[s]
        if p < 0 or not facts.repeats[p] or _reads(facts, i, s):
            continue
        score = rand(state.random)
        if by_worth:
            score *= facts.size[s] / (facts.cost[p] + 1e-3)
        if score > best_score:
            best, best_score = s, score
    return best


@inlined(allocates=False)
def _reads(facts: Facts, i: int, s: int) -> bool:
    found = False
    for k in range(facts.first_read[i], facts.first_read[i + 1]):
        found |= facts.reads[k] == s
    return found


@inlined(allocates=False)
def _mark_chain(facts: Facts, state: Executions, u: int, op: int) -> int:
    """Mark the op, and with some chance those that write operands not live before step u; how many are marked."""
    side = state.status[0].side
    drawn = rand(state.random)
    share = 0.0 if drawn < 0.4 else 0.6 if drawn < 0.6 else 1.0
    state.marked[op] = True
    state.stack[0] = op
    count, done = 1, 0
    while done < count:
        i = state.stack[done]
        done += 1
        for k in range(facts.first_read[i], facts.first_read[i + 1]):
            s = facts.reads[k]
            p = facts.producer[s]
            if p < 0 or state.marked[p] or not facts.repeats[p]:
                continue
            if count < MOST_IN_CHAIN and not _is_live(state, side, s, u) and rand(state.random) < share:
                state.marked[p] = True
                state.stack[count] = p
                count += 1
    return count


@inlined(allocates=False)
def _is_live(state: Executions, side: int, s: int, u: int) -> bool:
    """Whether the storage is live both before and during step u of the current sequence."""
    row = state.newest[side, s]
    while row >= 0 and state.lives[side, row].start >= u:
        row = state.lives[side, row].older
    return row >= 0 and bool(state.lives[side, row].last >= u)


@inlined(allocates=False)
def _unmark(state: Executions, count: int) -> None:
    for k in range(count):
        state.marked[state.stack[k]] = False


@inlined(allocates=False)
def _write_chain(state: Executions, sequence: Ints, at: int, count: int) -> None:
    """Write the marked ops in the order of their numbers, in which operands come first, and unmark them."""
    chain = sequence[at : at + count]
    for k in range(count):
        i, j = state.stack[k], k
        while j > 0 and chain[j - 1] > i:
            chain[j] = chain[j - 1]
            j -= 1
        chain[j] = i
    _unmark(state, count)


@inlined(allocates=False)
def _again(facts: Facts, state: Executions, side: int, t: int) -> bool:
    """Whether the execution at step t may go, since its op is executed at another too."""
    i = state.sequence[side, t]
    return bool(state.times[side, i] > 1 and not (facts.fixed[i] and state.first[side, i] == t))


@inlined(allocates=False)
def _some_again(facts: Facts, state: Executions, side: int) -> int:
    """A step whose execution may go, -1 without one."""
    length = state.sides[side].length
    start = int(rand(state.random) * length)
    for k in range(length):
        t = start + k if start + k < length else start + k - length
        if _again(facts, state, side, t):
            return t
    return -1


@inlined(allocates=False)
def _run(facts: Facts, state: Executions, side: int, t: int) -> int:
    """The end of a run of executions that may go, from step t on; longer ones are rarer."""
    stop = t + 1
    more = 0.7 if rand(state.random) < 0.4 else 0.0
    while stop < state.sides[side].length and rand(state.random) < more and _again(facts, state, side, stop):
        stop += 1
    return stop


@inner(allocates=False)
def delete(facts: Facts, state: Executions) -> bool:
    """Leave out one execution or a run of them; False where each op is executed once."""
    side = state.status[0].side
    t = _some_again(facts, state, side)
    if t < 0:
        return False
    stop, length = _run(facts, state, side, t), state.sides[side].length
    copy(state.sequence[side], 0, t, state.sequence[1 - side], 0)
    copy(state.sequence[side], stop, length, state.sequence[1 - side], t)
    state.sides[1 - side].length = length - (stop - t)
    return True


@inner(allocates=False)
def shift(facts: Facts, state: Executions) -> bool:
    """Move one execution that is not the first, or a run of them; False where there is none."""
    side = state.status[0].side
    t = _some_again(facts, state, side)
    if t < 0:
        return False
    stop, length = _run(facts, state, side, t), state.sides[side].length
    least = 0
    for k in range(t, stop):
        least = max(least, state.first[side, state.sequence[side, k]] + 1)
    far = rand(state.random)
    by = 1 + int(far * far * far * 0.5 * length)
    to = max(least, t - by) if rand(state.random) < 0.5 else min(length, stop + by)
    if t <= to <= stop:
        return False
    _move(state, t, stop, to)
    return True


@inner(allocates=False)
def shift_first(facts: Facts, state: Executions) -> bool:
    """Move the first execution of an op between those that it depends on and those that depend on it."""
    side = state.status[0].side
    length, sequence = state.sides[side].length, state.sequence[side]
    i = int(rand(state.random) * len(facts.cost))
    t = state.first[side, i]
    least = 0
    for k in range(facts.first_pred[i], facts.first_pred[i + 1]):
        least = max(least, state.first[side, facts.preds[k]] + 1)
    most = t + 1
    while most < length and not _depends(facts, sequence[most], i):
        most += 1
    to = least + int(rand(state.random) * (most - least))
    if to == t:
        return False
    _move(state, t, t + 1, to if to < t else to + 1)
    return True


@inlined(allocates=False)
def _depends(facts: Facts, i: int, on: int) -> bool:
    found = False
    for k in range(facts.first_pred[i], facts.first_pred[i + 1]):
        found |= facts.preds[k] == on
    return found


@inlined(allocates=False)
def _move(state: Executions, t: int, stop: int, to: int) -> None:
    """Propose the current sequence with its steps [t, stop) put before step `to`, which is not among them."""
    side = state.status[0].side
    old, new = state.sequence[side], state.sequence[1 - side]
    length, count = state.sides[side].length, stop - t
    copy(old, 0, length, new, 0)
    if to < t:
        copy(old, t, stop, new, to)
        copy(old, to, t, new, to + count)
    else:
        copy(old, stop, to, new, t)
        copy(old, t, stop, new, to - count)
    state.sides[1 - side].length = length
