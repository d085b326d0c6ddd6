"""Where each storage's bytes are, from which boundary on they can be read, and what made them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from memplan.judge.plan_view import PlanView
from memplan.problem.plan import Residency

HOME, WRITTEN = -1, -2
"""What makes a copy where no move does: it is at home there, or an execution writes it."""


class Copy(NamedTuple):
    """The bytes of a storage in one memory for a while.

    Args:
        start: boundary from which they are there, or under way.
        ready: boundary from which they can be read.
        stop: the steps before it can read them; beyond the last step where they never end.
        end: the moves due by it can read them: `stop`, or one sooner where the step before overwrites them.
        makers: what makes them: indices of moves, HOME, WRITTEN; of a residency just one, if the plan is valid.
        offset: their first byte, None in a memory without addresses.
    """

    start: int
    ready: int
    stop: int
    end: int
    makers: tuple[int, ...]
    offset: int | None = None


class Copies:
    """Every copy of a plan's storages, by storage and memory, by start.

    Args:
        view: the plan.
    """

    def __init__(self, view: PlanView) -> None:
        self.view, self.moves = view, view.plan.moves
        self.born: dict[tuple[str, int], list[Residency]] = defaultdict(list)  # by storage and writing step
        self.found: dict[tuple[str, str], list[Copy]] = {}
        arriving: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        for i, m in enumerate(self.moves):
            arriving[m.tensor, m.destination, m.issue].append(i)
        overwritten = self._overwritten()
        for (s, memory), rows in view.residencies.items():
            self.found[s, memory] = [
                self._resident(r, arriving.get((s, memory, r.start), []), overwritten) for r in rows
            ]
        self._find_unaddressed()
        self._find_parts()

    def at(self, storage: str, memory: str, step: int) -> Copy | None:
        """The copy that lies there in a step, ready or not."""
        rows = self.found.get((storage, memory), ())
        k = bisect_right(rows, step, key=lambda c: c.start)
        return rows[k - 1] if k and step < rows[k - 1].stop else None

    def serving(self, storage: str, memories: tuple[str, ...], step: int) -> str | None:
        """The first of these memories in which an execution at this step finds the storage."""
        for memory in memories:
            copy = self.at(storage, memory, step)
            if copy is not None and copy.ready <= step:
                return memory
        return None

    def source(self, i: int) -> Copy | None:
        """The copy that move `i` reads: the latest that is ready at its issue and lasts until it is due.

        One that a move makes by that very boundary counts where that move is listed before.
        """
        move = self.moves[i]
        rows = self.found.get((move.tensor, move.source), ())
        k = bisect_right(rows, move.issue, key=lambda c: c.start)
        for copy in reversed(rows[max(0, k - 2) : k]):
            maker = copy.makers[0] if copy.makers else HOME
            done = maker < i or self.moves[maker].due < move.issue
            if done and copy.ready <= move.issue and move.due <= copy.end:
                return copy
        return None

    def races(self) -> Iterator[tuple[int, int]]:
        """Pairs of moves: one fills bytes of a residency that stops at its issue, and that the other reads."""
        readers: dict[tuple[str, str, int], list[int]] = defaultdict(list)  # by residency, told by its stop
        for i, m in enumerate(self.moves):
            copy = self.source(i)
            if copy is not None and copy.stop <= self.view.n:
                readers[m.tensor, m.source, copy.stop].append(i)
        ended: dict[tuple[str, int], list[Residency]] = defaultdict(list)
        for (s, memory), rows in self.view.residencies.items():
            for r in rows:
                if r.size and (s, memory, r.stop) in readers:
                    ended[memory, r.stop].append(r)
        for parts in ended.values():
            parts.sort(key=lambda r: r.offset)
        for (s, memory), rows in self.view.residencies.items():
            for r, c in zip(rows, self.found[s, memory], strict=True):
                before = ended.get((memory, r.start), ()) if r.size and c.makers and c.makers[0] >= 0 else ()
                k = bisect_right(before, r.offset, key=lambda q: q.offset + q.size)
                while k < len(before) and before[k].offset < r.offset + r.size:
                    yield from ((c.makers[0], j) for j in readers[before[k].tensor, memory, r.start])
                    k += 1

    def destination(self, storage: str, step: int) -> str:
        """The memory to which an execution at this step writes the storage; of a part, that of the joined output."""
        part = self.view.parts.get(storage)
        if part is not None:
            step, storage = next(iter(self.view.begins[part.storage])), part.storage
        born = self.born.get((storage, step))
        return born[0].memory if born else self.view.target.host.name

    def _overwritten(self) -> set[tuple[str, str, int, int]]:
        """Storage, memory, offset and stop of what in-place executions write over."""
        if not self.view.plan.inplace:
            return set()
        starting: dict[tuple[str, int], list[Residency]] = defaultdict(list)
        for rows in self.view.residencies.values():
            for r in rows:
                starting[r.tensor, r.start].append(r)
        found = set()
        for step, output, operand in self.view.plan.inplace:
            part = self.view.parts.get(output)
            storage, first = part if part is not None else (output, 0)
            begin = step if part is None else next(iter(self.view.begins[storage]))
            for r in starting.get((storage, begin), ()):
                found.add((operand, r.memory, r.offset + first, step + 1))
        return found

    def _resident(self, r: Residency, moves: list[int], overwritten: set[tuple[str, str, int, int]]) -> Copy:
        makers, ready = list(moves), [self.moves[i].due for i in moves]
        if r.start == 0 and self.view.is_given(r.tensor) and self.view.home(r.tensor) == r.memory:
            makers.append(HOME)
            ready.append(0)
        begins = self.view.begins.get(r.tensor, {})
        if r.start in begins:
            makers.append(WRITTEN)
            ready.append(begins[r.start])
            if not moves:
                self.born[r.tensor, r.start].append(r)
        over = (r.tensor, r.memory, r.offset, r.stop) in overwritten
        return Copy(r.start, min(ready, default=r.start), r.stop, r.stop - over, tuple(makers), r.offset)

    def _find_unaddressed(self) -> None:
        """The copies in memories without addresses: each is there from its first maker on and never ends."""
        view = self.view
        arrivals: dict[tuple[str, str], list[tuple[int, bool, int, int]]] = defaultdict(list)
        for s in set(view.graph.storage_of.values()):
            if view.is_given(s) and not view.is_callers(s):
                arrivals[s, view.home(s)].append((0, False, HOME, 0))
        for s, begins in view.begins.items():
            for t, ready in begins.items():
                if not self.born.get((s, t)) and view.is_placeable(s):
                    arrivals[s, view.target.host.name].append((t, True, WRITTEN, ready))
        for i, m in enumerate(self.moves):
            arrivals[m.tensor, m.destination].append((m.issue, False, i, m.due))
        forever = view.n + 1
        for (s, memory), rows in arrivals.items():
            if memory not in view.addressed:
                rows.sort()
                ready = min(row[-1] for row in rows)
                makers = tuple(row[2] for row in rows)
                self.found[s, memory] = [Copy(rows[0][0], ready, forever, forever, makers)]
        for output, given in view.renewed.items():  # its home buffer is the output's from then on
            for memory in {memory for s, memory in arrivals if s == output} - view.addressed:
                start = self.found[output, memory][0].start
                self.found[given, memory] = [
                    c._replace(stop=start, end=start) for c in self.found.get((given, memory), ())
                ]

    def _find_parts(self) -> None:
        """Parts lie in the joined output: in its first residency from their own writer on, elsewhere where it is ready."""
        for x, part in self.view.parts.items():
            begin, written = next(iter(self.view.begins[part.storage])), self.view.written[x][0]
            for memory in self.view.addressed:
                for c in self.found.get((part.storage, memory), ()):
                    ready = (
                        min(c.ready, written + 1) if (c.start, c.makers) == (begin, (WRITTEN,)) else c.ready
                    )
                    copy = c._replace(ready=ready, offset=(c.offset or 0) + part.first)
                    self.found.setdefault((x, memory), []).append(copy)
