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
from math import lcm

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.judge.check.claims import claims as recomputed
from memplan.judge.check.moves import operands, origins, outputs, spills, stores
from memplan.judge.check.options import inplace, pins, treatments
from memplan.judge.check.plan_view import PlanView, Violation
from memplan.judge.check.space import overlaps
from memplan.problem.plan import Plan, Status, graph_mismatch


def check(graph: Graph, plan: Plan, *, claims: bool = True) -> list[Violation]:
    """Everything that is wrong with the plan; with `claims`, also numbers that do not recompute, or only that the
    plan was made for another graph.

    Never raises on a malformed plan. Where the schedule or the names are unusable, the rules that
    need them are left out.
    """
    if claims and (wrong := graph_mismatch(graph, plan)):
        return [Violation("graph", wrong)]
    if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
        parts = (plan.schedule, plan.residencies, plan.moves, plan.inplace)
        return [Violation("status", f"a plan that is {plan.status} carries a schedule")] if any(parts) else []
    found = [*_schedule(graph, plan), *_forms(graph, plan)]
    if not found:
        view = PlanView(graph, plan)
        found += [*inplace(view), *_space(view), *origins(view), *operands(view)]
        found += [*stores(view), *outputs(view), *spills(view), *treatments(view), *pins(view)]
    if claims and not found:
        found += recomputed(graph, plan)
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
            found += [
                Violation(rule, f"op '{name}' runs before op '{x}', which it is to come after", t)
                for x in names[name].after
                if x not in seen
            ]
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
        unit = lcm(pad.alignment, graph.tensor[r.tensor].alignment or 1)
        if r.offset < 0 or r.offset % unit:
            message = f"'{r.tensor}' at {r.offset} is not aligned to {unit}"
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


def _space(view: PlanView) -> list[Violation]:
    """Rule 3, and one residency of a storage at a time (rule 4)."""
    found: list[Violation] = []
    for name, parts in view.residencies.items():
        for before, after in pairwise(parts):
            if after.start < before.stop:
                message = f"'{name}' has two places at once"
                found.append(Violation("space", message, after.start, (name,), (before.offset, after.offset)))
    if found:
        return found
    rows = [r for parts in view.residencies.values() for r in parts]
    for a, b in overlaps(rows):
        source = view.plan.inplace.get(b.tensor) == a.tensor or view.plan.inplace.get(a.tensor) == b.tensor
        step = max(a.start, b.start)
        if source and min(a.stop, b.stop) == step + 1 and (a.offset, a.size) == (b.offset, b.size):
            continue  # an in-place pair shares its place for one step; rule 8 judges whether it may
        message = (
            f"'{a.tensor}' [{a.offset}, {a.offset + a.size}) and '{b.tensor}' "
            f"[{b.offset}, {b.offset + b.size}) overlap"
        )
        found.append(Violation("space", message, step, (a.tensor, b.tensor), (a.offset, b.offset)))
    return found
