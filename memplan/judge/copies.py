"""Where each storage's bytes are, from which boundary on they can be read, and what made them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

from memplan.judge.plan_view import PlanView
from memplan.problem.plan import Move, Residency

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


_start = itemgetter(Copy._fields.index("start"))


class Copies:
    """Every copy of a plan's storages, by storage and memory, by start.

    Args:
        view: the plan.
    """

    def __init__(self, view: PlanView) -> None:
        self.view, self.moves = view, view.plan.moves
        self.born: dict[tuple[str, int], list[Residency]] = {}  # by storage and writing step
        self.found: dict[tuple[str, str], list[Copy]] = {}
        self._find_resident()
        self._find_unaddressed()
        self._find_parts()

    def at(self, storage: str, memory: str, step: int) -> Copy | None:
        """The copy that lies there in a step, ready or not."""
        rows = self.found.get((storage, memory), ())
        k = bisect_right(rows, step, key=_start)
        return rows[k - 1] if k and step < rows[k - 1].stop else None

    @cached_property
    def served(self) -> dict[str, list[str | None]]:
        """Per storage that is not ignored, the memory that serves each step of `PlanView.uses`: of those that
        its op may read the first with a copy that is ready; None without one, and where it is the caller's.
        """
        uses, ignored = self.view.uses, self.view.ignored
        return {s: [self._serving(s, t) for t in steps] for s, steps in uses.items() if s not in ignored}

    def _serving(self, storage: str, step: int) -> str | None:
        for memory in self.view.readable(step, storage):
            rows = self.found.get((storage, memory), ())
            k = bisect_right(rows, step, key=_start)
            if k and rows[k - 1].ready <= step < rows[k - 1].stop:
                return memory
        return None

    @cached_property
    def destinations(self) -> dict[str, list[str | None]]:
        """Per storage, the memory to which each step of `PlanView.written` writes it, of a part that of the joined
        output; None where it is the caller's, or has no place."""
        view, born = self.view, self.born
        backing = view.target.host.name
        nowhere = None if backing in view.addressed else backing  # what has no residency lies there
        found: dict[str, list[str | None]] = {}
        for s, steps in view.written.items():
            if view.is_callers(s):
                found[s] = [None] * len(steps)
                continue
            part = view.parts.get(s)
            begins = [(s, t) for t in steps] if part is None else [(part.storage, *view.begins[part.storage])]
            found[s] = [born[begin][0].memory if begin in born else nowhere for begin in begins]
        return found

    @cached_property
    def sources(self) -> list[Copy | None]:
        """The copy that each move reads: the latest that is ready at its issue and lasts until it is due.

        One that a move makes by that very boundary counts where that move is listed before.
        """
        return [self._source(i, move) for i, move in enumerate(self.moves)]

    def _source(self, i: int, move: Move) -> Copy | None:
        rows = self.found.get((move.tensor, move.source), ())
        k = bisect_right(rows, move.issue, key=_start)
        for copy in reversed(rows[max(0, k - 2) : k]):
            maker = copy.makers[0] if copy.makers else HOME
            done = maker < i or self.moves[maker].due < move.issue
            if done and copy.ready <= move.issue and move.due <= copy.end:
                return copy
        return None

    @cached_property
    def races(self) -> list[tuple[int, int]]:
        """Pairs of moves: one fills bytes of a residency that stops at its issue, and that the other reads."""
        # The second, by the memory, stop, first byte and end of what they read.
        readers: dict[tuple[str, int, int, int], list[int]] = defaultdict(list)
        for j, copy in enumerate(self.sources):
            if copy is None or copy.offset is None:
                continue
            m = self.moves[j]
            if size := self._size(m.tensor, m.source):
                readers[m.source, copy.stop, copy.offset, copy.offset + size].append(j)
        ended: dict[tuple[str, int], list[tuple[int, int, list[int]]]] = defaultdict(list)
        for (memory, stop, first, end), moves in sorted(readers.items()):
            ended[memory, stop].append((first, end, moves))
        found = []
        for i, m in enumerate(self.moves):
            before = ended.get((m.destination, m.issue), ())
            copy = self.at(m.tensor, m.destination, m.issue) if before else None
            if copy is None or copy.offset is None or copy.start != m.issue or copy.makers[0] != i:
                continue
            k = bisect_right(before, copy.offset, key=itemgetter(1))
            size = self._size(m.tensor, m.destination)
            while size and k < len(before) and before[k][0] < copy.offset + size:
                found += [(i, j) for j in before[k][2]]
                k += 1
        return found

    def _size(self, storage: str, memory: str) -> int:
        """Bytes that the storage takes there; 0 where no residency of it is."""
        rows = self.view.residencies.get((storage, memory))
        return rows[0].size if rows else 0

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

    def _find_resident(self) -> None:
        """The copies that residencies hold."""
        view, overwritten = self.view, self._overwritten()
        arriving: dict[tuple[str, str], dict[int, list[int]]] = defaultdict(dict)
        for i, m in enumerate(self.moves):
            arriving[m.tensor, m.destination].setdefault(m.issue, []).append(i)
        for (s, memory), rows in view.residencies.items():
            given = view.is_given(s) and view.home(s) == memory
            arrivals, begins = arriving.get((s, memory), {}), view.begins.get(s, {})
            found = self.found[s, memory] = []
            for r in rows:
                makers: tuple[int, ...] = ()
                ready = r.start
                if given and r.start == 0:
                    makers, ready = (HOME,), 0
                elif r.start in begins:
                    makers, ready = (WRITTEN,), begins[r.start]
                if r.start in arrivals:
                    due = min([self.moves[i].due for i in arrivals[r.start]])
                    makers, ready = (*arrivals[r.start], *makers), min(due, ready) if makers else due
                elif makers == (WRITTEN,):
                    self.born.setdefault((s, r.start), []).append(r)
                end = r.stop - ((s, memory, r.offset, r.stop) in overwritten)
                found.append(Copy(r.start, ready, r.stop, end, makers, r.offset))

    def _find_unaddressed(self) -> None:
        """The copies in memories without addresses: each is there from its first maker on and never ends."""
        view = self.view
        arrivals: dict[tuple[str, str], list[tuple[int, bool, int, int]]] = defaultdict(list)
        for s in view.storages:  # where an ignored constant is only its moves ask
            if view.is_given(s) and not view.is_callers(s) and (s not in view.ignored or s in view.moved):
                arrivals[s, view.home(s)].append((0, False, HOME, 0))
        host = view.target.host.name
        for s, begins in view.begins.items():
            for t, ready in begins.items():
                if (s, t) not in self.born and view.is_placeable(s):
                    arrivals[s, host].append((t, True, WRITTEN, ready))
        for i, m in enumerate(self.moves):
            arrivals[m.tensor, m.destination].append((m.issue, False, i, m.due))
        forever = view.n + 1
        for (s, memory), rows in arrivals.items():
            if memory not in view.addressed:
                rows.sort()
                ready = min([row[-1] for row in rows])
                makers = tuple([row[2] for row in rows])
                self.found[s, memory] = [Copy(rows[0][0], ready, forever, forever, makers)]
        unaddressed = [m.name for m in view.target.memories if m.name not in view.addressed]
        for output, given in view.renewed.items():  # its home buffer is the output's from then on
            for memory in unaddressed:
                if (output, memory) in self.found:
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
