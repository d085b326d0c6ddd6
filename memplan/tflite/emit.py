"""A planned .tflite file: operators in the plan's order, and its offsets where TensorFlow Lite Micro looks for them."""

from __future__ import annotations

from memplan.base.errors import MemplanError, PlanError
from memplan.ir.model import Model
from memplan.machine.profile import load_profile
from memplan.problem.plan import Plan, refuse_mismatch
from memplan.tflite.bodies import called_bodies, in_arena
from memplan.tflite.flatbuffer import word
from memplan.tflite.program import Program
from memplan.tflite.read import PROFILE, tensor_names
from memplan.tflite.rewrite import Changes, rewritten

METADATA = "OfflineMemoryAllocation"
"""The entry in which the runtime looks for offsets: version 1, subgraph 0, how many offsets, and one for each tensor."""

DECIDED_AT_RUN_TIME = -1
"""The offset of a tensor that has no place in the plan: one that is not in the arena, or that nothing touches."""


def planned_tflite(model: Model, plan: Plan) -> bytes:
    """The model's file, its operators in the plan's order, with the plan's offsets as metadata; all else as it was.

    MemplanError where the model is no .tflite file, PlanError where the plan is of another graph or asks for what the runtime
    does not do.
    """
    program = source_program(model)
    refuse_mismatch(model.graph, plan)
    refuse_unfit(plan)
    number = {op.name: i for i, op in enumerate(model.graph.ops)}
    order = [number[name] for name in plan.schedule]
    return rewritten(program, Changes({0: order}, metadata={METADATA: offsets_entry(offsets(model, plan))}))


def source_program(model: Model) -> Program:
    """The .tflite file that the model came from; MemplanError where it came from none."""
    if not isinstance(model.source, Program):
        raise MemplanError(f"'{model.stem}' was not read from a .tflite file", "plan a .tflite file")
    return model.source


def refuse_unfit(plan: Plan) -> None:
    """PlanError where the plan asks for what TensorFlow Lite Micro does not do."""
    profile, hint = load_profile(PROFILE), f"plan with --runtime {PROFILE}"
    if not plan.schedule:
        raise PlanError(f"there is no schedule: {plan.reason or plan.status}", hint)
    if plan.options.io != profile.policies["io"] or plan.options.weights != profile.policies["weights"]:
        raise PlanError(
            f"the plan has io {plan.options.io} and weights {plan.options.weights}, the runtime has "
            f"io {profile.policies['io']} and weights {profile.policies['weights']}",
            hint,
        )
    if plan.moves or len(plan.schedule) != len(set(plan.schedule)) or plan.joined:
        raise PlanError(
            "the plan moves tensors, repeats ops or joins operands, which the runtime does not", hint
        )
    if wrong := next((r for r in plan.residencies if r.offset % profile.alignment), None):
        raise PlanError(
            f"'{wrong.tensor}' lies at {wrong.offset}, which is no multiple of {profile.alignment}", hint
        )


def offsets(model: Model, plan: Plan) -> list[int]:
    """Bytes from the start of the arena, or -1, of the tensors of all subgraphs, one subgraph after another."""
    program, graph = source_program(model), model.graph
    place = {r.tensor: r.offset for r in plan.residencies}
    found = {
        (0, i): place.get(graph.storage_of.get(name, name), DECIDED_AT_RUN_TIME)
        for i, name in enumerate(tensor_names(program))
        if in_arena(program.subgraphs[0].tensors[i])
    }
    for i, body in called_bodies(program).items():
        if (workspace := graph.ops[i].workspace) is not None:
            found |= {key: place[workspace] + inside for key, inside in body.offsets.items()}
    return [
        found.get((n, i), DECIDED_AT_RUN_TIME)
        for n, subgraph in enumerate(program.subgraphs)
        for i in range(len(subgraph.tensors))
    ]


def offsets_entry(found: list[int]) -> bytes:
    """The offsets as the runtime reads them."""
    return word(f"{3 + len(found)}i", 1, 0, len(found), *found)


def without_offsets(program: Program) -> bytes:
    """The file as the runtime plans it by itself: without offsets, if it has any."""
    if METADATA not in dict(program.metadata):
        return program.data
    unplanned = [DECIDED_AT_RUN_TIME] * sum(len(subgraph.tensors) for subgraph in program.subgraphs)
    return rewritten(program, Changes(metadata={METADATA: offsets_entry(unplanned)}))
