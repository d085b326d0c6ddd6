"""The annotated ONNX model: nodes in schedule order, the plan beside them as metadata.

Keys, all of them texts (a placement is `name:offset+size@[start,stop)`, followed by ` in MEMORY` where it is not the
first memory; several are separated by "; "):

on each node
    memplan.program_index  position of the node in the file that was planned
on each planned node
    memplan.step           its step in the schedule
    memplan.outputs        placements of what it writes
    memplan.inplace        `output=input` where it writes over its input
    memplan.view_of        the storage that a view renames
    memplan.joined         "true" where it copies nothing, since its operands lie in its output
    memplan.loads          placements of what is copied to a faster memory by this step
    memplan.stores         names of what is copied to a slower memory after it (due before the next step)
    memplan.frees          names of what leaves a memory after it
    memplan.spilled        those of its outputs that are loaded again later
on the graph
    memplan.summary        target, capacity, solver, status, value, bound, traffic and peak as JSON
on the model
    memplan.plan           the whole plan as JSON
    memplan.version        the memplan that wrote it

Metadata on nodes exists from IR version 10 on, to which older models are raised. Tools that rebuild
the graph (simplifiers, version converters, onnxruntime's full optimisation) drop it: annotate last.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from memplan.base.errors import GraphError, MemplanError, PlanError
from memplan.ir.model import Model
from memplan.judge.events import events_of
from memplan.problem.plan import Plan, Residency, Status, refuse_mismatch, refuse_tiles

PREFIX = "memplan."
PLAN = "memplan.plan"
PROGRAM_INDEX = "memplan.program_index"
IR_VERSION = 10
"""The first IR version with metadata on nodes and graphs."""


def annotated(model: Model, plan: Plan) -> bytes:
    """The model's ONNX source in schedule order with the plan as metadata; same plan, same bytes.

    Weights stay as they are in the source, references to external data included. MemplanError if
    the model has no ONNX source, PlanError if the plan is of another graph, there is none, or it executes an op again.
    """
    from onnx import ModelProto

    refuse_tiles(model.graph, plan)
    _refuse_unfit(model, plan)
    proto = ModelProto()
    proto.CopyFrom(model.source)
    _raise_ir_version(proto)
    for i, node in enumerate(proto.graph.node):
        _clear(node.metadata_props)
        _set(node.metadata_props, {PROGRAM_INDEX: str(i)})
    ordered = _schedule_order(model, plan, list(proto.graph.node))
    del proto.graph.node[:]
    proto.graph.node.extend(ordered)
    _clear(proto.graph.metadata_props)
    _set(proto.graph.metadata_props, {"memplan.summary": json.dumps(_summary(plan))})
    _clear(proto.metadata_props)
    _set(proto.metadata_props, _carried(plan))
    return _serialized(proto)


def tiled(model: Model, plan: Plan) -> bytes:
    """The model's ONNX source in the tiles of the plan, in schedule order: see `memplan.onnx.tiled`; same plan, same bytes.

    It is a model of its own, which carries no plan. Errors as of `annotated`; ExecutionError and GraphError where a tile
    has no nodes.
    """
    from memplan.base.version import __version__
    from memplan.onnx.tiled import tiled_proto

    refuse_mismatch(model.graph, plan)
    _refuse_unfit(model, plan)
    proto = tiled_proto(model, plan.tiling, plan.schedule)
    _set(proto.metadata_props, {"memplan.version": __version__})
    return _serialized(proto)


def _refuse_unfit(model: Model, plan: Plan) -> None:
    from onnx import ModelProto

    if not isinstance(model.source, ModelProto):
        raise MemplanError(
            f"'{model.graph.name}' has no ONNX source to annotate",
            "give the .onnx file it was made from, or emit json",
        )
    if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
        raise PlanError(f"there is no plan to write: {plan.reason or plan.status}", "emit a valid plan")
    again = [name for name, times in Counter(plan.schedule).items() if times > 1]
    if again:
        raise PlanError(
            f"the plan executes '{again[0]}' again, and a node stands in a model once",
            "emit json, or plan without recomputation",
        )


def _serialized(proto: Any) -> bytes:
    try:
        data: bytes = proto.SerializeToString(deterministic=True)
    except Exception as error:  # protobuf's own limit of 2 GiB
        raise MemplanError(
            f"the model cannot be written: {error}", "keep its weights as external data"
        ) from error
    return data


def carried_plan(proto: Any) -> Plan | None:
    """The plan in an annotated model, unchecked; None if there is none, PlanError if it is damaged."""
    from memplan.base.files import parse_json
    from memplan.io.plan_json import plan_from_dict

    text = next((entry.value for entry in proto.metadata_props if entry.key == PLAN), None)
    if text is None:
        return None
    try:
        data = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"the plan in the model is not JSON: {error}", "annotate the model anew") from error
    return plan_from_dict(data, f"metadata '{PLAN}'")


def restore_program_order(proto: Any) -> None:
    """Put the nodes of an annotated model back into the order of the file that was planned."""
    nodes = list(proto.graph.node)
    positions = [_position(node) for node in nodes]
    if sorted(positions) != list(range(len(nodes))):
        raise GraphError(
            "the annotated model has lost or gained nodes since it was planned",
            "plan it anew, or remove its memplan metadata",
        )
    ordered = [node for _, node in sorted(zip(positions, nodes, strict=True), key=lambda pair: pair[0])]
    del proto.graph.node[:]
    proto.graph.node.extend(ordered)


def _position(node: Any) -> int:
    text = next((entry.value for entry in node.metadata_props if entry.key == PROGRAM_INDEX), "")
    return int(text) if text.isdecimal() and len(text) < 12 else -1


def _raise_ir_version(proto: Any) -> None:
    """From IR 4 on an initializer that is also an input may be overridden; before, it was a constant."""
    if proto.ir_version < 4:
        fixed = {tensor.name for tensor in proto.graph.initializer}
        inputs = [value for value in proto.graph.input if value.name not in fixed]
        del proto.graph.input[:]
        proto.graph.input.extend(inputs)
    proto.ir_version = max(proto.ir_version, IR_VERSION)


def _schedule_order(model: Model, plan: Plan, nodes: list[Any]) -> list[Any]:
    """Nodes on constants alone first, then the planned ones by step, annotated."""
    graph = model.graph
    writer = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    place = {op.name: writer[op.results[0]] for op in graph.ops}
    planned = set(place.values())
    ordered = [node for i, node in enumerate(nodes) if i not in planned]
    ops = {op.name: op for op in graph.ops}
    events = events_of(plan)

    def placed(r: Residency) -> str:
        there = "" if r.memory == plan.target.scratchpad.name else f" in {r.memory}"
        return f"{r.tensor}:{r.offset}+{r.size}@[{r.start},{r.stop}){there}"

    for step, name in enumerate(plan.schedule):
        op, node = ops[name], nodes[place[name]]
        pairs = [f"{pair.output}={pair.operand}" for pair in events.inplace.get(step, ())]
        view = [graph.storage_of[op.outputs[0]]] if op.view else []
        texts = {
            "memplan.step": [str(step)],
            "memplan.outputs": [placed(r) for r in events.begins.get(step, ()) if r.tensor in op.outputs],
            "memplan.inplace": pairs,
            "memplan.view_of": view,
            "memplan.joined": ["true"] if name in plan.joined else [],
            "memplan.loads": [placed(r) for r in events.loads.get(step, ())],
            "memplan.stores": events.stores.get(step, []),
            "memplan.frees": [r.tensor for r in events.ends.get(step, ())],
            "memplan.spilled": [out for out in op.outputs if out in events.loaded],
        }
        _set(node.metadata_props, {key: "; ".join(items) for key, items in texts.items() if items})
        ordered.append(node)
    return ordered


def _summary(plan: Plan) -> dict[str, Any]:
    from memplan.io.plan_json import plan_dict

    whole = plan_dict(plan)
    keys = ("solver", "status", "value", "bound", "metrics")
    memories = whole["target"]["memories"]
    target = {"target": plan.target.name, "memories": memories, "objective": plan.options.objective}
    return target | {key: whole[key] for key in keys}


def _carried(plan: Plan) -> dict[str, str]:
    from memplan.base.version import __version__
    from memplan.io.plan_json import plan_text

    return {PLAN: plan_text(plan), "memplan.version": __version__}


def _clear(props: Any) -> None:
    """Drop what an earlier annotation left."""
    others = [entry for entry in props if not entry.key.startswith(PREFIX)]
    del props[:]
    props.extend(others)


def _set(props: Any, texts: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
    for key, text in dict(texts).items():
        props.add(key=key, value=text)
