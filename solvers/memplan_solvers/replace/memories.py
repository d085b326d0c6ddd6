"""Moves on demand, between any memories: what an op reads is brought where it can be read, and what is used
last leaves.

Belady's rule (1966), as a run-time allocator with addresses would follow it: nothing is moved before a step needs it or
its bytes, and who leaves is needed late, or is small. It goes to the fastest other memory that has a hole, else to the
backing memory; who has a copy elsewhere is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from memplan.problem.plan import InPlace, Move, Residency
from memplan_solvers.common.holes import NOWHERE
from memplan_solvers.placement.lives import Lives
from memplan_solvers.replace.rights import Rights
from memplan_solvers.replace.state import OpenResidency, State
from memplan_solvers.replace.windows import cheapest_window, hole


class ResidencyPolicy(NamedTuple):
    """How it is decided who lies where.

    Args:
        directly: whether ops read and write slow memory, where they can, before anything has to leave a faster one.
        brief: steps within which who is done with lies at the upper end of a hole.
        fetching: whether what ops could read in a memory without addresses comes to a faster one that has a hole for it.
    """

    directly: bool
    brief: int
    fetching: bool = False


class Stuck(Exception):
    """A storage finds no place, or no way to one."""


def moved_on_demand(
    lives: Lives, policy: ResidencyPolicy, stop: Callable[[], bool] = lambda: False
) -> State | None:
    """A plan for the order: all residencies, moves and in-place pairs; None where it gets stuck, or `stop` says so."""
    walk = _Walk(lives, policy)
    try:
        walk.begin()
        for t in range(lives.n):
            if stop():
                return None
            walk.take(t)
        walk.end()
    except Stuck:
        return None
    return walk.state


class _Walk:
    def __init__(self, lives: Lives, policy: ResidencyPolicy) -> None:
        self.lives, self.policy, self.rights = lives, policy, Rights(lives)
        self.target, self.items, self.order = lives.problem.target, lives.items, self.rights.order
        self.steps = [sorted(lives.step[i] for i in item.touches) for item in self.items]
        self.reads: list[list[int]] = [[] for _ in lives.order]
        self.writes: list[list[int]] = [[] for _ in lives.order]
        for k, item in enumerate(self.items):
            for i in item.readers:
                self.reads[lives.step[i]].append(k)
            if not item.is_given:
                self.writes[lives.step[item.writer]].append(k)
        self.over = {(p.step, p.output): p.operand for p in lives.pairs}
        loose = tuple(name for name in self.order if name not in lives.addressed)
        at_home = (k for k, item in enumerate(self.items) if item.is_given and item.home in loose)
        held = {(k, self.items[k].home): None for k in at_home}
        self.state = State({name: {} for name in lives.addressed}, loose, held)

    def begin(self) -> None:
        """Who is at home in a memory with addresses lies there before step 0."""
        for k, item in enumerate(self.items):
            if item.is_given and item.home in self.lives.addressed:
                if self.rights.pin[k].host:
                    raise Stuck
                self._settle(k, item.home, 0, bound=self.rights.is_resident(k) or item.is_output)

    def step(self, t: int) -> None:
        """Bring what the op reads, place what it writes, and let go who is not needed any more."""
        for k, reach in self._choosiest(self.reads[t], t, writing=False):
            found = self._found(k, reach)
            if found is None:
                self._bring(k, reach, t)
            elif self.policy.fetching and found in self.state.loose and not self.rights.is_resident(k):
                faster = (m for m in reach[: reach.index(found)] if m in self.lives.addressed)
                any(self._copy(k, memory, t, evicting=False) for memory in faster)
        for k, reach in self._choosiest(self.writes[t], t, writing=True):
            self._write(k, reach, t)
        self._let_go(t)

    def _choosiest(self, storages: Iterable[int], t: int, writing: bool) -> list[tuple[int, tuple[str, ...]]]:
        """The storages with the memories that the op reaches, those with the least choice first, the largest
        of them first.
        """
        found = [(k, self.rights.reach(k, t, writing)) for k in storages]
        return sorted(found, key=lambda x: (len(x[1]), -self.items[x[0]].nbytes, x[0]))

    def take(self, t: int) -> None:
        """Step `t` as it comes; where what is needed lies in each other's way, once that has left, or all
        has, to come back.

        Stuck where even that leaves no room.
        """
        before = self.state.mark()
        for leaving in ((), self.reads[t], range(len(self.items))):
            try:
                for memory in self.lives.addressed:
                    for k in sorted(self.state.open[memory].keys() & {*leaving}):
                        if self._may_leave(k, memory, t, set()):
                            self._evict(k, memory, t, hold=False)
                return self.step(t)
            except Stuck:
                self.state.rewind(before)
        raise Stuck

    def end(self) -> None:
        """Close what lies there to the end, put the moves in order, and see that every output is at home."""
        self.state.moves.sort(key=lambda m: m.issue)  # what is stored after a step was listed in it
        for memory, there in self.state.open.items():
            for k in sorted(there):
                self._close(k, memory, self.lives.n)
        for k, item in enumerate(self.items):
            at_home = item.home in self.lives.addressed or (k, item.home) in self.state.held
            if item.is_output and not at_home:
                raise Stuck

    def _next_use(self, k: int, t: int) -> int:
        """The first step from `t` on that touches the storage; beyond the last where none does."""
        return next((u for u in self.steps[k] if u >= t), self.lives.n)

    def _found(self, k: int, memories: Iterable[str]) -> str | None:
        """The first of the memories that has a copy."""
        return next((m for m in memories if self.state.has(k, m)), None)

    def _hole(self, k: int, memory: str, t: int) -> int:
        """An offset at which the storage has a hole there, else NOWHERE; who is soon done with lies high in it."""
        brief = self.lives.last[k] - t <= self.policy.brief
        return hole(self.state.taken(memory), self.rights.footprint(k, memory), brief)

    def _settle(self, k: int, memory: str, t: int, bound: bool, offset: int | None = None) -> None:
        """The storage lies there from boundary `t` on."""
        offset = self._hole(k, memory, t) if offset is None else offset
        if offset == NOWHERE:
            raise Stuck
        self.state.open[memory][k] = OpenResidency(t, offset, self.rights.footprint(k, memory).size, bound)

    def _close(self, k: int, memory: str, stop: int) -> None:
        """Its residency there ends before step `stop`."""
        x = self.state.open[memory].pop(k)
        if x.start < stop:
            self.state.residencies.append(
                Residency(self.items[k].name, memory, x.start, stop, x.offset, x.size)
            )

    def _move(self, k: int, source: str, destination: str, t: int) -> None:
        if self.rights.pin[k].host:
            raise Stuck
        queue = self.target.copying_queues(source, destination)[0]
        self.state.moves.append(Move(self.items[k].name, source, destination, t, t, queue))
        if destination in self.state.loose:
            self.state.held[k, destination] = None

    def _may_leave(self, k: int, memory: str, t: int, needed: set[int]) -> bool:
        """Whether the storage's residency there may end at boundary `t`."""
        x = self.state.open[memory][k]
        if x.bound or x.start == t or k in needed:
            return False
        elsewhere = self.state.is_elsewhere(k, memory)
        return elsewhere or self._refuge(k, memory, t) is not None

    def _refuge(self, k: int, memory: str, t: int, hold: bool = True) -> str | None:
        """The fastest other memory that can take the storage in: one with a hole, if it may be held there,
        else the last.
        """
        for m in self.order:
            if m == memory or not self.rights.may_lie(k, m) or not self.target.copying_queues(memory, m):
                continue
            if m in self.state.loose or (hold and self._hole(k, m, t) != NOWHERE):
                return m
        return None

    def _evict(self, k: int, memory: str, t: int, hold: bool = True) -> None:
        """The storage leaves: dropped where there is another copy, else moved to its refuge."""
        if self._next_use(k, t) < self.lives.n or self.items[k].is_output:
            if not self.state.is_elsewhere(k, memory):
                refuge = self._refuge(k, memory, t, hold) or self._refuge(k, memory, t)
                if refuge is None:
                    raise Stuck
                if refuge not in self.state.loose:
                    self._settle(k, refuge, t, bound=self.rights.is_bound(k, refuge))
                self._move(k, memory, refuge, t)
        self._close(k, memory, t)

    def _bring(self, k: int, reach: Sequence[str], t: int) -> None:
        """Make a copy where the op of step `t` reads it."""
        kept = self.rights.pin[k].keep and any(k in there for there in self.state.open.values())
        if kept or self.rights.is_resident(k):
            raise Stuck
        if not any(self._copy(k, memory, t, evicting) for memory, evicting in self._ways(reach)):
            raise Stuck

    def _copy(self, k: int, memory: str, t: int, evicting: bool) -> bool:
        """Copy the storage there before step `t`, where it can be copied and has room; whether it was."""
        sources = self.rights.copies_from(k, memory)
        if self._found(k, sources) is None:
            return False
        if memory in self.lives.addressed and not self._make_room(k, memory, t, evicting):
            return False
        source = next(m for m in sources if self.state.has(k, m))
        if memory in self.lives.addressed:
            self._settle(k, memory, t, bound=self.rights.is_bound(k, memory))
        self._move(k, source, memory, t)
        return True

    def _write(self, k: int, reach: tuple[str, ...], t: int) -> None:
        """Place what the op of step `t` writes, and store an output that is not at home there."""
        item = self.items[k]
        if item.is_output and item.home in reach and not self._may_store(k, reach):
            reach = (item.home,)
        if self._overwrite(k, reach, t):
            return self._store(k, t)
        for memory, evicting in self._ways(reach):
            if memory in self.state.loose:
                if item.is_workspace or self.rights.pin[k].keep:
                    continue
                self.state.held[k, memory] = None
                return self._store(k, t)
            if self._make_room(k, memory, t, evicting):
                self._settle(k, memory, t, bound=self.rights.is_bound(k, memory))
                return self._store(k, t)
        raise Stuck

    def _may_store(self, k: int, reach: Sequence[str]) -> bool:
        """Whether an output can be written elsewhere and then be moved home, which then is no place with an address."""
        home = self.items[k].home
        return home in self.state.loose and any(self.target.copying_queues(m, home) for m in reach)

    def _store(self, k: int, t: int) -> None:
        """Move an output home right after it was written; nothing where it is there."""
        item = self.items[k]
        if not item.is_output or self.state.has(k, item.home):
            return
        source = next(m for m in self.order if self.state.has(k, m))
        if not self.target.copying_queues(source, item.home):
            raise Stuck
        if item.home in self.lives.addressed:
            if t + 1 == self.lives.n:  # there is no step left in which it could lie there
                raise Stuck
            self._settle(k, item.home, t + 1, bound=True)
        self._move(k, source, item.home, t + 1)

    def _overwrite(self, k: int, reach: Sequence[str], t: int) -> bool:
        """Write the storage over its operand, where the options allow that and both may lie there."""
        operand = self.over.get((t, k))
        for memory in reach if operand is not None else ():
            x = self.state.open.get(memory, {}).get(operand if operand is not None else -1)
            if x is None or operand is None or (memory == self.items[operand].home and x.start == 0):
                continue
            size, alignment, _, pinned = self.rights.footprint(k, memory)
            if size == x.size and x.offset % alignment == 0 and pinned in (None, x.offset):
                self._close(operand, memory, t + 1)
                self._settle(k, memory, t, self.rights.is_bound(k, memory), x.offset)
                self.state.inplace.append(InPlace(t, self.items[k].name, self.items[operand].name))
                return True
        return False

    def _ways(self, reach: Sequence[str]) -> list[tuple[str, bool]]:
        """Memories to be tried in turn, and whether somebody may have to leave for it."""
        fast = [m for m in reach if m in self.lives.addressed]
        slow = [(m, False) for m in reach if m in self.state.loose]
        free, evicting = [(m, False) for m in fast], [(m, True) for m in fast]
        return [*free, *slow, *evicting] if self.policy.directly else [*free, *evicting, *slow]

    def _make_room(self, k: int, memory: str, t: int, evicting: bool) -> bool:
        """Whether the storage has a hole there, once those have left whom it costs least, if that is allowed."""
        if self._hole(k, memory, t) != NOWHERE:
            return True
        leaving = self._window(k, memory, t) if evicting else None
        for victim in leaving or ():
            self._evict(victim, memory, t)
        return leaving is not None

    def _window(self, k: int, memory: str, t: int) -> list[int] | None:
        """Who has to leave for the storage, where that costs least; None where nobody can."""
        taken, needed = self.state.taken(memory), {*self.reads[t], *self.writes[t]}
        loss = {who: self._loss(who, memory, t, needed) for _, _, who in taken}
        return cheapest_window(taken, self.rights.footprint(k, memory), loss)

    def _loss(self, k: int, memory: str, t: int, needed: set[int]) -> float | None:
        """How bad it is that the storage leaves: bytes to be moved, the more the sooner it is needed; None
        where it may not.
        """
        if not self._may_leave(k, memory, t, needed):
            return None
        copied = self.state.is_elsewhere(k, memory)
        return self.items[k].nbytes * (1 if copied else 2) / (1 + self._next_use(k, t) - t)

    def _let_go(self, t: int) -> None:
        """End the residencies that nothing needs after step `t`."""
        for memory, there in self.state.open.items():
            for k in sorted(there):
                item = self.items[k]
                stays = item.is_output and (memory == item.home or not self.state.has(k, item.home))
                streamed = item.is_streamed and memory != item.home
                if (self.lives.last[k] <= t and not stays) or streamed:
                    self._close(k, memory, t + 1)
