"""The rules a plan must obey, decided from the graph, the target, the options and the plan alone.

Shares no code with a solver. Readings that the rules leave open:

- A store counts for a load when it is due before the load's issue step; for an operand read from host
  at step t it must be due before t in the step model, and by t in the timed one, where step t waits
  for it.
- Stretches of presence are judged after joining adjacent residencies of one storage at one offset with
  no load between them.
- With io resident nothing of an input or output moves; each has the one residency the rule names.

O(r log r + m log m) for r residencies and m moves.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from memplan.check_pins import pin_faults
from memplan.check_space import overlaps
from memplan.graph import Graph, Op, may_write_over
from memplan.plan import Move, Plan, Residency, Status, foreign
from memplan.simulate import simulate
from memplan.units import align_up

TOLERANCE = 1e-9
"""Relative difference up to which two times count as equal."""


class Violation(NamedTuple):
    """One broken rule: its name, what is wrong, and where."""

    rule: str
    message: str
    step: int | None = None
    tensors: tuple[str, ...] = ()
    addresses: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = "" if self.step is None else f" (step {self.step})"
        return f"{self.rule}: {self.message}{where}"


def check(graph: Graph, plan: Plan, *, claims: bool = True) -> list[Violation]:
    """Everything that is wrong with the plan; with `claims`, also numbers that do not recompute, or only that the
    plan was made for another graph.

    Never raises on a malformed plan. Where the schedule or the names are unusable, the rules that
    need them are left out.
    """
    if claims and (wrong := foreign(graph, plan)):
        return [Violation("graph", wrong)]
    if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
        parts = (plan.schedule, plan.residencies, plan.moves, plan.inplace)
        return [Violation("status", f"a plan that is {plan.status} carries a schedule")] if any(parts) else []
    found = [*_schedule(graph, plan), *_forms(graph, plan)]
    if not found:
        facts = _Facts(graph, plan)
        found += [*_inplace(facts), *_space(facts), *_origins(facts), *_operands(facts)]
        found += [*_stores(facts), *_outputs(facts), *_treatments(facts), *_pins(facts)]
    if claims and not found:
        found += _claims(graph, plan)
    return found


def _schedule(graph: Graph, plan: Plan) -> list[Violation]:
    """Rule 1."""
    rule = "schedule"
    names = {op.name: op for op in graph.ops}
    seen: set[str] = set()
    ready = {t.name for t in graph.tensors if t.kind in ("input", "constant")}
    found: list[Violation] = []
    for t, name in enumerate(plan.schedule):
        if name not in names:
            found.append(Violation(rule, f"'{name}' is no op of the graph", t))
        elif name in seen:
            found.append(Violation(rule, f"op '{name}' runs twice", t))
        else:
            seen.add(name)
            late = tuple(x for x in names[name].inputs if x not in ready)
            if late:
                found.append(Violation(rule, f"op '{name}' runs before '{late[0]}' is written", t, late))
            ready.update(names[name].outputs)
    found += [Violation(rule, f"op '{name}' never runs") for name in names if name not in seen]
    if plan.options.order == "program" and not found and plan.schedule != tuple(op.name for op in graph.ops):
        t = next(t for t, op in enumerate(graph.ops) if plan.schedule[t] != op.name)
        found.append(Violation(rule, "the order is not the program's, as the options ask", t))
    return found


def _forms(graph: Graph, plan: Plan) -> list[Violation]:
    """Names, ranges and sizes that every later rule relies on (rules 3 and 7 in part)."""
    n, pad = len(plan.schedule), plan.target.scratchpad
    found: list[Violation] = []
    for r in plan.residencies:
        where = (r.tensor,), (r.offset,)
        if graph.storage_of.get(r.tensor) != r.tensor:
            found.append(Violation("names", f"'{r.tensor}' is no storage of the graph", r.start, *where))
            continue
        size = align_up(graph.tensor[r.tensor].nbytes, pad.alignment)
        if not 0 <= r.start < r.stop <= n:
            message = f"residency of '{r.tensor}' spans [{r.start}, {r.stop}), the plan has {n} steps"
            found.append(Violation("space", message, r.start, *where))
        if r.size != size:
            found.append(
                Violation("space", f"'{r.tensor}' takes {r.size} bytes instead of {size}", r.start, *where)
            )
        if r.offset < 0 or r.offset % pad.alignment:
            message = f"'{r.tensor}' at {r.offset} is not aligned to {pad.alignment}"
            found.append(Violation("space", message, r.start, *where))
        if pad.capacity is not None and r.offset + size > pad.capacity:
            message = f"'{r.tensor}' ends at {r.offset + size}, the scratchpad has {pad.capacity}"
            found.append(Violation("space", message, r.start, *where))
    timed = plan.options.objective == "latency"
    for m in plan.moves:
        if m.kind not in ("load", "store") or graph.storage_of.get(m.tensor) != m.tensor:
            found.append(Violation("names", f"move {m.kind} '{m.tensor}' is unknown", m.issue, (m.tensor,)))
        elif not 0 <= m.issue <= m.due <= n or m.issue >= n or (not timed and m.issue != m.due):
            message = f"{m.kind} of '{m.tensor}' is issued at {m.issue} and due at {m.due}"
            found.append(Violation("moves", message, m.issue, (m.tensor,)))
    if dict(plan.aliases) != graph.aliases:
        wrong = sorted(dict(plan.aliases).items() ^ graph.aliases.items())[0]
        found.append(
            Violation("aliases", f"'{wrong[0]}' as a view of '{wrong[1]}' is not the graph's", None, wrong)
        )
    return found


class _Facts:
    """The plan seen from the storages: joined residencies, moves, who produces and uses what, when."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan, self.n = graph, plan, len(plan.schedule)
        self.timed = plan.options.objective == "latency"
        by_name = {op.name: op for op in graph.ops}
        self.ops: list[Op] = [by_name[name] for name in plan.schedule]
        root = graph.storage_of
        self.outputs = {root[t.name] for t in graph.tensors if t.kind == "output"}
        self.placeable = {
            t.name
            for t in graph.tensors
            if root[t.name] == t.name and not (t.kind == "constant" and plan.options.weights == "ignore")
        }
        self.produced: dict[str, int] = {}
        self.uses: dict[str, list[int]] = {}
        for t, op in enumerate(self.ops):
            if op.is_view:
                continue
            self.produced.update(dict.fromkeys(op.outputs, t))
            for name in dict.fromkeys(root[x] for x in op.inputs):
                self.uses.setdefault(name, []).append(t)
        self.loads: dict[str, list[Move]] = {}
        self.stores: dict[str, list[Move]] = {}
        for move in sorted(plan.moves, key=lambda m: (m.issue, m.due)):
            (self.loads if move.kind == "load" else self.stores).setdefault(move.tensor, []).append(move)
        self.residencies = self._joined()

    def _joined(self) -> dict[str, list[Residency]]:
        joined: dict[str, list[Residency]] = {}
        loaded = {(m.tensor, m.issue) for moves in self.loads.values() for m in moves}
        for r in sorted(self.plan.residencies, key=lambda r: (r.start, r.stop)):
            parts = joined.setdefault(r.tensor, [])
            last = parts[-1] if parts else None
            joins = last and last.stop == r.start and last.offset == r.offset
            if last and joins and (r.tensor, r.start) not in loaded:
                parts[-1] = last._replace(stop=r.stop)
            else:
                parts.append(r)
        return joined

    def in_host_at_start(self, name: str) -> bool:
        return self.graph.tensor[name].kind in ("input", "constant")

    def covered(self, name: str, t: int) -> bool:
        return any(r.start <= t < r.stop for r in self.residencies.get(name, ()))

    def resident_io(self, name: str) -> bool:
        """Whether the caller's own buffer is the storage's place."""
        kind = self.graph.tensor[name].kind
        io = self.plan.options.io == "resident"
        return io and kind != "constant" and (kind == "input" or name in self.outputs)

    def host_copy(self, name: str, t: int, inclusive: bool) -> bool:
        """Whether host holds a valid copy before step t (or by it, if `inclusive`)."""
        if self.resident_io(name):
            return False
        if self.in_host_at_start(name):
            return True
        at = self.produced.get(name)
        if at is not None and at < t and not self.covered(name, at):
            return True
        return any(m.due < t or (inclusive and m.due <= t) for m in self.stores.get(name, ()))


def _space(facts: _Facts) -> list[Violation]:
    """Rule 3, and one residency of a storage at a time (rule 4)."""
    found: list[Violation] = []
    for name, parts in facts.residencies.items():
        for before, after in pairwise(parts):
            if after.start < before.stop:
                message = f"'{name}' has two places at once"
                found.append(Violation("space", message, after.start, (name,), (before.offset, after.offset)))
    rows = [r for parts in facts.residencies.values() for r in parts]
    for a, b in overlaps(rows):
        source = facts.plan.inplace.get(b.tensor) == a.tensor or facts.plan.inplace.get(a.tensor) == b.tensor
        step = max(a.start, b.start)
        if source and min(a.stop, b.stop) == step + 1 and a.offset == b.offset:
            continue  # an in-place pair shares its place for one step; rule 8 judges whether it may
        message = (f"'{a.tensor}' [{a.offset}, {a.offset + a.size}) and '{b.tensor}' "
                   f"[{b.offset}, {b.offset + b.size}) overlap")  # fmt: skip
        found.append(Violation("space", message, step, (a.tensor, b.tensor), (a.offset, b.offset)))
    return found


def _origins(facts: _Facts) -> list[Violation]:
    """Rules 4, 5 and 7: every residency begins at its producer or with a load of a valid host copy."""
    found: list[Violation] = []
    for name, parts in facts.residencies.items():
        loads = {}
        for m in facts.loads.get(name, ()):
            if m.issue in loads:
                found.append(Violation("origin", f"'{name}' is loaded twice at once", m.issue, (name,)))
            loads[m.issue] = m
        touched = sorted(
            {*facts.uses.get(name, ()), *([facts.produced[name]] if name in facts.produced else [])}
        )
        for r in parts:
            where = r.start, (name,), (r.offset,)
            load = loads.pop(r.start, None)
            born = facts.produced.get(name) == r.start
            if load is None:
                opening = r.start == 0 and facts.resident_io(name) and facts.in_host_at_start(name)
                if not born and not opening:
                    found.append(
                        Violation("origin", f"'{name}' appears without being loaded or produced", *where)
                    )
                continue
            if born or (facts.produced.get(name, -1) >= r.start):
                found.append(
                    Violation("origin", f"'{name}' is loaded before or while it is produced", *where)
                )
            elif not facts.host_copy(name, load.issue, inclusive=False):
                found.append(
                    Violation("origin", f"'{name}' is loaded from a host copy that is not valid", *where)
                )
            first = next((t for t in touched if r.start <= t < r.stop), None)
            if load.due > (r.stop - 1 if first is None else first):
                found.append(Violation("moves", f"the load of '{name}' is due after its first use", *where))
        for m in loads.values():
            found.append(Violation("moves", f"a load of '{name}' begins no residency", m.issue, (name,)))
    for name in facts.loads.keys() - facts.residencies.keys():
        found.append(
            Violation("moves", f"a load of '{name}' begins no residency", facts.loads[name][0].issue, (name,))
        )
    return found


def _operands(facts: _Facts) -> list[Violation]:
    """Rule 2, and that an operand served from host is there."""
    found: list[Violation] = []
    root, anywhere = facts.graph.storage_of, facts.plan.target.operands == "any"
    present: dict[str, int] = {}
    starting: dict[int, list[str]] = {}
    stopping: dict[int, list[str]] = {}
    for name, parts in facts.residencies.items():
        for r in parts:
            starting.setdefault(r.start, []).append(name)
            stopping.setdefault(r.stop, []).append(name)
    for t, op in enumerate(facts.ops):
        for name in stopping.get(t, ()):
            present[name] -= 1
        for name in starting.get(t, ()):
            present[name] = present.get(name, 0) + 1
        if op.is_view:
            continue
        for name in dict.fromkeys(root[x] for x in (*op.inputs, *op.outputs)):
            if name not in facts.placeable or present.get(name, 0) > 0:
                continue
            if not anywhere:
                found.append(
                    Violation("operands", f"op '{op.name}' needs '{name}', which is not resident", t, (name,))
                )
            elif facts.produced.get(name) != t and not facts.host_copy(name, t, inclusive=facts.timed):
                message = f"op '{op.name}' reads '{name}' from host, where no valid copy is"
                found.append(Violation("operands", message, t, (name,)))
    return found


def _stores(facts: _Facts) -> list[Violation]:
    """Rules 4 and 7: at most one store per storage, within a residency, of something worth storing."""
    found: list[Violation] = []
    for name, stores in facts.stores.items():
        if len(stores) > 1:
            found.append(
                Violation("moves", f"'{name}' is stored {len(stores)} times", stores[1].issue, (name,))
            )
        if facts.in_host_at_start(name):
            found.append(Violation("moves", f"'{name}' is stored, but host has it", stores[0].issue, (name,)))
        for m in stores:
            last = m.due if facts.timed else m.issue + 1
            inside = any(r.start <= m.issue and last <= r.stop for r in facts.residencies.get(name, ()))
            if not inside or (facts.timed and m.due <= m.issue):
                message = f"the store of '{name}' [{m.issue}, {m.due}] lies in no residency of it"
                found.append(Violation("moves", message, m.issue, (name,)))
            if facts.produced.get(name, facts.n) > m.issue:
                found.append(
                    Violation("moves", f"'{name}' is stored before it is produced", m.issue, (name,))
                )
    return found


def _outputs(facts: _Facts) -> list[Violation]:
    """Rule 6."""
    if facts.plan.options.io == "resident":
        return []
    return [
        Violation("outputs", f"output '{name}' has no host copy at the end", facts.n - 1, (name,))
        for name in sorted(facts.outputs)
        if not facts.host_copy(name, facts.n, inclusive=True)
    ]


def _inplace(facts: _Facts) -> list[Violation]:
    """Rule 8."""
    rule, plan = "inplace", facts.plan
    found: list[Violation] = []
    if plan.inplace and not (plan.options.inplace or plan.options.donate):
        found.append(Violation(rule, "the plan works in place, which the options do not allow"))
    if len(set(plan.inplace.values())) < len(plan.inplace):
        found.append(Violation(rule, "one storage is written over twice"))
    for written, source in plan.inplace.items():
        why = _inplace_fault(facts, written, source)
        if why:
            step = facts.produced.get(written)
            found.append(Violation(rule, f"'{written}' over '{source}': {why}", step, (written, source)))
    return found


def _inplace_fault(facts: _Facts, written: str, source: str) -> str:
    graph = facts.graph
    if graph.storage_of.get(written) != written or graph.storage_of.get(source) != source:
        return "they are not storages of the graph"
    t = facts.produced.get(written)
    if t is None:
        return "no op writes it"
    op = facts.ops[t]
    out, over = graph.tensor[written], graph.tensor[source]
    operands = [
        graph.tensor[x] for x in op.inputs if graph.storage_of[x] == source and may_write_over(op, x)
    ]
    if not any(may_write_over(op, x) for x in op.inputs):
        return f"{op.kind} cannot work in place"
    if not any((x.shape, x.dtype) == (out.shape, out.dtype) for x in operands) or over.nbytes != out.nbytes:
        return "no operand in it has the output's shape and dtype"
    if source in facts.outputs or (over.kind != "activation" and source not in facts.plan.options.donate):
        return "it is not an activation"
    if over.kind == "activation" and not facts.plan.options.inplace:
        return "only donated inputs may be written over"
    if over.kind == "constant":
        return "it is a constant"
    if max(facts.uses.get(source, [t])) != t:
        return "it is used later"
    before = [r for r in facts.residencies.get(source, ()) if r.start <= t < r.stop]
    after = [r for r in facts.residencies.get(written, ()) if r.start == t]
    if not before or not after or before[0].stop != t + 1 or before[0].offset != after[0].offset:
        return "their residencies do not meet at one offset"
    return ""


def _treatments(facts: _Facts) -> list[Violation]:
    """What the options say of weights, inputs and outputs."""
    found: list[Violation] = []
    options = facts.plan.options
    for name in {*facts.residencies, *facts.loads, *facts.stores}:
        parts = facts.residencies.get(name, [])
        if facts.graph.tensor[name].kind == "constant":
            if options.weights == "ignore":
                found.append(
                    Violation(
                        "weights", f"constant '{name}' is placed, but weights are ignored", None, (name,)
                    )
                )
            if options.weights == "stream":
                uses = set(facts.uses.get(name, ()))
                for r in parts:
                    if (
                        r.stop - 1 not in uses
                        or (not facts.timed and r.stop != r.start + 1)
                        or (sum(r.start <= t < r.stop for t in uses) > 1)
                    ):
                        message = f"streamed constant '{name}' stays for [{r.start}, {r.stop})"
                        found.append(Violation("weights", message, r.start, (name,)))
    if options.io == "resident":
        found += _resident_io(facts)
    return found


def _resident_io(facts: _Facts) -> list[Violation]:
    found: list[Violation] = []
    for t in facts.graph.tensors:
        name = t.name
        if facts.graph.storage_of[name] != name or not facts.resident_io(name):
            continue
        uses = facts.uses.get(name, [])
        if not uses and name not in facts.produced:
            continue  # nothing touches it
        start = 0 if t.kind == "input" else facts.produced[name]
        stop = facts.n if name in facts.outputs else uses[-1] + 1
        parts = facts.residencies.get(name, [])
        if [(r.start, r.stop) for r in parts] != [(start, stop)]:
            spans = ", ".join(f"[{r.start}, {r.stop})" for r in parts) or "nowhere"
            message = f"'{name}' must lie in the arena for [{start}, {stop}), not {spans}"
            found.append(Violation("io", message, start, (name,)))
        if name in facts.loads or name in facts.stores:
            found.append(Violation("io", f"'{name}' lies in the arena and must not be moved", None, (name,)))
    return found


def _pins(facts: _Facts) -> list[Violation]:
    """What the options pin."""
    touches = {
        name: [*facts.uses.get(name, ()), *([facts.produced[name]] if name in facts.produced else ())]
        for name in set(facts.graph.storage_of.values())
    }
    moved = {*facts.loads, *facts.stores}
    return [
        Violation("pins", f.message, f.step, (f.tensor,), () if f.offset is None else (f.offset,))
        for f in pin_faults(facts.plan.options.pins, facts.residencies, touches, moved)
    ]


def _claims(graph: Graph, plan: Plan) -> list[Violation]:
    """The numbers that the plan carries, against those recomputed."""
    found: list[Violation] = []

    def claim(what: str, claimed: object, actual: object) -> None:
        same = claimed == actual
        if isinstance(claimed, float) and isinstance(actual, float | int):
            same = abs(claimed - actual) <= TOLERANCE * max(abs(claimed), abs(actual))
        if not same:
            found.append(Violation("claims", f"{what} is claimed as {claimed}, it is {actual}"))

    claim("graph", plan.graph, graph.name)
    metrics = simulate(graph, plan)
    for name, actual in metrics._asdict().items():
        claim(name, getattr(plan.metrics, name), actual)
    value = metrics.value(plan.options.objective)
    claim("value", plan.value, value)
    if plan.bound > value * (1 + TOLERANCE):
        found.append(Violation("claims", f"the bound {plan.bound} is above the value {value}"))
    proved = value <= plan.bound * (1 + TOLERANCE)
    claim("status", str(plan.status), str(Status.OPTIMAL if proved else Status.FEASIBLE))
    return found
