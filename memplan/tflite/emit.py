"""A planned .tflite file: operators in the plan's order, its tiles among them, and its offsets where TensorFlow Lite Micro
looks for them."""

from __future__ import annotations

from itertools import accumulate

from memplan.base.errors import MemplanError, PlanError
from memplan.ir.model import Model
from memplan.judge.check.check import check
from memplan.judge.evaluate import refuse
from memplan.machine.profile import load_profile
from memplan.problem.plan import Plan, planned_graph, refuse_mismatch
from memplan.solving.runtimes import refuse_undone
from memplan.tflite.bodies import called_bodies, in_arena, lowest_free
from memplan.tflite.flatbuffer import word
from memplan.tflite.program import TfliteProgram, parse
from memplan.tflite.read import PROFILE, tensor_names
from memplan.tflite.rewrite import Changes, rewritten
from memplan.tflite.scratch import rounded
from memplan.tflite.tiled import TiledFile

METADATA = "OfflineMemoryAllocation"
"""The entry in which the runtime looks for offsets: version 1, subgraph 0, how many offsets, and one for each tensor."""

DECIDED_AT_RUN_TIME = -1
"""The offset of a tensor that does not lie in the arena."""

HINT = f"plan with --runtime {PROFILE}"
"""What helps where a plan is not for the runtime."""


def planned_tflite(model: Model, plan: Plan) -> bytes:
    """The model's file, its operators or tiles in the plan's order, with the plan's offsets as metadata; all else as it was.

    MemplanError where the model is no .tflite file, PlanError where the plan is of another graph or asks for what the runtime
    does not do, InvalidPlanError where it breaks a rule: the runtime would not notice.
    """
    return _written(model, plan)[0]


def _written(model: Model, plan: Plan) -> tuple[bytes, list[int]]:
    """The planned file, and the offsets of its tensors."""
    program = source_program(model)
    refuse_mismatch(model.graph, plan)
    number = {op.name: i for i, op in enumerate(planned_graph(model.graph, plan).ops)}
    if sorted(plan.schedule) != sorted(number):
        why = plan.reason or "it leaves ops out, or repeats them"
        raise PlanError(f"the plan has no schedule that the runtime can keep: {why}", HINT)
    refuse_unfit(plan)
    refuse(check(model.graph, plan, claims=False))
    found = offsets(model, plan)
    if plan.tiling:
        tiled = TiledFile(program, model, plan, found)
        return tiled.data({METADATA: offsets_entry(tiled.offsets)}), tiled.offsets
    order = [number[name] for name in plan.schedule]
    return rewritten(program, Changes({0: order}, metadata={METADATA: offsets_entry(found)})), found


def source_program(model: Model) -> TfliteProgram:
    """The .tflite file that the model came from; MemplanError where it came from none."""
    if not isinstance(model.source, TfliteProgram):
        raise MemplanError(f"'{model.stem}' was not read from a .tflite file", "plan a .tflite file")
    return model.source


def refuse_unfit(plan: Plan) -> None:
    """PlanError, or OptionError, where the plan asks for what TensorFlow Lite Micro does not do."""
    profile = load_profile(PROFILE)
    if plan.options.io != profile.policies["io"] or plan.options.weights != profile.policies["weights"]:
        raise PlanError(
            f"the plan has io {plan.options.io} and weights {plan.options.weights}, the runtime has "
            f"io {profile.policies['io']} and weights {profile.policies['weights']}",
            HINT,
        )
    if plan.moves or len(plan.schedule) != len(set(plan.schedule)) or plan.joined:
        raise PlanError(
            "the plan moves tensors, repeats ops or joins operands, which the runtime does not", HINT
        )
    refuse_undone(profile, plan.target, plan.options)
    if wrong := next((r for r in plan.residencies if r.offset % profile.alignment), None):
        raise PlanError(
            f"'{wrong.tensor}' lies at {wrong.offset}, which is no multiple of {profile.alignment}", HINT
        )


def offsets(model: Model, plan: Plan) -> list[int]:
    """Bytes from the start of the arena, or -1, of the tensors of all subgraphs, one subgraph after another.

    What exists in chunks only has none. The runtime finds a place for what nothing touches, too. It may lie anywhere, an input
    that nothing reads beside other inputs.
    """
    program, graph = source_program(model), planned_graph(model.graph, plan)
    main, names = program.subgraphs[0], tensor_names(program)
    place = {r.tensor: r.offset for r in plan.residencies}
    found = {
        (0, i): place[storage]
        for i, name in enumerate(names)
        if (storage := graph.storage_of.get(name, name)) in place
    }
    chunked = {
        (0, i) for i, name in enumerate(names) if name in model.graph.tensor and name not in graph.tensor
    }
    for i, body in called_bodies(program).items():
        if (workspace := model.graph.ops[i].workspace) is not None:
            found |= {key: place[workspace] + inside for key, inside in body.offsets.items()}
    inputs = [i for i in dict.fromkeys(main.inputs) if in_arena(main.tensors[i])]
    unread = [i for i in inputs if (0, i) not in found]
    sizes = [rounded(main.tensors[i].nbytes) for i in unread]
    taken = [(found[0, i], main.tensors[i].nbytes) for i in inputs if (0, i) in found]
    first = lowest_free(taken, sum(sizes))
    found |= {(0, i): first + before for i, before in zip(unread, accumulate(sizes, initial=0), strict=False)}
    return [
        found.get((n, i), 0) if in_arena(value) and (n, i) not in chunked else DECIDED_AT_RUN_TIME
        for n, subgraph in enumerate(program.subgraphs)
        for i, value in enumerate(subgraph.tensors)
    ]


def head_nbytes(model: Model, plan: Plan) -> int:
    """Bytes of the arena that the planned file takes: the plan's, or more where a tensor that nothing touches is larger, or where
    rows at the arena's end are rounded up; fewer where a tile reads in place what the plan would gather.
    """
    made, found = _written(model, plan)
    values = (value for subgraph in parse(made, model.stem).subgraphs for value in subgraph.tensors)
    placed = zip(found, values, strict=True)
    ends = [offset + rounded(value.nbytes) for offset, value in placed if offset != DECIDED_AT_RUN_TIME]
    ends += [r.offset + r.size for r in plan.residencies if r.tensor in model.graph.tensor]
    return max(ends, default=0)


def offsets_entry(found: list[int]) -> bytes:
    """The offsets as the runtime reads them; PlanError where one is larger than it can read."""
    if (largest := max(found, default=0)) >= 2**31:
        raise PlanError(
            f"the offset {largest} has more than the 31 bits that the runtime reads",
            "no arena is so large: are the shapes of the model right?",
        )
    return word(f"{3 + len(found)}i", 1, 0, len(found), *found)


def without_offsets(program: TfliteProgram) -> bytes:
    """The file as the runtime plans it by itself: without offsets, if it has any."""
    if METADATA not in dict(program.metadata):
        return program.data
    unplanned = [DECIDED_AT_RUN_TIME] * sum(len(subgraph.tensors) for subgraph in program.subgraphs)
    return rewritten(program, Changes(metadata={METADATA: offsets_entry(unplanned)}))
