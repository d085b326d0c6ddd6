"""What the report's scripts know: a graph and its plans as compact JSON types, numbered instead of named.

Tensors and ops are given by their position in the graph, columns instead of records. Times are
nanoseconds, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.ir.parts import TENSOR_KINDS
from memplan.judge.explain import live_without_spills, relief, spills
from memplan.judge.live import live_bytes
from memplan.judge.simulate import spill_moves
from memplan.judge.timeline import timeline
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.capacities import least_capacity, reference_capacities
from memplan.solving.limits import Limits

PEAK_TIME_LIMIT_S = 3.0
"""For M_P where it is not known already: nobody waits long for a page."""


def facts(graph: Graph, plans: Sequence[Plan], labels: Sequence[str]) -> dict[str, Any]:
    """The whole content of a report; `labels` name the plans. Computes the budgets of each plan's options."""
    from memplan.base.version import __version__

    return {
        "version": __version__,
        "graph": graph_facts(graph),
        "budgets": _budgets(graph, Target(), Options()) if not plans else None,
        "plans": [
            plan_facts(graph, plan) | {"label": label} for plan, label in zip(plans, labels, strict=True)
        ],
    }


def graph_facts(graph: Graph) -> dict[str, Any]:
    """Columns of tensors and ops. `root` is the storage a tensor lives in."""
    number = {t.name: i for i, t in enumerate(graph.tensors)}
    kinds = list(dict.fromkeys(op.kind for op in graph.ops))
    kind_number = {kind: i for i, kind in enumerate(kinds)}
    dtypes = list(dict.fromkeys(t.dtype for t in graph.tensors))
    return {
        "name": graph.name,
        "outputs": [number[name] for name in graph.outputs],
        "tensors": {
            "name": [t.name for t in graph.tensors],
            "nbytes": [t.nbytes for t in graph.tensors],
            "kind": [TENSOR_KINDS.index(t.kind) for t in graph.tensors],
            "dtype": [dtypes.index(t.dtype) for t in graph.tensors],
            "shape": [None if t.shape is None else list(t.shape) for t in graph.tensors],
            "root": [number[graph.storage_of[t.name]] for t in graph.tensors],
        },
        "ops": {
            "name": [op.name for op in graph.ops],
            "kind": [kind_number[op.kind] for op in graph.ops],
            "flops": [op.flops for op in graph.ops],
            "inputs": [[number[x] for x in op.inputs] for op in graph.ops],
            "outputs": [[number[x] for x in op.outputs] for op in graph.ops],
            "view": [int(op.view) for op in graph.ops],
        },
        "opKinds": kinds,
        "dtypes": dtypes,
    }


def plan_facts(graph: Graph, plan: Plan) -> dict[str, Any]:
    """One plan: what was asked, what was found, and where everything lies and when."""
    tensor = {t.name: i for i, t in enumerate(graph.tensors)}
    op = {o.name: i for i, o in enumerate(graph.ops)}
    pad, target = plan.target.scratchpad, plan.target
    found = spills(graph, plan) if plan.schedule else []
    return {
        "target": {
            "name": target.name,
            "capacity": pad.capacity,
            "alignment": pad.alignment,
            "operands": "any" if target.direct else "scratchpad",
            "timed": target.timed,
            "queues": target.queues,
            "padBandwidth": pad.bandwidth,
            "hostBandwidth": target.host.bandwidth,
        },
        "options": plan.options.to_dict(),
        "solver": plan.solver,
        "seed": plan.seed,
        "workers": plan.workers,
        "status": str(plan.status),
        "value": plan.value,
        "bound": plan.bound,
        "gap": plan.gap,
        "seconds": round(plan.seconds, 6),
        "totalSeconds": round(plan.total_seconds, 6),
        "budgetProved": plan.budget_proved,
        "reason": plan.reason,
        "notes": list(plan.notes),
        "metrics": plan.metrics._asdict(),
        "budgets": _budgets(graph, target, plan.options),
        "schedule": [op[name] for name in plan.schedule],
        "residencies": [[tensor[r.tensor], *r[1:]] for r in plan.residencies],
        "moves": [
            [int(m.kind == "store"), tensor[m.tensor], m.issue, m.due, int(spill)]
            for m, spill in zip(plan.moves, spill_moves(graph, plan), strict=True)
        ],
        "inplace": [[tensor[a], tensor[b]] for a, b in plan.inplace.items()],
        "live": live_bytes(plan),
        "liveWithoutSpills": live_without_spills(graph, plan),
        "spills": [
            [
                tensor[s.tensor],
                s.start,
                s.stop,
                s.cost,
                op[s.before],
                op[s.after],
                s.tightest,
                s.over,
                int(s.streamed),
            ]
            for s in found
        ],
        "relief": [list(row) for row in relief(graph, plan)] if found else [],
        "timeline": _timeline(graph, plan),
    }


def _timeline(graph: Graph, plan: Plan) -> dict[str, Any] | None:
    """Start and end of each step's op and of each move; None on an untimed target."""
    if not (plan.target.timed and plan.schedule):
        return None
    times = timeline(graph, plan)
    return {
        "ops": [[_ns(start), _ns(end)] for start, end in times.ops],
        "moves": [[_ns(start), _ns(end)] for start, end in times.moves],
        "latency": _ns(times.latency_s),
    }


def _ns(seconds: float) -> float:
    return round(seconds * 1e9, 3)


def _budgets(graph: Graph, target: Target, options: Options) -> dict[str, Any]:
    """M_R, M_H, M_P and whether M_P is proved; M_R alone where no peak is found."""
    problem = Problem(graph, target, options)
    try:
        known = reference_capacities(problem, Limits(PEAK_TIME_LIMIT_S))
    except OptionError:
        return {"mr": least_capacity(problem), "mh": None, "mp": None, "proved": False}
    return {"mr": known.mr, "mh": known.mh, "mp": known.mp, "proved": known.mp_proved}
