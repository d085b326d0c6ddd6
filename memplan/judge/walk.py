"""A plan walked step by step: every operand is looked up where copies are at that moment.

So a plan that reads what is not there is refused, whatever the checker thinks of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from memplan.base.errors import ExecutionError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.judge.actions import Action, Copied, Executed, Finished, Given, Location, Voided
from memplan.judge.check.forms import forms
from memplan.judge.check.joined import joinable
from memplan.judge.plan_view import PlanView
from memplan.problem.plan import Move, Plan, Residency


def walk(graph: Graph, plan: Plan) -> Iterator[Action]:
    """What happens, in order; linear in operands, residencies and moves.

    Moves take place when they are due. What an in-place pair overwrites is not voided. The schedule holds every op
    of the graph, and no other. ExecutionError where a name or a number is out of range, or where a read, a write or
    a move finds no copy or no place.
    """
    for violation in (*forms(graph, plan), *joinable(graph, plan)):
        raise _refused(str(violation))
    return _Walk(graph, plan).actions()


class _Walk:
    """Where everything lies while the steps go by.

    lying      the copies that can be read, whole storages, by storage and memory
    growing    joined storages whose op is not executed yet
    written    parts that are
    """

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan, self.target = graph, plan, plan.target
        self.view = view = PlanView(graph, plan)
        self.lying: dict[tuple[str, str | None], Location] = {}
        self.growing: dict[str, Location] = {}
        self.written: set[str] = set()
        self.overwritten: set[Location] = set()
        rows = [r for found in view.residencies.values() for r in found]
        self.starting = {(r.tensor, r.memory, r.start): r for r in rows}
        self.stopping: dict[int, list[Residency]] = defaultdict(list)
        for r in sorted(rows, key=lambda r: (r.memory, r.offset)):
            if graph.tensor[r.tensor].kind != "workspace":
                self.stopping[r.stop].append(r)
        self.moves: dict[int, list[Move]] = defaultdict(
            list
        )  # by boundary, those that begin or are due there
        for m in plan.moves:
            for boundary in {m.issue, m.due}:
                self.moves[boundary].append(m)
        self.arriving = {(m.tensor, m.destination, m.issue) for m in plan.moves}
        self.inplace: dict[int, dict[str, str]] = defaultdict(dict)
        for pair in plan.inplace:
            self.inplace[pair.step][pair.output] = pair.operand

    def actions(self) -> Iterator[Action]:
        self._refuse_orphans()
        yield from self._given()
        for step, op in enumerate(self.view.ops):
            yield from self._boundary(step)
            execution = self._execution(step, op)
            yield execution
            if (
                op.workspace is not None and op.workspace in execution.writes
            ):  # the kernel has scribbled on it
                yield Voided(step + 1, execution.writes[op.workspace], self._nbytes(op.workspace))
        yield from self._boundary(self.view.n)
        yield self._finished()

    def _refuse_orphans(self) -> None:
        for s, memory, start in sorted(self.starting.keys() - self.arriving):
            home = start == 0 and self.view.is_given(s) and memory == self.view.home(s)
            if not home and start not in self.view.begins.get(s, ()):
                raise _refused(f"'{s}' appears in {memory} at boundary {start}, and nothing brings it there")

    def _given(self) -> Iterator[Action]:
        for t in self.graph.tensors:
            s = t.name
            if not self.view.is_given(s) or not self.view.is_placeable(s):
                continue
            home = self.view.home(s)
            if home not in self.view.addressed:
                location = Location(s, home, None)
            elif (r := self._begins(s, home, 0)) is not None:
                location = Location(s, home, r.offset)
            else:
                continue
            self.lying[s, home] = location
            yield Given(location)

    def _begins(self, storage: str, memory: str, step: int) -> Residency | None:
        """The residency that begins there without a move."""
        key = (storage, memory, step)
        return None if key in self.arriving else self.starting.get(key)

    def _boundary(self, at: int) -> Iterator[Action]:
        """What ends, and moves in their order; what a move due here reads ends only after it."""
        moves = self.moves[at]
        last = {(m.tensor, m.source): k for k, m in enumerate(moves) if m.due == at}
        waiting: dict[int, list[Residency]] = defaultdict(list)
        for r in self.stopping[at] if at < self.view.n else ():
            waiting[last.get((r.tensor, r.memory), -1)].append(r)
        yield from self._end(at, waiting[-1])
        for k, m in enumerate(moves):
            source = self.lying.get((m.tensor, m.source))
            if source is None:
                raise _refused(
                    f"'{m.tensor}' is moved from {m.source} at boundary {at}, where no copy of it is ready"
                )
            destination = self._destination(m)
            if at < m.due:
                self._renew(m.tensor, m.destination)
                if destination.offset is not None:
                    yield Voided(at, destination, self._nbytes(m.tensor))
            else:
                self.lying[m.tensor, m.destination] = destination
                yield Copied(m, source, destination)
                self._renew(m.tensor, m.destination)
            yield from self._end(at, waiting[k])
        self.overwritten.clear()

    def _end(self, at: int, ending: list[Residency]) -> Iterator[Action]:
        for r in ending:
            location = Location(r.tensor, r.memory, r.offset)
            if self.lying.get((r.tensor, r.memory)) == location:
                del self.lying[r.tensor, r.memory]
            if self.growing.get(r.tensor) == location:
                del self.growing[r.tensor]
            if r.size and location not in self.overwritten:
                yield Voided(at, location, r.size)

    def _destination(self, m: Move) -> Location:
        if m.destination not in self.view.addressed:
            return Location(m.tensor, m.destination, None)
        r = self.starting.get((m.tensor, m.destination, m.issue))
        if r is None or r.stop <= m.due:
            raise _refused(
                f"the move of '{m.tensor}' to {m.destination} fills no residency that is there when it is due"
            )
        return Location(m.tensor, m.destination, r.offset)

    def _renew(self, storage: str, memory: str) -> None:
        """The home buffer of a donated input is its next value's from the first write of that on."""
        given = self.view.renewed.get(storage)
        if given is not None and memory not in self.view.addressed:
            self.lying.pop((given, memory), None)

    def _execution(self, step: int, op: Op) -> Executed:
        if op.view:
            return Executed(step, op, {}, {})
        if op.name in self.view.joined:
            return Executed(step, op, {}, {op.results[0]: self._join(step, op)})
        root = self.graph.storage_of
        reads = {s: self._read(step, op, s) for s in dict.fromkeys(root[x] for x in op.inputs)}
        writes = {x: self._write(step, op, x) for x in op.outputs}
        self._keep_apart(step, op, reads, writes)
        for x, location in writes.items():
            over = self.lying.get((self.inplace[step].get(x, ""), location.memory))
            if over is not None and over.offset is not None and over.offset == location.offset:
                self.overwritten.add(over)
                self.lying.pop((over.storage, over.memory), None)
        for x, location in writes.items():
            if x in self.view.parts:
                self.written.add(x)
            elif x != op.workspace:
                self.lying[x, location.memory] = location
                if location.memory is not None:
                    self._renew(x, location.memory)
        return Executed(step, op, reads, writes)

    def _keep_apart(
        self, step: int, op: Op, reads: Mapping[str, Location], writes: Mapping[str, Location]
    ) -> None:
        """Refuse an output over bytes that the op reads, but for in-place pairs: some kernels would not show it."""
        for x, out in writes.items():
            for s, read in reads.items():
                if out.memory != read.memory or out.offset is None or read.offset is None:
                    continue
                end, out_end = read.offset + self._nbytes(s), out.offset + self._nbytes(x)
                met = max(out.offset, read.offset) < min(out_end, end)
                if met and (self.inplace[step].get(x) != s or out.offset != read.offset):
                    raise _refused(f"op '{op.name}' at step {step} writes '{x}' over '{s}', which it reads")

    def _nbytes(self, name: str) -> int:
        return self.graph.tensor[name].nbytes

    def _join(self, step: int, op: Op) -> Location:
        """The op's output, whose parts lie in it."""
        output = op.results[0]
        if output in self.view.parts:
            self.written.add(output)
            location = self._found(output, self.growing.get(self.view.parts[output].storage))
        else:
            location = self.growing.pop(output, None)
        if location is None:
            raise _refused(f"the parts of '{output}', joined at step {step}, do not lie in it")
        if output not in self.view.parts:
            self.lying[output, location.memory] = location
        return location

    def _read(self, step: int, op: Op, storage: str) -> Location:
        """The fastest memory that the op may read and in which the storage can be read."""
        if not self.view.is_placeable(storage):
            return Location(storage, None, None)
        part = self.view.parts.get(storage)
        memories = self.target.readable(op.kind, self.view.role(storage))
        for memory in memories:
            if part is None:
                location = self.lying.get((storage, memory))
            else:
                whole = self.growing.get(part.storage) if storage in self.written else None
                if whole is None or whole.memory != memory:
                    whole = self.lying.get((part.storage, memory))
                location = self._found(storage, whole)
            if location is not None:
                return location
        raise _refused(
            f"op '{op.name}' at step {step} reads '{storage}', which is not in {' or '.join(memories)}"
        )

    def _found(self, part: str, whole: Location | None) -> Location | None:
        """A part's place in the storage that it is a part of; none where that has no addresses."""
        if whole is None or whole.offset is None:
            return None
        return Location(part, whole.memory, whole.offset + self.view.parts[part].first)

    def _write(self, step: int, op: Op, output: str) -> Location:
        """The one place to which an execution writes an output."""
        if not self.view.is_placeable(output):
            return Location(output, None, None)
        part = self.view.parts.get(output)
        storage = output if part is None else part.storage
        memories = self.target.writable(op.kind, self.view.role(output))
        begun = [
            r for memory in self.view.addressed if (r := self._begins(storage, memory, step)) is not None
        ]
        found = Location(storage, begun[0].memory, begun[0].offset) if begun else None
        if part is not None:
            whole = self.growing.setdefault(storage, found) if found else self.growing.get(storage)
            found = self._found(output, whole)
        elif found is None and output != op.workspace and self.target.host.name not in self.view.addressed:
            found = Location(storage, self.target.host.name, None)
        if found is None or found.memory not in memories or len(begun) > 1:
            raise _refused(
                f"op '{op.name}' at step {step} writes '{output}', which has no place in {' or '.join(memories)}"
            )
        return found

    def _finished(self) -> Finished:
        outputs = {}
        for s in sorted(self.view.outputs):
            location = Location(s, None, None)
            if self.view.is_placeable(s) and self.view.n:
                home = self.view.home(s)
                if (s, home) not in self.lying:
                    raise _refused(f"the plan ends without a copy of output '{s}' in {home}")
                location = self.lying[s, home]
            outputs[s] = location
        return Finished(outputs)


def _refused(message: str) -> ExecutionError:
    return ExecutionError(message, "run `check` first")
