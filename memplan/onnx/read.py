"""Imports ONNX models: any opset, weights not needed, every size known before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from memplan.base.errors import GraphError
from memplan.base.files import unreadable
from memplan.ir.declarations import completed
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.parts import Op, Tensor
from memplan.ir.ranges import Dims, ranges, resized, sizes_within
from memplan.machine.profile import Profile, load_profile
from memplan.onnx.access import NodeCall, known_numbers
from memplan.onnx.bodies import result_types, workspace_nbytes
from memplan.onnx.bounds import TensorType, check_bounds
from memplan.onnx.checks import check_control_flow, check_external, check_text, every_graph, inlined
from memplan.onnx.dialect import STANDARD_DOMAINS, described, joined, placed
from memplan.onnx.dims import closed, fix_dims, open_axes
from memplan.onnx.dtypes import ELEMENT_TYPES, nbytes
from memplan.onnx.executed import as_executed
from memplan.onnx.flops import flops
from memplan.onnx.needs import needs
from memplan.onnx.nodes import Node, given_by, in_order, name_nodes, nodes_of
from memplan.onnx.shapes import Asked, infer_types
from memplan.onnx.sizes import RANDOM_KINDS
from memplan.onnx.uses import subgraphs

Bounds = Mapping[str, tuple[int, ...]]
PLAN_KEY = "memplan.plan"


def read_onnx(path: Path, dims: Dims, bounds: Bounds | None = None, runtime: str | None = None) -> Model:
    """The model in a file, its ops as the runtime executes them; GraphError says what cannot be planned, and how to mend it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(GraphError, path, error) from error
    return model_from_bytes(data, path.stem, str(path.parent), dims, bounds, runtime)


def model_from_bytes(
    data: bytes,
    stem: str,
    folder: str,
    dims: Dims,
    bounds: Bounds | None = None,
    runtime: str | None = None,
) -> Model:
    """The model in the bytes of an .onnx file; external data is relative to `folder`, and need not exist."""
    try:
        proto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise GraphError(
            f"'{stem}.onnx' is not an ONNX model, or a part of it is missing",
            "is the file complete? export it again",
        ) from error
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        raise GraphError(f"'{stem}.onnx' holds no ONNX graph", "is the file complete? export it again")
    return model_from_proto(proto, stem.removesuffix(".memplan"), folder, dims, bounds, runtime)


def model_from_proto(
    proto: Any,
    stem: str,
    folder: str,
    dims: Dims,
    bounds: Bounds | None = None,
    runtime: str | None = None,
) -> Model:
    """The model in a ModelProto, which the result keeps and this function may complete.

    Of a dimension with a range the graph has the upper end, while the proto leaves it open. Where the proto carries a plan
    for a runtime, its ops are as that runtime executes them, unless another is named.
    """
    plan = None
    bounds = bounds or {}
    check_text(proto)
    if any(entry.key == PLAN_KEY for entry in proto.metadata_props):
        from memplan.onnx.emit import carried_plan, restore_program_order

        plan = carried_plan(proto)
        restore_program_order(proto)
        bounds = bounds or (plan.options.bounds if plan else {})
        runtime = runtime or (plan.runtime if plan else None)
        dims = dims or (ranges(plan.options.dims) if plan else {})
    if proto.functions:
        proto = inlined(proto)
        check_text(proto)
    check_external(proto.graph, folder)
    check_control_flow(proto.graph)
    dims_used, notes = fix_dims(proto.graph, dims)
    check_bounds(proto.graph, bounds)
    renamed = name_nodes(proto.graph)
    source, proto = proto, closed(proto, dims_used)
    nodes = in_order(proto.graph, list(nodes_of(proto.graph, renamed)))
    everything = [node.proto for node in nodes]
    constants = _constants(proto.graph, nodes)
    nodes = [node for node in nodes if not _folded(node, constants)]
    needed = {name for node in nodes for name in (*node.inputs, *node.outputs)}
    needed.update(value.name for value in (*proto.graph.input, *proto.graph.output))
    sources = {
        value.name: f"input '{value.name}'" for value in proto.graph.input if value.name not in constants
    }
    asked = Asked(bounds, result_types)
    known = infer_types(proto, everything, needed, asked, sources)
    known.check()
    spaces = {
        node.name: workspace_nbytes(proto, everything[:i], node, known, asked)
        for i, node in enumerate(everything)
        if next(subgraphs(node), None) is not None
    }
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 1)
    name = stem if plan is None else plan.graph  # a carried plan is tied to the graph's name
    profile = None if runtime is None else load_profile(runtime)
    graph = _graph(proto.graph, name, nodes, constants, known.types, spaces, profile, opset)
    said = (*notes, *known.notes, *asked.notes)
    model = Model(graph, stem, dims_used, said, source, plan, folder, bounds, runtime)
    if not (open_ones := ranges(dims_used)):
        return model
    from memplan.onnx.throughout import held_throughout

    axes = open_axes(source.graph)
    graph = held_throughout(graph, proto, everything, axes, open_ones, known.types, bounds)
    return replace(model, graph=graph, at=partial(_at, replace(model, graph=graph)))


def _at(model: Model, asked: Mapping[str, int]) -> Model:
    """See `Model.at`."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model.source)
    sizes = sizes_within(model.dims, asked)
    member = model_from_proto(proto, model.stem, model.folder, sizes, model.bounds, model.runtime)
    graph = resized(model.graph, member.graph)
    return replace(member, graph=graph, dims={**model.dims, **sizes}, plan=model.plan)


def _constants(graph: Any, nodes: list[Node]) -> set[str]:
    """Initializers, and whatever depends on constants alone; the nodes are in order."""
    known = {name for name, kind in given_by(graph).items() if kind == "constant"}
    for node in nodes:
        if _folded(node, known):
            known.update(node.outputs)
    return known


def _folded(node: Node, constants: set[str]) -> bool:
    return all(name in constants for name in node.inputs) and not _is_random(node.proto)


def _is_random(node: Any, training: bool = False) -> bool:
    """Whether the node, or one in its bodies, may draw random numbers; with `training`, a Dropout that only infers may not."""
    inside = (n for body in subgraphs(node) for graph in every_graph(body) for n in graph.node)
    return any(
        n.op_type in RANDOM_KINDS and not (training and n.op_type == "Dropout" and len(n.input) < 3)
        for n in (node, *inside)
    )


def _graph(
    graph: Any,
    name: str,
    nodes: list[Node],
    constants: set[str],
    types: Mapping[str, TensorType],
    spaces: Mapping[str, int],
    profile: Profile | None,
    opset: int,
) -> Graph:
    inputs = [v.name for v in graph.input if v.name not in constants]
    outputs = tuple(dict.fromkeys(v.name for v in graph.output))
    written = [name for node in nodes for name in node.outputs]
    read = dict.fromkeys(name for node in nodes for name in node.inputs)
    fixed = [name for name in read if name in constants]
    fixed += [name for name in outputs if name in constants and name not in read]
    tensors = [_tensor(n, "input", types) for n in inputs]
    tensors += [_tensor(n, "constant", types) for n in fixed]
    tensors += [_tensor(n, "activation", types) for n in written]
    tensor = {t.name: t for t in tensors}
    names, numbers = set(tensor), known_numbers(graph)
    ops = []
    for node in nodes:
        operands = [name or None for name in node.proto.input]
        in_bodies = spaces.get(node.proto.name, 0)
        op, space = completed(_op(node, tensor, numbers, opset), operands, tensor, in_bodies)
        if profile is not None and not profile.workspaces:
            space = in_bodies
        op = as_executed(op, operands, profile, outputs)
        if space and not op.view:
            workspace = _free_name(f"{op.name}.workspace", names)
            tensors.append(Tensor(workspace, space, "workspace"))
            op = replace(op, outputs=(*op.outputs, workspace), workspace=workspace)
        ops.append(op)
    return Graph(name, *placed(tensors, ops), outputs)


def _free_name(name: str, taken: set[str]) -> str:
    """`name`, or with primes after it, as no tensor is called yet."""
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def _tensor(name: str, kind: str, types: Mapping[str, TensorType]) -> Tensor:
    element, shape = types[name]
    size = nbytes(name, element, shape)
    return Tensor(name, size, kind, ELEMENT_TYPES[element][0], shape)


def _op(node: Node, tensor: Mapping[str, Tensor], numbers: Mapping[str, tuple[int, ...]], opset: int) -> Op:
    """The op without its workspace, and what is known of its kind, declarations aside."""
    proto, shapes = node.proto, {name: tensor[name].shape for name in (*node.inputs, *node.outputs)}
    attributes = {}
    for a in proto.attribute:
        if a.type == onnx.AttributeProto.INT:
            attributes[a.name] = a.i
        elif a.type == onnx.AttributeProto.INTS:
            attributes[a.name] = tuple(a.ints)
        elif a.type == onnx.AttributeProto.STRING:
            attributes[a.name] = a.s
    known = proto.domain in STANDARD_DOMAINS
    kind = (
        proto.op_type if known else f"{proto.domain}::{proto.op_type}"
    )  # whatever it does, it is not ONNX's
    given = [shapes.get(name) if name else None for name in proto.input]
    made = [shapes.get(name) if name else None for name in proto.output]
    count = flops(kind, given, made, attributes)
    call = NodeCall(given, made, attributes, [numbers.get(name) for name in proto.input], opset)
    joins = joined(
        kind, proto.input, attributes.get("axis"), shapes.get(proto.output[0]) if proto.output else None
    )
    once = _is_random(proto, training=True)
    op = Op(proto.name, kind, node.inputs, node.outputs, count, joins=joins, once=once, source=node.source)
    return described(replace(op, needs=needs(kind, call)))
