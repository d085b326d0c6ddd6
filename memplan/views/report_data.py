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
from memplan.judge.copies import Copies
from memplan.judge.cost import accesses
from memplan.judge.explain import live_without_spills, relief, spills
from memplan.judge.live import live_bytes
from memplan.judge.plan_view import PlanView
from memplan.judge.timeline import timeline
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.machine.two_level import beyond_two_level
from memplan.problem.options import Options
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.capacities import least_capacity, reference_capacities
from memplan.solving.limits import Limits
from memplan.views.boxes import scene_of

PEAK_TIME_LIMIT_S = 3.0
"""For M_P where it is not known already: nobody waits long for a page."""


def facts(graph: Graph, plans: Sequence[Plan], labels: Sequence[str]) -> dict[str, Any]:
    """The whole content of a report; `labels` name the plans. Computes the reference capacities of each plan's options."""
    from memplan.base.version import __version__

    return {
        "version": __version__,
        "graph": graph_facts(graph),
        "reference": _reference(graph, Target(), Options()) if not plans else None,
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
    """One plan: what was asked, what was found, and where everything lies and when.

    Memories are given by their position in the target, moves and boxes (residencies, then parts) by theirs.
    """
    tensor = {t.name: i for i, t in enumerate(graph.tensors)}
    op = {o.name: i for i, o in enumerate(graph.ops)}
    target = plan.target
    memory = {m.name: i for i, m in enumerate(target.memories)}
    found = spills(graph, plan) if plan.schedule else []
    copies = Copies(PlanView(graph, plan))
    scene = scene_of(graph, plan, copies.view)
    return {
        "target": {
            "name": target.name,
            "timed": target.timed,
            "queues": target.queues,
            "memories": [_memory(plan, m) for m in target.memories],
            "constants": memory[target.home_of("constants")],
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
        "reference": _reference(graph, target, plan.options),
        "schedule": [op[name] for name in plan.schedule],
        "boxes": [
            [tensor[b.tensor], memory[b.memory], b.start, b.stop, b.offset, b.size, b.execution, b.arrival]
            for b in scene.boxes
        ],
        "wholes": [tensor[b.whole] for b in scene.boxes[len(plan.residencies) :]],
        "ways": [list(way) for way in scene.ways],
        "overs": [list(over) for over in scene.overs],
        "leaves": sorted(tensor[name] for name in scene.left),
        "moves": [
            [tensor[m.tensor], memory[m.source], memory[m.destination], m.issue, m.due, m.queue, int(spill)]
            for m, spill in zip(plan.moves, scene.spilled, strict=True)
        ],
        "inplace": [[pair.step, tensor[pair.output], tensor[pair.operand]] for pair in plan.inplace],
        "joined": [op[name] for name in plan.joined],
        "live": [live_bytes(plan, m.name) for m in target.addressed],
        "liveWithoutSpills": live_without_spills(graph, plan),
        "outside": _outside(copies),
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
        "timeline": _timeline(copies),
    }


def _memory(plan: Plan, memory: Memory) -> dict[str, Any]:
    """A memory of the target; `peak` is None where nothing has an address."""
    addressed = memory in plan.target.addressed
    ends = (r.offset + r.size for r in plan.residencies if r.memory == memory.name)
    return {
        "name": memory.name,
        "capacity": memory.capacity,
        "alignment": memory.alignment,
        "bandwidth": memory.bandwidth,
        "readonly": memory.readonly,
        "peak": max(ends, default=0) if addressed else None,
    }


def _outside(copies: Copies) -> list[int]:
    """By step, the bytes that the op reads or writes in another memory than the first."""
    first, tensor = copies.view.target.scratchpad.name, copies.view.graph.tensor
    outside = [0] * copies.view.n
    for s, steps, memories in accesses(copies):
        for step, memory in zip(steps, memories, strict=True):
            outside[step] += tensor[s].nbytes * (memory != first)
    return outside


def _timeline(copies: Copies) -> dict[str, Any] | None:
    """Start and end of each step's op and of each move; None on an untimed target."""
    graph, plan = copies.view.graph, copies.view.plan
    if not (plan.target.timed and plan.schedule):
        return None
    times = timeline(graph, plan, copies)
    return {
        "ops": [[_ns(start), _ns(end)] for start, end in times.ops],
        "moves": [[_ns(start), _ns(end)] for start, end in times.moves],
        "latency": _ns(times.latency_s),
    }


def _ns(seconds: float) -> float:
    return round(seconds * 1e9, 3)


def _reference(graph: Graph, target: Target, options: Options) -> dict[str, Any] | None:
    """M_R, M_H, M_P and whether M_P is proved; M_R alone where no peak is found; None where they are not defined."""
    if beyond_two_level(target) or options.join or options.io == "external":
        return None
    problem = Problem(graph, target, options)
    try:
        known = reference_capacities(problem, Limits(PEAK_TIME_LIMIT_S))
    except OptionError:
        return {"mr": least_capacity(problem), "mh": None, "mp": None, "proved": False}
    return {"mr": known.mr, "mh": known.mh, "mp": known.mp, "proved": known.mp_proved}
