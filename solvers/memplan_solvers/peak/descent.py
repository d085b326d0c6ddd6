"""The depth-first search over sets of executed ops under a limit of live bytes, in numba.

All state lies in arrays that the caller holds, so a search can be paused, looked at and resumed. It may begin
at any set.
"""

from __future__ import annotations

from memplan_solvers.jit import inlined, inner, kernel
from memplan_solvers.peak.descent_state import Descent, DescentOutcome, Phase
from memplan_solvers.peak.executed import execute, is_blocked, price, undo
from memplan_solvers.peak.met import UNBOUNDED, enter, is_free, note, row_of


@inner(allocates=False)
def execute_shrinking(of: Descent, limit: int) -> tuple[int, bool]:
    """Execute ready ops that fit and leave no more live than before; evaluations made, and whether there were any."""
    work = 0
    moved = False
    k = 0
    while k < of.executed.totals[0].ready:
        i = of.executed.ready[k]
        work += 1
        during, change = price(of.model, of.executed, i)
        if during <= limit and change <= 0 and not is_blocked(of.model, of.executed, i):
            execute(of.model, of.executed, i, change)
            moved = True  # another ready op has taken its place, so k stays
        else:
            k += 1
    return work, moved


@inner(allocates=False)
def execute_path(of: Descent, limit: int) -> tuple[int, bool]:
    """Execute a chain of ops, each enabled by the one before, up to its first return to the live bytes it began with.

    Evaluations made, and whether there was one.
    """
    totals = of.executed.totals[0]
    start = totals.count
    live = totals.live
    work = 0
    for k in range(totals.ready):
        i = of.executed.ready[k]
        while i >= 0:
            work += 1
            during, change = price(of.model, of.executed, i)
            if during > limit or is_blocked(of.model, of.executed, i):
                break
            execute(of.model, of.executed, i, change)
            if totals.live <= live:
                return work, True
            # On along the op that adds least of those which waited for this one alone.
            follower = -1
            least = UNBOUNDED
            for e in range(of.model.succs.at[i], of.model.succs.at[i + 1]):
                j = of.model.succs.values[e]
                if of.executed.waits[j] == 0:
                    work += 1
                    during, change = price(of.model, of.executed, j)
                    if during <= limit and change < least:
                        follower = j
                        least = change
            i = follower
        undo(of.model, of.executed, start)
    return work, False


@inlined(allocates=False)
def execute_safe(of: Descent, limit: int) -> int:
    """Make the safe moves, until none is left; evaluations made."""
    work = 0
    moved = True
    while moved and of.executed.totals[0].count < of.executed.waits.shape[0]:
        moved = False
        if of.rules.shrink:
            evaluated, moved = execute_shrinking(of, limit)
            work += evaluated
        if of.rules.path:
            evaluated, returned = execute_path(of, limit)
            work += evaluated
            moved = moved or returned
    return work


@inner(allocates=False)
def pass_articulation(of: Descent) -> None:
    """Forget what came before an articulation set: what comes from there on decides, whatever came before."""
    progress = of.stack.progress[0]
    passed = progress.passed
    sizes = of.model.articulation
    while progress.passed < sizes.shape[0] and sizes[progress.passed] <= of.executed.totals[0].count:
        progress.passed += 1
    if progress.passed > passed:
        progress.depth = 0
        progress.candidates = 0


@inner(allocates=False)
def recall(of: Descent, limit: int) -> tuple[DescentOutcome, int]:
    """What is known of the current set: FOUND, FAILED with the bytes it needs (UNBOUNDED: others tell), or
    PAUSED: nothing.

    In a table without bounds it is entered as one that fails, since it is not met again before it has.
    """
    totals = of.executed.totals[0]
    r = row_of(of.met, totals.key_a, totals.key_b)
    if is_free(of.met, r):
        if of.met.bounds.shape[0] == 0:
            enter(of.met, r, totals.key_a, totals.key_b)
        return DescentOutcome.PAUSED, UNBOUNDED
    if of.met.bounds.shape[0] == 0:
        return DescentOutcome.FAILED, UNBOUNDED
    if of.met.bounds[r].low > limit:
        return DescentOutcome.FAILED, of.met.bounds[r].low
    if of.met.bounds[r].high <= limit and of.rules.known:
        return DescentOutcome.FOUND, UNBOUNDED
    return DescentOutcome.PAUSED, UNBOUNDED


@inner(allocates=False)
def push_frame(of: Descent, limit: int) -> int:
    """Put the current set on the stack, with the ready ops that keep within the limit; evaluations made."""
    totals, progress = of.executed.totals[0], of.stack.progress[0]
    candidates, rank = of.stack.candidates, of.stack.rank
    begin = progress.candidates
    end = begin
    cut = UNBOUNDED
    for k in range(totals.ready):
        i = of.executed.ready[k]
        during, change = price(of.model, of.executed, i)
        if during > limit:
            cut = min(cut, during)
            continue
        # In descending order: the least change, then the least rank, is taken first.
        at = end
        while at > begin and (
            candidates[at - 1].change < change
            or (candidates[at - 1].change == change and rank[candidates[at - 1].op] < rank[i])
        ):
            candidates[at].op = candidates[at - 1].op
            candidates[at].change = candidates[at - 1].change
            at -= 1
        candidates[at].op = i
        candidates[at].change = change
        end += 1
    frame = of.stack.frames[progress.depth]
    frame.count = totals.count
    frame.begin = begin
    frame.cut = cut
    frame.key_a = totals.key_a
    frame.key_b = totals.key_b
    progress.candidates = end
    progress.depth += 1
    progress.expanded += 1
    evaluated: int = totals.ready
    return evaluated


@inner(allocates=False)
def pop_failed(of: Descent) -> None:
    """Take frames without candidates off the stack; what they cut off is cut off from the sets before them too."""
    progress, frames = of.stack.progress[0], of.stack.frames
    while progress.depth > 0 and progress.candidates == frames[progress.depth - 1].begin:
        progress.depth -= 1
        frame = frames[progress.depth]
        if of.met.bounds.shape[0] > 0:
            note(of.met, frame.key_a, frame.key_b, frame.cut, UNBOUNDED)
        if progress.depth > 0:
            frames[progress.depth - 1].cut = min(frames[progress.depth - 1].cut, frame.cut)
        else:
            progress.cut = frame.cut


@inner(allocates=False)
def is_full(of: Descent) -> bool:
    """Whether the candidates of one more set may not fit, or the table has too many sets for its rows."""
    sets = of.met.sets[0]
    crowded = sets.count < sets.most and 4 * (sets.count + 1) > 3 * of.met.keys.shape[0]
    n = of.executed.waits.shape[0]
    return of.stack.progress[0].candidates + n > of.stack.candidates.shape[0] or (
        of.rules.visited and crowded
    )


@inlined(allocates=False)
def take_candidate(of: Descent) -> bool:
    """Go back to the last set that has candidates left and execute the next of them; False where none has."""
    pop_failed(of)
    progress = of.stack.progress[0]
    if progress.depth == 0:
        return False
    undo(of.model, of.executed, of.stack.frames[progress.depth - 1].count)
    progress.candidates -= 1
    candidate = of.stack.candidates[progress.candidates]
    execute(of.model, of.executed, candidate.op, candidate.change)
    return True


@kernel(allocates=False)
def descend(of: Descent, limit: int, effort: int) -> DescentOutcome:
    """Search on for an order whose live bytes never exceed `limit`, PAUSED after about `effort` evaluations of an op.

    FOUND: the trail is the order, unless a set that is known to succeed was met. FAILED: there is no order
    from where the search began, and none below `progress.cut` bytes either. FULL: the table or the candidates
    have to be enlarged.
    """
    progress = of.stack.progress[0]
    work = 0
    while work <= effort:
        if progress.phase == Phase.TAKE:
            if not take_candidate(of):
                return DescentOutcome.FAILED
            progress.phase = Phase.EXPAND
        if is_full(of):
            return DescentOutcome.FULL
        work += execute_safe(of, limit)
        if of.executed.totals[0].count == of.executed.waits.shape[0]:
            return DescentOutcome.FOUND
        pass_articulation(of)
        progress.phase = Phase.TAKE
        outcome, needed = recall(of, limit) if of.rules.visited else (DescentOutcome.PAUSED, UNBOUNDED)
        if outcome == DescentOutcome.FOUND:
            return outcome
        if outcome == DescentOutcome.PAUSED:
            work += push_frame(of, limit)
        elif progress.depth == 0:
            progress.cut = needed
        else:
            frame = of.stack.frames[progress.depth - 1]
            frame.cut = min(frame.cut, needed)
    return DescentOutcome.PAUSED
