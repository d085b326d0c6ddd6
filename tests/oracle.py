"""The optimum of tiny problems by brute force, straight from the model's definitions.

Written apart from every engine: it reads the graph, the target and the options only, knows nothing of bounds, windows,
dominance or integer programs, and shares no code with the solvers. Exponential; for at most 8 ops, with
addresses for at most 6.

Two exchanges are used, and nothing else: a load that is not due at this step may wait for the step that needs it, and
an eviction that makes no room at this step may wait for one that does. Both leave traffic and live bytes as they are or
lower, and only shorten residencies or keep them within the capacity.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from memplan.base.units import align_up
from memplan.problem.problem import Problem

Row = tuple[int, int, int, int]
"""(start, stop, size, place): bytes needed in steps [start, stop) at one offset, at `place` unless that is -1."""


@dataclass(frozen=True)
class Thing:
    """One storage that may be placed. `touches` are op numbers; `writer` is -1 for inputs and constants.

    `held` is the joined op, -1 without one, until which it may not leave: its parts lie in it from the first writer on.
    """

    name: str
    nbytes: int
    size: int
    touches: frozenset[int]
    writer: int
    constant: bool
    output: bool
    from_start: bool
    to_end: bool
    streamed: bool
    keep: bool
    place: int
    held: int = -1

    @property
    def pinned(self) -> bool:
        """Whether it may not leave between its first touch and its last."""
        return self.from_start or self.to_end or self.keep


class Oracle:
    """One problem, seen through the definitions, with these ops joined."""

    def __init__(self, problem: Problem, joined: Collection[str] = ()) -> None:
        self.joined = joined
        self.graph, self.options, self.target = problem.graph, problem.options, problem.target
        self.capacity = self.target.scratchpad.capacity
        self.alignment = self.target.scratchpad.alignment
        self.n = len(self.graph.ops)
        self.things = self._things()
        self.touched = [{k for k, s in enumerate(self.things) if i in s.touches} for i in range(self.n)]
        self.pairs = self._pairs()
        producer = self.graph.producer
        number = {op.name: i for i, op in enumerate(self.graph.ops)}
        self.needs = [
            {producer[x] for x in op.inputs if x in producer} | {number[x] for x in op.after}
            for op in self.graph.ops
        ]

    def _things(self) -> list[Thing]:
        graph, options = self.graph, self.options
        lies = {x: op.results[0] for op in graph.ops if op.name in self.joined for x, _ in op.joins}
        root = dict(graph.storage_of)
        for name, storage in root.items():
            while storage in lies:
                storage = lies[storage]
            root[name] = storage
        self.root = root
        held = {op.results[0]: i for i, op in enumerate(graph.ops) if op.name in self.joined}
        touches: dict[str, set[int]] = {}
        for i, op in enumerate(graph.ops):
            if not op.view:
                for name in {root[x] for x in (*op.inputs, *op.outputs)}:
                    touches.setdefault(name, set()).add(i)
        outputs = graph.output_storages
        if options.io == "resident":
            touches |= {x: touches.get(x, set()) for x in outputs if graph.tensor[x].kind == "input"}
        found = []
        for name in sorted(touches):
            tensor = graph.tensor[name]
            constant = tensor.kind == "constant"
            pin, _, place = options.pins.get(name, "").partition("@")
            callers = tensor.kind == "input" or (tensor.kind == "activation" and name in outputs)
            if callers and options.io == "external":
                continue
            if (constant and options.weights == "ignore") or pin == "host":
                continue
            resident = options.io == "resident" and not constant
            found.append(
                Thing(
                    name,
                    tensor.nbytes,
                    align_up(tensor.nbytes, self.alignment),
                    frozenset(touches[name]),
                    graph.producer.get(name, -1),
                    constant,
                    name in outputs,
                    from_start=resident and tensor.kind == "input",
                    to_end=resident and name in outputs,
                    streamed=constant and options.weights == "stream",
                    keep=pin == "keep" or tensor.kind == "workspace",
                    place=int(place or -1),
                    held=held.get(name, -1),
                )
            )
        return found

    def _pairs(self) -> dict[int, tuple[int, list[int]]]:
        """Per op that may work in place: what it writes, and what it might write over (rule 8)."""
        if not (self.options.inplace or self.options.donate):
            return {}
        graph, number = self.graph, {s.name: k for k, s in enumerate(self.things)}
        pairs = {}
        for i, op in enumerate(graph.ops):
            if not op.overwrites or op.name in self.joined:
                continue
            out = graph.tensor[op.overwrites[0][0]]
            if out.name not in number or not self.lies(self.things[number[out.name]]):
                continue
            over = []
            for _, x in op.overwrites:
                source = number.get(graph.storage_of[x])
                if source is None or source in over or not self.lies(self.things[source]):
                    continue
                s = self.things[source]
                donated = s.name in self.options.donate
                kind, resident = graph.tensor[s.name].kind, self.options.io == "resident"
                may = self.options.inplace and not (kind == "input" and resident)
                if (may or (kind == "input" and donated)) and not s.output:
                    over.append(source)
            if over:
                pairs[i] = number[out.name], over
        return pairs

    def lies(self, s: Thing) -> bool:
        """Whether it must lie in the scratchpad where it is touched."""
        return not self.target.direct or s.pinned

    # Orders

    def ready(self, done: frozenset[int]) -> list[int]:
        """Ops that may come next."""
        if self.options.order == "program":
            return [len(done)] if len(done) < self.n else []
        return [i for i in range(self.n) if i not in done and self.needs[i] <= done]

    def orders(self, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
        """Every order the options allow."""
        if len(done) == self.n:
            yield done
        for i in self.ready(frozenset(done)):
            yield from self.orders((*done, i))

    def may_overwrite(self, i: int, done: frozenset[int]) -> list[int]:
        """What op i could write over if it comes right after `done`: its operands without a later use."""
        return [s for s in self.pairs.get(i, (0, []))[1] if self.things[s].touches <= done | {i}]

    # Joins

    @staticmethod
    def choices(problem: Problem) -> Iterator[tuple[str, ...]]:
        """Every set of ops that rule 9 lets a plan join."""
        graph, alignment = problem.graph, problem.target.scratchpad.alignment
        placed = {s.name for s in Oracle(problem).things}
        able = []
        for op in graph.ops if problem.options.join else ():
            parts = [x for x, _ in op.joins]
            inside = all(graph.tensor[x].kind == "activation" and x in placed for x in parts)
            kept = any(problem.options.pins.get(x, "").startswith("keep") for x in parts)
            aligned = all(first % alignment == 0 for _, first in op.joins)
            if parts and inside and aligned and op.results[0] in placed and not kept:
                if not set(parts) & graph.output_storages:
                    able.append(op)
        for count in range(len(able) + 1):
            for ops in itertools.combinations(able, count):
                parts = [x for op in ops for x, _ in op.joins]
                if len(set(parts)) == len(parts):
                    yield tuple(op.name for op in ops)

    # Without spills

    def least_live_peak(self) -> int:
        """The least live peak of any order without spills."""

        @cache
        def rest(done: frozenset[int]) -> int:
            ways = []
            for i in self.ready(done):
                live = 0
                for s in self.things:
                    if not self.lies(s):
                        continue
                    begun = s.from_start or bool(s.touches & done)
                    needed = s.to_end or bool(s.touches - done)
                    if i in s.touches or (begun and needed and not s.streamed):
                        live += s.size
                if self.may_overwrite(i, done):
                    live -= self.things[self.pairs[i][0]].size
                ways.append(max(live, rest(done | {i})))
            return min(ways, default=0)

        return rest(frozenset())

    def least_hosting_peak(self) -> int:
        """The same where an operand that dies under a joined part may lie in that part's place, free until then (rule 9)."""
        return min((self._hosting_peak(order) for order in self.orders()), default=0)

    def _hosting_peak(self, order: tuple[int, ...]) -> int:
        whole = [self._whole(k, order) for k in range(len(self.things))]
        number = {s.name: k for k, s in enumerate(self.things)}
        free: set[tuple[int, int]] = set()  # steps at which a thing lies in the place of a part
        saved = [0] * self.n
        for t, i in enumerate(order):
            dying = [k for k in self.may_overwrite(i, frozenset(order[:t]))]
            if dying:
                saved[t] = self.things[self.pairs[i][0]].size
            for part, operand in self.graph.ops[i].overwrites if self.options.inplace else ():
                outer = number.get(self.root[part], -1)
                k = number.get(self.root[operand], -1)
                if (
                    k < 0
                    or outer < 0
                    or self.root[part] == part
                    or self.root[operand] != self.graph.storage_of[operand]
                ):
                    continue
                s = self.things[k]
                if s.touches <= set(order[: t + 1]) and s.writer >= 0 and not s.output and s.held < 0:
                    begin = min(u for u, j in enumerate(order) if j in self.fills(outer))
                    free |= {(k, u) for u in range(max(begin, whole[k][0][0]), t + 1)}
                    break
        live = [0] * self.n
        for k, stretches in enumerate(whole):
            for start, stop in stretches:
                for t in range(start, stop):
                    live[t] += 0 if (k, t) in free else self.things[k].size
        return max((z - less for z, less in zip(live, saved, strict=True)), default=0)

    def fills(self, k: int) -> set[int]:
        """The ops that write the parts of a joined output."""
        inside = {x for op in self.graph.ops if op.name in self.joined for x, _ in op.joins}
        mine = {x for x in inside if self.root[x] == self.things[k].name}
        return {
            self.graph.producer[x]
            for x in mine
            if self.graph.ops[self.graph.producer[x]].name not in self.joined
        }

    # Spills, by bytes

    def least_traffic(self) -> int | None:
        """The least traffic of residency sets that fit by bytes, addresses unseen; None where there is none."""

        @cache
        def rest(done: frozenset[int], inside: frozenset[int], hosted: frozenset[int]) -> int | None:
            if len(done) == self.n:
                return 0
            best = None
            for i in self.ready(done):
                arrive = self.touched[i] - inside
                cost = sum(self._load(k, done, hosted) for k in arrive)
                hosted_now = hosted | {k for k in arrive if self.things[k].writer < 0}
                shared = self.things[self.pairs[i][0]].size if self.may_overwrite(i, done) else 0
                for stay in self._stays(inside, self.touched[i], shared, done):
                    leave = inside - stay - self.touched[i]
                    stored = {k for k in leave if self.things[k].writer >= 0 and k not in hosted}
                    paid = sum(self.things[k].nbytes for k in stored if not self.things[k].output)
                    after = done | {i}
                    kept = frozenset(
                        k
                        for k in stay | self.touched[i]
                        if self.things[k].to_end
                        or (self.things[k].touches - after and not self.things[k].streamed)
                    )
                    more = rest(after, kept, frozenset(hosted_now | stored))
                    if more is not None and (best is None or cost + paid + more < best):
                        best = cost + paid + more
            return best

        return rest(frozenset(), frozenset(k for k, s in enumerate(self.things) if s.from_start), frozenset())

    def _load(self, k: int, done: frozenset[int], hosted: frozenset[int]) -> int:
        """Spilled bytes of bringing k in: nothing if it is being written or never was loaded before."""
        s = self.things[k]
        first = not s.touches & done
        assert first or s.writer < 0 or k in hosted
        return 0 if first else s.nbytes

    def _stays(
        self, inside: frozenset[int], touched: set[int], shared: int, done: frozenset[int]
    ) -> Iterator[frozenset[int]]:
        """The largest sets of what is inside and not touched that fit beside the op; none if it does not fit."""
        sizes = [s.size for s in self.things]
        base = sum(sizes[k] for k in touched) - shared
        others = sorted(inside - touched)
        must = {
            k
            for k in others
            if self.things[k].pinned or (self.things[k].held >= 0 and self.things[k].held not in done)
        }
        found: list[frozenset[int]] = []
        for count in range(len(others), -1, -1):
            for chosen in itertools.combinations(others, count):
                stay = frozenset(chosen)
                if not must <= stay or any(stay < larger for larger in found):
                    continue
                if self.capacity is None or base + sum(sizes[k] for k in stay) <= self.capacity:
                    found.append(stay)
                    yield stay

    # With addresses

    def least_placed_traffic(self, at_least: int) -> int | None:
        """The least traffic of plans with addresses; `at_least` (the optimum by bytes) ends the enumeration."""
        best = None
        for order in self.orders():
            for cost, rows_of in self._choices(order):
                if best is not None and cost >= best:
                    break
                if any(self._packs(rows, self.capacity) for rows in self._chained(order, rows_of)):
                    best = cost
                    break
            if best == at_least:
                break
        return best

    def least_placed_peak(self, at_least: int) -> int | None:
        """The least largest end address of plans without spills; counts up from `at_least`, the least live peak.

        None where pinned places leave no plan: side by side above the highest of them everything else fits.
        """
        ways = set()
        for order in self.orders():
            whole = [self._whole(k, order) for k in range(len(self.things))]
            ways |= set(self._chained(order, whole))
        most = sum(s.size for s in self.things) + max(
            (max(s.place, 0) + s.size for s in self.things), default=0
        )
        for peak in range(at_least, most + self.alignment, self.alignment):
            if any(self._packs(rows, peak) for rows in ways):
                return peak
        return None

    def _whole(self, k: int, order: tuple[int, ...]) -> list[tuple[int, int]]:
        """The stretches of a storage without spills."""
        s = self.things[k]
        if not self.lies(s):
            return []
        steps = [t for t, i in enumerate(order) if i in s.touches]
        if s.streamed:
            return [(t, t + 1) for t in steps]
        return [(0 if s.from_start else steps[0], self.n if s.to_end else steps[-1] + 1)]

    def _choices(self, order: tuple[int, ...]) -> list[tuple[int, list[list[tuple[int, int]]]]]:
        """Every way to keep or drop each storage between its touches, with its traffic, the cheapest first."""
        ways: list[list[tuple[int, list[tuple[int, int]]]]] = []
        for k, s in enumerate(self.things):
            steps = [t for t, i in enumerate(order) if i in s.touches]
            if s.pinned:
                ways.append([(0, self._whole(k, order))])
                continue
            mine = []
            for drops in itertools.product((False, True), repeat=len(steps) - 1):
                if s.streamed and not all(drops):
                    continue
                if s.held >= 0 and any(drops[: steps.index(order.index(s.held))]):
                    continue
                stretches = [(steps[0], steps[0] + 1)]
                for t, drop in zip(steps[1:], drops, strict=True):
                    if drop:
                        stretches.append((t, t + 1))
                    else:
                        stretches[-1] = stretches[-1][0], t + 1
                cost = s.nbytes * sum(drops)
                if any(drops) and s.writer >= 0 and not s.output:
                    cost += s.nbytes
                mine.append((cost, stretches))
            ways.append(mine)
        found = []
        for way in itertools.product(*ways):
            found.append((sum(cost for cost, _ in way), [stretches for _, stretches in way]))
        return sorted(found, key=lambda w: w[0])

    def _chained(
        self, order: tuple[int, ...], stretches: list[list[tuple[int, int]]]
    ) -> Iterator[tuple[Row, ...]]:
        """The rows to be packed, under every choice of who is written over: such pairs become one row."""
        options: list[list[tuple[int, int] | None]] = []
        for t, i in enumerate(order):
            sources = self.may_overwrite(i, frozenset(order[:t]))
            if sources:
                options.append([None, *((self.pairs[i][0], source) for source in sources)])
        for chosen in itertools.product(*options):
            after = {written: source for written, source in filter(None, chosen)}
            rows: dict[tuple[int, int], Row] = {}
            for k, parts in enumerate(stretches):
                for j, (start, stop) in enumerate(parts):
                    rows[k, j] = start, stop, self.things[k].size, self.things[k].place
            # A written storage's first stretch continues its source's last; later pairs first, so chains join.
            for written, source in sorted(after.items(), key=lambda p: -stretches[p[0]][0][0]):
                head = rows[source, len(stretches[source]) - 1]
                tail = rows.pop((written, 0))
                rows[source, len(stretches[source]) - 1] = head[0], tail[1], head[2], max(head[3], tail[3])
                if head[3] >= 0 and tail[3] >= 0 and head[3] != tail[3]:
                    break
            else:
                yield tuple(sorted(rows.values()))

    @cache  # noqa: B019 - an oracle lives for one problem
    def _packs(self, rows: tuple[Row, ...], capacity: int | None) -> bool:
        """Whether the rows have offsets under the capacity: every multiple of the alignment is tried."""
        if capacity is None:
            if all(at < 0 for _, _, _, at in rows):
                return True
            capacity = sum(z for _, _, z, _ in rows) + max(at + z for _, _, z, at in rows)
        most = max((stop for _, stop, _, _ in rows), default=0)
        if any(sum(z for a, b, z, _ in rows if a <= t < b) > capacity for t in range(most)):
            return False
        steps = {tuple((0, 1, z, at) for a, b, z, at in rows if a <= t < b) for t in range(most)}
        if most > 1 and not all(self._packs(step, capacity) for step in steps):
            return False
        todo = sorted((r for r in rows if r[2]), key=lambda r: (r[3] < 0, -r[2] * (r[1] - r[0]), r))
        placed: list[tuple[Row, int]] = []

        def place() -> bool:
            if len(placed) == len(todo):
                return True
            a, b, z, at = todo[len(placed)]
            for offset in range(0, capacity - z + 1, self.alignment):
                if at not in (-1, offset):
                    continue
                if all(b <= r[0] or r[1] <= a or offset + z <= o or o + r[2] <= offset for r, o in placed):
                    placed.append((todo[len(placed)], offset))
                    if place():
                        return True
                    placed.pop()
            return False

        return place()
