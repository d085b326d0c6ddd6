"""Plans that are wrong for sure, made of valid ones: whoever executes them must notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from memplan.ir.model import Model
from memplan.judge.plan_view import PlanView
from memplan.problem.plan import Plan


def sabotaged(model: Model, plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Plans that are wrong for sure, and what is wrong."""
    view, rows, moves = PlanView(model.graph, plan), plan.residencies, plan.moves
    for i, m in enumerate(moves):
        rest = (moves[:i], moves[i + 1 :])
        yield f"dropped {m}", replace(plan, moves=(*rest[0], *rest[1]))
        others = [name for name in plan.target.memory if name not in (m.source, m.destination)]
        yield f"elsewhere {m}", replace(plan, moves=(*rest[0], m._replace(destination="flash"), *rest[1]))
        held = {r.memory for r in rows if r.tensor == m.tensor} | {
            x.destination for x in moves if x.tensor == m.tensor
        }
        for name in set(others) - held - {view.home(m.tensor), "backing"}:
            yield f"from {name}: {m}", replace(plan, moves=(*rest[0], m._replace(source=name), *rest[1]))
        if (born := min(view.written.get(m.tensor, ()), default=0)) > 0:
            yield (
                f"too early {m}",
                replace(plan, moves=(*rest[0], m._replace(issue=born, due=born), *rest[1])),
            )
    for i, r in enumerate(rows):
        uses = [u for u in view.uses.get(r.tensor, ()) if r.start < u < r.stop]
        if uses and uses[-1] > r.start:
            cut = (*rows[:i], r._replace(stop=uses[-1]), *rows[i + 1 :])
            others = [
                x for x in rows if x.tensor == r.tensor and x is not r and x.start < uses[-1] + 1 <= x.stop
            ]
            unaddressed = any(x.tensor == r.tensor and x.destination == "backing" for x in moves)
            if not others and not unaddressed:
                yield f"cut {r}", replace(plan, residencies=cut)
    again = [t for t, name in enumerate(plan.schedule) if name in plan.schedule[:t]]
    for t in again:
        if not any(op in plan.schedule[t + 1 :] for op in (plan.schedule[t],)):
            yield f"not again at {t}", without_step(plan, t)


def without_step(plan: Plan, t: int) -> Plan:
    """The plan without an execution; what it wrote has nothing that makes it."""

    def sooner(boundary: int) -> int:
        return boundary - (boundary > t)

    rows = [r._replace(start=sooner(r.start), stop=sooner(r.stop)) for r in plan.residencies]
    moves = [m._replace(issue=sooner(m.issue), due=sooner(m.due)) for m in plan.moves]
    return replace(
        plan,
        schedule=plan.schedule[:t] + plan.schedule[t + 1 :],
        residencies=tuple(r for r in rows if r.start < r.stop),
        moves=tuple(moves),
        inplace=tuple(pair._replace(step=sooner(pair.step)) for pair in plan.inplace if pair.step != t),
    )
