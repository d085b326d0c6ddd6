"""A plan measured by onnxruntime's own count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.onnx.emit import annotated
from memplan.onnx.inputs import bind_inputs, seeded_inputs
from memplan.onnx.values import Value, aligned, elem_type
from memplan.onnx.weights import stored_constants, with_weights
from memplan.problem.plan import Plan, refuse_mismatch
from memplan.runtimes.measurement import Measurement
from memplan.runtimes.onnxruntime.arena import least_arena
from memplan.runtimes.onnxruntime.filled import filled
from memplan.runtimes.onnxruntime.options import LEVELS, optimization_level, session_options
from memplan.runtimes.onnxruntime.trace import traced_runs

HOISTED = frozenset({"Shape", "Size"})
"""Kinds that onnxruntime executes as soon as it can, whatever the order of the file."""


def measure(
    model: Model, plan: Plan, inputs: Mapping[str, Any] | None = None, seed: int = 0, arena: bool = True
) -> Measurement:
    """What onnxruntime itself counts where it executes the plan, beside its own planner at each level.

    Counted are the bytes that tensors hold at the end of each node, as kernels asked for them: neither weights nor inputs
    and outputs, which are the caller's, nor what a kernel allocates and frees while it runs. The last counts in `arena`.
    Of its own planner the first run (tensor by tensor) and the second one (by the pattern of the first) are looked at,
    and the one that needs less counts.

    Args:
        model: an ONNX model, as it was loaded for runtime "onnxruntime".
        plan: a plan of it for that runtime.
        inputs: arrays by name, seeded where there are none.
        seed: of inputs, and of weights that the model lacks.
        arena: whether the least arenas are sought, which takes some twenty runs.

    Raises:
        PlanError: the plan was made for another graph or another runtime.
        GraphError: the model has no ONNX source.
        ExecutionError: onnxruntime refuses the model, or a run fails.
    """
    refuse_mismatch(model.graph, plan)
    session_options(plan)
    source = filled(model, seed)
    emitted = with_weights(type(source).FromString(annotated(model, plan)), model.folder, seed)
    if inputs is None:
        fed = seeded_inputs(model.graph, source, stored_constants(source, model.folder, seed), seed)
    else:
        fed = bind_inputs(model.graph, inputs)
    found, expected = _buffers(model.graph), _buffers(model.graph)
    run, _ = traced_runs(emitted, session_options(plan), fed, found)
    own = {"file order": traced_runs(source, session_options(plan), fed, expected)[0].peak}
    for level in reversed(LEVELS):  # what the graph as it is computes is what is left in the buffers
        own[level] = min(r.peak for r in traced_runs(source, own_options(level), fed, expected))
    faults, notes = compared(model.graph, plan, run.nodes)
    return Measurement(
        "onnxruntime",
        model.graph.name,
        len(plan.schedule),
        plan.metrics.live_peak,
        run.peak,
        {way: own[way] for way in (*LEVELS, "file order")},
        all(found[name].data.tobytes() == expected[name].data.tobytes() for name in found),
        faults,
        notes,
        *(_arenas(plan, emitted, source, fed, found) if arena else ()),
    )


def own_options(level: str, arena: int | None = None) -> Any:
    """The options with which onnxruntime plans itself, rewriting the graph as far as the level says."""
    options = session_options(arena=arena)
    options.graph_optimization_level = optimization_level(level)
    return options


def compared(graph: Graph, plan: Plan, nodes: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How the nodes that were executed are others than the plan's, and what is to be said of them."""
    ops = {op.name: op for op in graph.ops}
    done = [name for name in nodes if name in ops]
    faults, notes = [], []
    if others := list(dict.fromkeys(name for name in nodes if name not in ops)):
        notes.append(
            f"onnxruntime executes {len(others)} nodes that are not in the plan ({_listed(others)}): "
            "what depends on constants alone, what it inserts, or bodies; plan what `optimized` makes of the model"
        )
    early = [name for name in done if ops[name].kind in HOISTED]
    if done == list(plan.schedule):
        pass
    elif [x for x in done if x not in early] == [x for x in plan.schedule if x not in early]:
        notes.append(f"onnxruntime executes Shape and Size as soon as it can: {_listed(early)}")
    else:
        first = next(
            (a for a, b in zip(plan.schedule, done, strict=False) if a != b), plan.schedule[len(done)]
        )
        faults.append(f"nodes are executed in another order, from '{first}' on")
    return tuple(faults), tuple(notes)


def _arenas(
    plan: Plan, emitted: Any, source: Any, fed: Mapping[str, Value], written: Mapping[str, Value]
) -> tuple[int, int]:
    """The least arenas with the plan, and as onnxruntime plans the same graph itself."""
    return (
        least_arena(emitted, lambda n: session_options(plan, arena=n), fed, written),
        least_arena(source, lambda n: own_options("disable", n), fed, written),
    )


def _listed(names: Sequence[str]) -> str:
    """The first few of the names."""
    return ", ".join(f"'{name}'" for name in names[:4]) + (", …" if names[4:] else "")


def _buffers(graph: Graph) -> dict[str, Value]:
    """A buffer for each output."""
    return {
        name: Value(elem_type(t.dtype, name), t.shape or (), aligned(t.nbytes))
        for name, t in ((name, graph.tensor[name]) for name in graph.outputs)
    }
