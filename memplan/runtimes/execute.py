"""Executes a plan in a real arena and compares every output bit for bit with plain onnxruntime, or eager torch.

The reference is one onnxruntime session over the whole model: one thread, sequential, all graph
optimisations off. Where weights live in the arena (weights tensor or stream) the reference too runs
without prepacked weights. Models with 16-bit floats between ops are compared with the same kernels node by node
where they differ from the session: its kernels that lack a 16-bit form hand each other 32-bit values,
unrounded, which is not what the model says. Ops that draw random numbers differ from run to run and so from
the reference. A plan in tiles is compared with the model as it was, and its time with that of the whole ops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from memplan.base.errors import ExecutionError
from memplan.ir.model import Model
from memplan.ir.ranges import ranges
from memplan.judge.sizing import at_sizes
from memplan.onnx.inputs import load_inputs
from memplan.onnx.values import Value
from memplan.problem.plan import Plan, planned_graph, refuse_mismatch, refuse_tiles
from memplan.runtimes.report import OutputReport, RunReport
from memplan.runtimes.turns import least_seconds
from memplan.tflite.program import TfliteProgram

__all__ = ["OutputReport", "RunReport", "load_inputs", "run"]


def run(
    model: Model,
    plan: Plan,
    inputs: Mapping[str, Any] | None = None,
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
) -> RunReport:
    """Execute `plan` op by op in buffers of the sizes of its memories and compare with the reference.

    `inputs` are arrays by name (default: seeded, in range); absent weights are seeded. Bytes above
    the plan's peaks are never touched and not allocated. `dims` are sizes within the plan's ranges (default: the
    upper ends). GraphError if the model has no ONNX or torch source,
    PlanError if the plan is not of this graph, ExecutionError if an operand is nowhere, or a kernel fails.
    """
    _refuse_unfit(model, plan)
    if ranges(model.dims) or dims:
        model, plan = at_sizes(model, plan, dims or {})
    if model.source is None:
        from memplan.library.zoo import traced

        model = traced(model)
    if _has_torch_source(model):
        refuse_tiles(model.graph, plan)
        from memplan.runtimes.torch_run import run_torch

        return run_torch(model, plan, inputs, seed)
    from memplan.onnx.exactness import exactness_text
    from memplan.onnx.inputs import bind_inputs, seeded_inputs
    from memplan.runtimes.arena import ArenaBuilder
    from memplan.runtimes.kernels import Kernels
    from memplan.runtimes.program import LOAD, STORE, plain_program
    from memplan.runtimes.source import prepare

    source = prepare(model, plan.options.weights, seed)
    if inputs is None:
        fed = seeded_inputs(model.graph, source.proto, source.constants, seed)
    else:
        fed = bind_inputs(model.graph, inputs)
    try:
        expected = _reference(model, source, fed)
    except ExecutionError as error:
        raise _below_bounds(plan, error) from error
    kernels = Kernels(source)
    ops = {op.name: op for op in model.graph.ops}
    order = ops if plan.tiling else dict.fromkeys(plan.schedule)
    plain = plain_program(source, kernels, [ops[name] for name in order], fed)
    builder = ArenaBuilder(source, kernels, plan, fed)
    program = builder.build()
    try:
        plain.execute()
        program.execute()
    except ExecutionError as error:
        raise _below_bounds(plan, error) from error
    outputs = _compare(program.outputs, expected)
    reference = "onnxruntime"
    if not all(o.equal for o in outputs) and _computes_in_16_bits(model):
        outputs, reference = _compare(program.outputs, plain.outputs), "node by node"
    seconds, plain_seconds = least_seconds(program, plain)
    return RunReport(
        model=model.graph.name,
        ops=len(plan.schedule),
        outputs=outputs,
        peaks=plan.peaks,
        loaded_bytes=program.moved(LOAD),
        stored_bytes=program.moved(STORE),
        seconds=seconds,
        plain_seconds=plain_seconds,
        sessions=len(kernels.cache),
        reference=reference,
        exact=exactness_text(model.graph, builder.tiles.values()) if plan.tiling else None,
        drawn=source.drawn,
    )


def _below_bounds(plan: Plan, error: ExecutionError) -> ExecutionError:
    """The error, which says what it may come from where the plan has sizes that are bounds."""
    if not plan.options.bounds:
        return error
    listed = ", ".join(f"'{name}' = {list(shape)}" for name, shape in plan.options.bounds.items())
    return ExecutionError(
        error.message,
        f"tensors are executed at the sizes that the plan was bounded at, {listed}: give inputs that reach them",
    )


def _has_torch_source(model: Model) -> bool:
    if model.source is None:
        return False
    from onnx import ModelProto

    return not isinstance(model.source, ModelProto)


def _computes_in_16_bits(model: Model) -> bool:
    return any(t.kind == "activation" and t.dtype in ("float16", "bfloat16") for t in model.graph.tensors)


def _refuse_unfit(model: Model, plan: Plan) -> None:
    refuse_mismatch(model.graph, plan)
    if isinstance(model.source, TfliteProgram):
        raise ExecutionError(
            f"'{model.stem}' is a .tflite file, which its own runtime executes",
            "memplan measure MODEL PLAN --on tflm",
        )
    if set(plan.schedule) != {op.name for op in planned_graph(model.graph, plan).ops}:
        why = f": {plan.reason}" if plan.reason else ""
        raise ExecutionError(f"the plan has no complete schedule{why}", "execute a valid plan")


def _reference(model: Model, source: Any, fed: Mapping[str, Value]) -> dict[str, Value]:
    """The outputs of one session over the whole model; inputs and constants among them are themselves."""
    from onnx import ModelProto

    from memplan.onnx.values import aligned, elem_type
    from memplan.runtimes.sessions import open_session, run_bound

    given = {**source.constants, **fed}  # a session leaves outputs that no node writes as they are
    outputs = {name: given[name] for name in model.graph.outputs if name in given}
    written = {}
    for name in model.graph.outputs:
        if name not in given:
            t = model.graph.tensor[name]
            written[name] = Value(elem_type(t.dtype, name), t.shape or (), aligned(t.nbytes))
    if written:
        proto = ModelProto()
        proto.CopyFrom(source.proto)
        constants = {name: v for name, v in source.constants.items() if name in source.initializers}
        run_bound(open_session(proto, constants, source.prepack), fed, written)
    return {name: (outputs | written)[name] for name in model.graph.outputs}


def _compare(found: Mapping[str, Value], expected: Mapping[str, Value]) -> tuple[OutputReport, ...]:
    return tuple(_compare_one(name, found[name], value) for name, value in expected.items())


def _compare_one(name: str, found: Value, expected: Value) -> OutputReport:
    import numpy as np

    from memplan.onnx.values import to_array

    equal = found.data.tobytes() == expected.data.tobytes()
    difference = 0.0
    if not equal:
        a, b = (to_array(v).astype(np.float64) for v in (found, expected))
        with np.errstate(invalid="ignore"):
            difference = float(np.max(np.nan_to_num(np.abs(a - b), nan=np.inf), initial=0.0))
    digests = (hashlib.sha256(v.data.tobytes()).hexdigest() for v in (found, expected))
    return OutputReport(name, equal, difference, *digests)
