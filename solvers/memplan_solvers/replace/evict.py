"""Replacement by eviction on demand: keep everything until an op does not fit, then evict by rank.

Spill late: nothing leaves before a step that would be over the capacity, and nothing comes back before its
next use. Bytes only; the packer decides afterwards whether the stretches have addresses.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Protocol

from memplan_solvers.replace import Rank
from memplan_solvers.residency import Stretch, Walk


class Presence:
    """What is in the scratchpad while an order is walked, and the stretches closed so far."""

    def __init__(self, walk: Walk) -> None:
        problem = walk.problem
        self.walk = walk
        self.storages = problem.storages
        self.n = problem.n
        self.streamed = problem.options.weights == "stream"
        self.since: dict[int, int] = {}
        self.stretches: list[list[Stretch]] = [[] for _ in self.storages]
        self.stored = [s.in_host for s in self.storages]
        self.position = [0] * len(self.storages)
        self.pinned = {s for s, storage in enumerate(self.storages) if storage.pinned}
        self.released = {step: s for s, step in released(walk).items()}

    def opening(self) -> list[int]:
        """Storages that are there before step 0 (resident inputs)."""
        return [s for s, storage in enumerate(self.storages) if storage.resident and storage.is_input]

    def next_use(self, s: int) -> int | None:
        """The step of the next touch of s, None where there is none."""
        steps = self.walk.steps[s]
        return steps[self.position[s]] if self.position[s] < len(steps) else None

    def cost(self, s: int) -> int:
        """Bytes that evicting s costs: its reload, and its store where only the reload needs one."""
        storage = self.storages[s]
        return storage.nbytes * (1 if self.stored[s] or storage.is_output else 2)

    def outlook(self, s: int, t: int) -> tuple[int, int, int]:
        """What a rank judges by at step t: steps until the next use, size, cost of eviction."""
        following = self.next_use(s)
        distance = self.n if following is None else following - t
        return distance, self.storages[s].size, self.cost(s)

    def enter(self, s: int, t: int) -> None:
        self.since[s] = t

    def leave(self, s: int, stop: int) -> None:
        """Close the stretch of s; if it is needed again it has been stored by then."""
        self.stretches[s].append((self.since.pop(s), stop))
        self.stored[s] = True

    def pass_step(self, t: int) -> list[int]:
        """Note that step t's touches are over; the storages that nothing needs any more."""
        over = []
        self.pinned.discard(self.released.get(t, -1))
        for s in self.walk.touches[t]:
            self.position[s] += 1
            last = self.position[s] == len(self.walk.steps[s])
            stays = self.storages[s].resident and self.storages[s].is_output
            if (last and not stays) or (self.streamed and self.storages[s].is_constant):
                over.append(s)
        return over

    def finish(self) -> list[list[Stretch]]:
        """Close what is still open at the end."""
        for s in sorted(self.since):
            self.leave(s, self.n)
        return self.stretches


def evict_on_demand(
    walk: Walk, capacity: int, rank: Rank | None, stop: Callable[[], bool] = lambda: False
) -> list[list[Stretch]] | None:
    """Stretches per storage whose sizes fit `capacity` at every step; None where none fit, or on `stop`.

    Without a `rank` the farthest next use leaves (Belady 1966), kept in a heap: O(touches log). With
    one, O(ops + evictions x live storages).
    """
    presence = Presence(walk)
    return evict(
        walk, capacity, presence, _ByNextUse(presence) if rank is None else _ByRank(presence, rank), stop
    )


def released(walk: Walk) -> dict[int, int]:
    """The steps after which storages may leave that are kept until their parts are joined, by storage."""
    held = {s: storage.held_by for s, storage in enumerate(walk.problem.storages) if storage.held_by >= 0}
    step = {i: t for t, i in enumerate(walk.order)} if held else {}
    return {s: step[i] for s, i in held.items() if not walk.problem.storages[s].resident}


class Victims(Protocol):
    """Who decides what leaves."""

    def choose(self, touched: tuple[int, ...], t: int, deficit: int) -> list[int]:
        """Storages to evict before step t, none of them touched by it, so that `deficit` bytes come free."""

    def touched(self, storages: tuple[int, ...]) -> None:
        """Told of what each step's op touched, after the step."""


def evict(
    walk: Walk, capacity: int, presence: Presence, victims: Victims, stop: Callable[[], bool] = lambda: False
) -> list[list[Stretch]] | None:
    """`evict_on_demand` with a choice of victims of one's own, who see `presence`."""
    sizes = [s.size for s in presence.storages]
    live = 0
    for s in presence.opening():
        presence.enter(s, 0)
        live += sizes[s]
    for t, touched in enumerate(walk.touches):
        new = [s for s in touched if s not in presence.since]
        shared = sum(sizes[s] for s in touched if s in walk.inplace and walk.steps[s][0] == t)
        live += sum(sizes[s] for s in new) - shared
        if live > capacity:
            if stop():
                return None
            for s in victims.choose(touched, t, live - capacity):
                presence.leave(s, t)
                live -= sizes[s]
            if live > capacity:
                return None
        for s in sorted(new):
            presence.enter(s, t)
        for s in presence.pass_step(t):
            presence.leave(s, t + 1)
            live -= sizes[s]
        live += shared
        victims.touched(touched)
    return presence.finish()


def around_each_op(walk: Walk) -> list[list[Stretch]]:
    """Everything stored and reloaded around every op: fits wherever each op alone does."""
    pinned, until = Presence(walk).pinned, released(walk)
    found: list[list[Stretch]] = []
    for s, (whole, steps) in enumerate(zip(walk.whole, walk.steps, strict=True)):
        if s in until:
            later = [(t, t + 1) for t in steps if t > until[s]]
            found.append([(whole[0][0], until[s] + 1), *later])
        else:
            found.append(whole if s in pinned else [(t, t + 1) for t in steps])
    return found


def only_pinned(walk: Walk) -> list[list[Stretch]]:
    """Nothing but what must be there: for targets whose operands may be served from host."""
    pinned = Presence(walk).pinned
    return [whole if s in pinned else [] for s, whole in enumerate(walk.whole)]


def without_spills(walk: Walk) -> list[list[Stretch]]:
    """What is present where nothing spills: everything, or with operands anywhere what must be there."""
    return only_pinned(walk) if walk.problem.target.direct else walk.whole


class _ByRank:
    """Victims by a rank that may change from step to step."""

    def __init__(self, presence: Presence, rank: Rank) -> None:
        self.presence, self.rank = presence, rank

    def touched(self, storages: tuple[int, ...]) -> None:
        """Ranks are computed when they are needed."""

    def choose(self, touched: tuple[int, ...], t: int, deficit: int) -> list[int]:
        """Storages to evict so that `deficit` bytes come free, none of them superfluous."""
        presence = self.presence
        ranked = []
        for s in presence.since:
            if s not in touched and s not in presence.pinned:
                ranked.append((self.rank(*presence.outlook(s, t)), s))
        ranked.sort(reverse=True)
        chosen, freed = [], 0
        for _, s in ranked:
            if freed >= deficit:
                break
            chosen.append(s)
            freed += presence.storages[s].size
        # A later, larger victim may have made an earlier one superfluous.
        for s in sorted(chosen, key=lambda s: -presence.cost(s)):
            if freed - presence.storages[s].size >= deficit:
                chosen.remove(s)
                freed -= presence.storages[s].size
        return chosen


class _ByNextUse:
    """Victims by their next use, the farthest first; keys change only when a storage is touched."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.heap: list[tuple[int, int, int]] = []

    def touched(self, storages: tuple[int, ...]) -> None:
        """Note the new next use of what the op touched, where it stays."""
        for s in storages:
            if s in self.presence.since and s not in self.presence.pinned:
                following = self.presence.next_use(s)
                far = self.presence.n if following is None else following
                heapq.heappush(self.heap, (-far, self.presence.cost(s), s))

    def choose(self, touched: tuple[int, ...], t: int, deficit: int) -> list[int]:
        """Storages to evict so that `deficit` bytes come free."""
        presence, chosen, kept = self.presence, set(), []
        while deficit > 0 and self.heap:
            key = heapq.heappop(self.heap)
            far, _, s = key
            following = presence.next_use(s)
            current = presence.n if following is None else following
            if s not in presence.since or s in chosen or -far != current:
                continue  # stale
            if s in touched:
                kept.append(key)
                continue
            chosen.add(s)
            deficit -= presence.storages[s].size
        for key in kept:
            heapq.heappush(self.heap, key)
        return sorted(chosen)
