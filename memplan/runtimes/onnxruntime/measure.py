"""A plan measured by onnxruntime's own count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.judge.sizing import at_sizes
from memplan.machine.profile import load_profile
from memplan.onnx.emit import annotated
from memplan.onnx.inputs import seeded_inputs
from memplan.onnx.values import Value, aligned, elem_type
from memplan.onnx.weights import constant_nodes, stored_constants, with_weights
from memplan.problem.plan import Plan
from memplan.runtimes.obedience import Obedience
from memplan.runtimes.onnxruntime.arena import least_arena
from memplan.runtimes.onnxruntime.filled import filled
from memplan.runtimes.onnxruntime.options import LEVELS, optimization_level, session_options
from memplan.runtimes.onnxruntime.trace import traced_runs

PROFILE = load_profile("onnxruntime")
PLANNABLE = {f"level {level}": level for level in LEVELS if level != "disable"}

HOISTED = frozenset({"Shape", "Size"})
"""Kinds that onnxruntime executes as soon as it can, whatever the order of the file."""

REWRITE = "plan what `optimized` makes of the model, by --optimize basic"
"""What helps where onnxruntime executes other nodes than the plan's."""


def measure(model: Model, plan: Plan, seed: int = 0) -> Obedience:
    """The plan beside what onnxruntime makes of it, and of the model without it, on the same seeded inputs.

    Counted are the bytes that tensors hold at the end of each node, as kernels asked for them: neither weights, nor inputs and
    outputs, which are the caller's, nor what a kernel allocates and frees while it runs. These, and gaps, are `beside`: what the
    arena must hold at least, to `arena.STEP`. onnxruntime plans itself at each level of optimisation, with its defaults (of the
    first run, tensor by tensor, and the second, by the pattern of the first, the one that needs less counts), or executes the
    file as it is and reuses nothing.

    A plan for a range of sizes is measured at its upper ends. PlanError where the plan is for another graph or another runtime,
    GraphError where the model has no ONNX source, ExecutionError where onnxruntime refuses the model, or a run fails.
    """
    model, plan = at_sizes(model, plan, {})
    session_options(plan)
    source, ordered = filled(model, seed), in_order(model, plan, seed)
    fed = made_up_inputs(model, source, seed)
    found, expected = output_buffers(model.graph), output_buffers(model.graph)
    run = traced_runs(ordered, session_options(plan), fed, found)[0]
    plain = traced_runs(source, session_options(plan), fed, expected)[0]
    ways = {"file order, no reuse": plain.peak}
    for level in reversed(LEVELS):  # last the graph as it is, whose outputs stay in the buffers
        ways[f"level {level}"] = min(r.peak for r in traced_runs(source, own_options(level), fed, expected))
    ways = dict(reversed(ways.items()))
    own = min(ways, key=lambda way: ways[way])  # of equals the one that changes least
    faults, notes = compared(model.graph, plan, run.nodes)
    if ways[own] < min(run.peak, ways["level disable"]) and own in PLANNABLE:
        notes += (
            f"{own} needs less, since it rewrites the graph: plan that with --optimize {PLANNABLE[own]}",
        )
    kept_order = not faults
    if kept_order and run.peak > plan.metrics.live_peak and {*run.nodes} - {*plan.schedule}:
        faults = (f"takes bytes for nodes that are not in the plan: {REWRITE}",)
    least = least_arena(
        ordered, lambda nbytes: session_options(plan, arena=nbytes), fed, found, run.held + run.peak
    )
    return Obedience(
        model=model.graph.name,
        runtime="onnxruntime",
        predicted=plan.metrics.live_peak,
        measured=run.peak,
        own=ways[own],
        beside=least - run.peak,
        outputs=len(found),
        different=sum(found[name].data.tobytes() != expected[name].data.tobytes() for name in found),
        ways=ways,
        ordered=kept_order,
        # workspaces are those of bodies, since the profile says that kernels' own do not count
        at_most=PROFILE.control_flow == "bounded" and any(op.workspace for op in model.graph.ops),
        faults=faults,
        notes=notes,
    )


def in_order(model: Model, plan: Plan, seed: int) -> Any:
    """A ModelProto as `emit` writes it, its nodes in the plan's order, that holds all its weights."""
    from onnx import ModelProto

    return with_weights(ModelProto.FromString(annotated(model, plan)), model.folder, seed)


def made_up_inputs(model: Model, source: Any, seed: int) -> dict[str, Value]:
    """Seeded inputs in range, for a ModelProto of the model that holds all its weights."""
    constants = stored_constants(source, model.folder, seed) | constant_nodes(source.graph)
    return seeded_inputs(model.graph, source, constants, seed)


def own_options(level: str, arena: int | None = None) -> Any:
    """The options with which onnxruntime plans itself, rewriting the graph as far as the level says."""
    options = session_options(arena=arena)
    options.graph_optimization_level = optimization_level(level)
    return options


def compared(graph: Graph, plan: Plan, nodes: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How the nodes that were executed are others than the plan's (faults), and what is to be said of them (notes)."""
    ops = {op.name: op for op in graph.ops}
    done = [name for name in nodes if name in ops]
    notes = []
    if others := list(dict.fromkeys(name for name in nodes if name not in ops)):
        notes.append(
            f"executed, but not in the plan: {_listed(others)}; such nodes depend on constants alone, stand in bodies, or are "
            "what onnxruntime puts in place of others"
        )
    if lost := [name for name in plan.schedule if name not in set(done)]:
        return (f"executes others in place of {_listed(lost)}: {REWRITE}",), tuple(notes)
    early = {name for name in done if ops[name].kind in HOISTED}
    if done != list(plan.schedule) and early:
        notes.append(f"Shape and Size are executed as soon as they can be: {_listed(sorted(early))}")
    kept = [name for name in plan.schedule if name not in early]
    order = [name for name in done if name not in early]
    if wrong := next((a for a, b in zip(kept, order, strict=False) if a != b), None):
        return (f"executes another node in place of '{wrong}'",), tuple(notes)
    return (), tuple(notes)


def _listed(names: Sequence[str]) -> str:
    """The first few of the names."""
    return ", ".join(f"'{name}'" for name in names[:4]) + (", …" if names[4:] else "")


def output_buffers(graph: Graph) -> dict[str, Value]:
    """A buffer for each output."""
    return {
        name: Value(elem_type(t.dtype, name), t.shape or (), aligned(t.nbytes))
        for name, t in ((name, graph.tensor[name]) for name in graph.outputs)
    }
