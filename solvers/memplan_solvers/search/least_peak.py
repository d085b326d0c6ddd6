"""The least peak of live bytes from a set of executed ops on, looked up or bounded by search, in numba.

The depth-first search of `peak`, from any set, with a table that keeps for every set met a lower and an upper
bound on the
peak still to come: a set that failed under one limit helps under all others.
"""

from __future__ import annotations

from memplan_solvers.jit import inlined, kernel
from memplan_solvers.peak.descent import descend
from memplan_solvers.peak.descent_state import Descent, DescentOutcome, DescentRules, Phase, new_descent
from memplan_solvers.peak.executed import live_arrays, undo
from memplan_solvers.peak.live import LiveModel
from memplan_solvers.peak.met import UNBOUNDED, enlarged, is_free, none_met, note, row_of

MOST_ROWS = 1 << 23
"""Rows beyond which a table does not grow, 32 bytes each."""

ROUNDS = 12
"""Limits that a look at the least peak from a set on may try."""


def least_peak(model: LiveModel, rows: int = 1 << 16) -> Descent:
    """A search that stands at the empty set; its table begins with `rows` rows, a power of two."""
    n = model.n
    candidates = n * (n + 1) // 2 + n + 1 if n < 400 else 65 * n
    rules = DescentRules(shrink=True, path=True, visited=True, known=True)
    return new_descent(live_arrays(model), none_met(rows, bounded=True), rules, candidates)


def grown(of: Descent) -> Descent:
    """The same search with a larger table, where the table is half full."""
    if 2 * of.met.sets["count"][0] < len(of.met.keys) or len(of.met.keys) >= MOST_ROWS:
        return of
    return of._replace(met=enlarged(of.met))


@kernel(allocates=False)
def keeps_within(of: Descent, limit: int, effort: int) -> tuple[DescentOutcome, int]:
    """Whether some order from where the search stands keeps within `limit`: FOUND, FAILED or PAUSED, and a lower bound.

    PAUSED after about `effort` evaluations of an op. The search stands where it stood afterwards, except that
    without the rule `known` a FOUND order is left in the trail.
    """
    totals, progress, frames = of.executed.totals[0], of.stack.progress[0], of.stack.frames
    root = totals.count
    key_a = totals.key_a
    key_b = totals.key_b
    r = row_of(of.met, key_a, key_b)
    if not is_free(of.met, r):
        bounds = of.met.bounds[r]
        if bounds.low > limit:
            return DescentOutcome.FAILED, bounds.low
        if bounds.high <= limit and of.rules.known:
            return DescentOutcome.FOUND, bounds.low
    progress.phase = Phase.EXPAND
    progress.depth = 0
    progress.candidates = 0
    outcome = descend(of, limit, effort)
    if outcome == DescentOutcome.FOUND:
        for d in range(progress.depth):
            note(of.met, frames[d].key_a, frames[d].key_b, 0, limit)
        note(of.met, key_a, key_b, 0, limit)
    elif outcome == DescentOutcome.FAILED:
        note(of.met, key_a, key_b, progress.cut, UNBOUNDED)
    else:
        outcome = DescentOutcome.PAUSED  # there is no room for more candidates: as good as out of time
    if outcome != DescentOutcome.FOUND or of.rules.known:
        undo(of.model, of.executed, root)
    return outcome, progress.cut


@inlined(allocates=False)
def raise_least_peak(of: Descent, low: int, capacity: int, effort: int) -> tuple[int, bool]:
    """A lower bound on the peak from where the search stands on, at least `low`, and whether it is at most `capacity`."""
    for _ in range(ROUNDS):
        limit = max(low, capacity)
        outcome, needed = keeps_within(of, limit, effort)
        if outcome == DescentOutcome.FAILED:
            low = max(low, needed)
        elif outcome == DescentOutcome.FOUND:
            return low, limit == capacity
        else:
            break
    return low, False
