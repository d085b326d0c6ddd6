"""The cut program: what is kept at some steps, and what is executed again between them, as an integer program.

Ops are first executed in the order of their numbers. A cut lies at the first execution of an op t. K(t) are the storages
written before that are live then; E(t) are the ops below t that are executed again from there to the next cut. Every
sequence of executions gives a point of the program: whoever is executed after the cut finds each operand from before it
in K(t) or written by E(t), and so does what is kept at the next cut. The bytes of K(t), beside what t itself needs, are
within the capacity. So its optimum is a lower bound, and where it has no point there is no sequence.

A guard says the same of an op that is executed again within a segment: what is kept at both ends of the segment, or written
by the cut's op and kept at the next cut, and not executed again there, lies beside what the op touches. Where the next cut
is that of the next op, an end says which op is executed last before it: all that is kept there lies beside what that one
touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from memplan_solvers.ilp.linear import Linear
from memplan_solvers.recompute.model import RecomputeModel


@dataclass
class CutSegment:
    """The steps from a cut to the next one.

    Args:
        cut: the op at whose first execution it begins.
        stop: the op at whose first execution the next one begins, or the number of ops.
        kept: variables by storage: it is live at the cut.
        again: variables by op: it is executed again in the segment; of the cut's op where a guard or an end speaks of it.
        through: variables by storage: it is live from the first step of the segment, or the end of that, to the next cut.
        last: variables by op: it is executed last before the next cut, where there is an end.
    """

    cut: int
    stop: int
    kept: dict[int, int] = field(default_factory=dict)
    again: dict[int, int] = field(default_factory=dict)
    through: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)


class CutProgram:
    """The program over some cuts, ascending, with guards, pairs of a cut and an op executed again in its segment, and with
    ends, cuts before that of the next op."""

    def __init__(
        self,
        model: RecomputeModel,
        cuts: Sequence[int],
        guards: Iterable[tuple[int, int]] = (),
        ends: Iterable[int] = (),
    ) -> None:
        self.model, self.linear = model, Linear()
        self.segments = [
            CutSegment(cut, stop) for cut, stop in zip(cuts, (*cuts[1:], model.n), strict=True)
        ]  # fmt: skip
        self._readers: list[list[int]] = [[] for _ in model.sizes]
        for i, reads in enumerate(model.reads):
            for s in reads:
                if not model.streamed[s]:
                    self._readers[s].append(i)
        for segment in self.segments:
            self._add_segment(segment)
        for before, after in pairwise(self.segments):
            for s, kept in after.kept.items():
                if self._begun(s, before.cut):
                    self.linear.add([(kept, -1), *self._sources(before, s)], low=0)
        for s, closing in enumerate(model.closing):
            if closing and self.segments and self._begun(s, self.segments[-1].cut):
                self.linear.add(self._sources(self.segments[-1], s), low=1)
        pairs = {segment.cut: (segment, after) for segment, after in pairwise(self.segments)}
        for cut, op in guards:
            if cut in pairs:
                self._add_guard(*pairs[cut], op)
        for cut in ends:
            if cut in pairs and pairs[cut][1].cut == cut + 1:
                self._add_end(*pairs[cut])
        self._limit_executions()

    def _begun(self, s: int, cut: int) -> bool:
        """Whether the storage has been live before the cut, or at it where it is live from the first step on."""
        model = self.model
        if model.producer[s] >= 0:
            return model.producer[s] < cut
        return model.opening[s] or (bool(self._readers[s]) and self._readers[s][0] < cut)

    def _sources(self, segment: CutSegment, s: int) -> list[tuple[int, int]]:
        """The variables one of which is 1 where the storage is to be had in the segment; it has begun before."""
        found = [(segment.kept[s], 1)]
        if (again := segment.again.get(self.model.producer[s])) is not None:
            found.append((again, 1))
        return found

    def _add_segment(self, segment: CutSegment) -> None:
        model, linear, cut = self.model, self.linear, segment.cut
        wanted = [
            (closing or bool(readers and readers[-1] >= cut)) and self._begun(s, cut)
            for s, (readers, closing) in enumerate(zip(self._readers, model.closing, strict=True))
        ]  # fmt: skip
        certain = [
            w and (model.producer[s] < 0 or not model.repeats[model.producer[s]])
            for s, w in enumerate(wanted)
        ]
        again = []
        for r in range(cut - 1, -1, -1):
            if model.repeats[r] and any(wanted[s] for s in model.writes[r]):
                again.append(r)
                for s in model.reads[r]:
                    wanted[s] |= not model.streamed[s]
        touched = {s for s in model.reads[cut] if not model.streamed[s]}
        for s, is_wanted in enumerate(wanted):
            if is_wanted:
                segment.kept[s] = linear.integer(int(certain[s] or s in touched), 1)
        for r in reversed(again):
            segment.again[r] = linear.binary(model.costs[r])
        beside = [s for s in model.reads[cut] if s not in segment.kept] + list(model.writes[cut])
        free = model.capacity - sum(model.sizes[s] for s in beside)
        linear.add([(v, model.sizes[s]) for s, v in segment.kept.items()], high=free)
        served: set[int] = set()
        for i in range(cut + 1, segment.stop):
            served.update(s for s in model.reads[i] if s in segment.kept)
        for s in sorted(served):
            linear.add(self._sources(segment, s), low=1)
        for r, variable in segment.again.items():
            for s in model.reads[r]:
                if not model.streamed[s]:
                    linear.add([(variable, -1), *self._sources(segment, s)], low=0)

    def _limit_executions(self) -> None:
        if self.model.most is not None:
            for r in range(self.model.n):
                terms = [(x.again[r], 1) for x in self.segments if r in x.again]
                if len(terms) >= self.model.most:
                    self.linear.add(terms, high=self.model.most - 1)

    def _add_guard(self, segment: CutSegment, after: CutSegment, op: int) -> None:
        model, linear = self.model, self.linear
        if op not in segment.again:
            return
        touched = {*model.reads[op], *model.writes[op]}
        terms = [(segment.again[op], sum(model.sizes[s] for s in touched))]
        for s, kept in after.kept.items():
            if s in touched or not (s in segment.kept or model.producer[s] == segment.cut):
                continue
            if s not in segment.through:
                segment.through[s] = self._add_through(segment, s, kept)
            terms.append((segment.through[s], model.sizes[s]))
        linear.add(terms, high=model.capacity)

    def _add_through(self, segment: CutSegment, s: int, kept_after: int) -> int:
        """A variable that is 1 where the storage is kept at the next cut, and at this one or written by its op, and nobody
        writes it between them."""
        through = self.linear.binary()
        row, low = [(through, 1), (kept_after, -1)], 0
        if s in segment.kept:
            row.append((segment.kept[s], -1))
            low = -1
        else:
            self._let_repeat(segment)
        if (again := segment.again.get(self.model.producer[s])) is not None:
            row.append((again, 1))
        self.linear.add(row, low=low)
        return through

    def _let_repeat(self, segment: CutSegment) -> None:
        """The cut's op may be executed again in the segment."""
        cut = segment.cut
        if self.model.repeats[cut] and cut not in segment.again:
            segment.again[cut] = self.linear.binary(self.model.costs[cut])

    def _add_end(self, segment: CutSegment, after: CutSegment) -> None:
        """The cut's op is executed last only if no other is executed after it, or it is so again; another only if something
        that it writes is kept."""
        model, linear, cut = self.model, self.linear, segment.cut
        self._let_repeat(segment)
        others = {r: again for r, again in segment.again.items() if r != cut}
        segment.last = {r: linear.binary() for r in (cut, *others)}
        linear.add([(last, 1) for last in segment.last.values()], low=1)
        repeated = [(segment.again[cut], -1)] if cut in segment.again else []
        for r, again in others.items():
            useful = [(after.kept[s], -1) for s in model.writes[r] if s in after.kept]
            linear.add([(segment.last[r], 1), (again, -1)], high=0)
            linear.add([(segment.last[r], 1), *useful], high=0)
            linear.add([(segment.last[cut], 1), (again, 1), *repeated], high=1)
        for r, last in segment.last.items():
            touched = {*model.reads[r], *model.writes[r]}
            beside = [(v, model.sizes[s]) for s, v in after.kept.items() if s not in touched]
            linear.add([(last, sum(model.sizes[s] for s in touched)), *beside], high=model.capacity)

    def decode(self, x: Sequence[int]) -> list[int]:
        """A sequence of executions that keeps and executes again what the point says, each as late as it can be."""
        model = self.model
        sequence = list(range(self.segments[0].cut)) if self.segments else list(range(model.n))
        for k, segment in enumerate(self.segments):
            kept = {s for s, v in segment.kept.items() if x[v]}
            again = {r for r, v in segment.again.items() if x[v]}
            later = (
                {s for s, v in self.segments[k + 1].kept.items() if x[v]}
                if k + 1 < len(self.segments)
                else set()
            )
            later |= {s for s, closing in enumerate(model.closing) if closing and k + 1 == len(self.segments)}

            def execute(i: int, kept: set[int] = kept, again: set[int] = again) -> None:
                for s in model.reads[i]:
                    p = model.producer[s]
                    if s not in kept and p in again:
                        execute(p)
                sequence.append(i)
                again.discard(i)
                kept.update(model.writes[i])

            for i in range(segment.cut, segment.stop):
                is_twice = i in again
                execute(i)
                if is_twice:
                    again.add(i)
                    kept.difference_update(model.writes[i])
            for r in sorted(again):
                if r in again and any(s in later for s in model.writes[r]):
                    execute(r)
        return sequence

    def encode(self, sequence: Sequence[int]) -> list[int]:
        """The point that a sequence gives."""
        model, x = self.model, list(self.linear.lower)
        first: dict[int, int] = {}
        for t, i in enumerate(sequence):
            first.setdefault(i, t)
        lives = model.lives(sequence)
        for segment in self.segments:
            start = first[segment.cut]
            stop = first[segment.stop] if segment.stop < model.n else len(sequence)
            for life in lives:
                if (
                    life.storage in segment.kept
                    and life.start < start + model.opening[life.storage]
                    and life.stop > start
                ):
                    x[segment.kept[life.storage]] = 1
            for i in sequence[start + 1 : stop]:
                if i in segment.again:
                    x[segment.again[i]] = 1
        for segment, after in pairwise(self.segments):
            for s, v in segment.through.items():
                again = segment.again.get(model.producer[s])
                is_there = s not in segment.kept or x[segment.kept[s]]
                x[v] = int(is_there and x[after.kept[s]] and not (again is not None and x[again]))
            if (last := sequence[first[after.cut] - 1]) in segment.last:
                x[segment.last[last]] = 1
        return x
