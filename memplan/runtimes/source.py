"""An ONNX source made ready to execute: every constant a value, every op its node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memplan.base.errors import ExecutionError, GraphError
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.onnx.access import known_numbers
from memplan.onnx.uses import captured
from memplan.onnx.values import Value, aligned, elem_type, is_absent
from memplan.onnx.weights import constant_nodes, fill_bodies, stored_constants
from memplan.runtimes.sessions import make_session, run_bound


@dataclass(frozen=True)
class Source:
    """What both the arena and the reference execute.

    proto      the ModelProto without its initializers
    nodes      the node of each op, by op name
    constants  every constant's value: initializers, Constant nodes, and what ops on constants alone make
    numbers    the elements of small integer constants in the file
    initializers  names of those that the file holds as initializers
    stored     names of those that onnxruntime itself regards as initializers
    prepack    whether kernels may repack stored weights when a session is made; off where weights live in
               the arena, since a kernel sums in another order over a repacked operand
    drawn      how many initializers are drawn at random, since the file with their data is not there
    """

    graph: Graph
    proto: Any
    nodes: Mapping[str, Any]
    constants: Mapping[str, Value]
    numbers: Mapping[str, tuple[int, ...]]
    initializers: frozenset[str]
    stored: frozenset[str]
    prepack: bool
    drawn: int


def prepare(model: Model, weights: str, seed: int) -> Source:
    """The model's source for a plan whose weights are treated as `weights`; absent data is seeded."""
    from onnx import ModelProto

    if not isinstance(model.source, ModelProto):
        raise GraphError(
            f"'{model.graph.name}' comes without an ONNX source, so it cannot be executed",
            "give the .onnx or .pt2 file it was made from",
        )
    proto = ModelProto()
    proto.CopyFrom(model.source)
    if proto.graph.sparse_initializer:
        raise ExecutionError("sparse initializers cannot be executed", "store them densely")
    constants = stored_constants(proto, model.folder, seed)
    initializers = frozenset(t.name for t in proto.graph.initializer)
    drawn = sum(is_absent(t, model.folder) for t in proto.graph.initializer)
    del proto.graph.initializer[:]
    fill_bodies(proto.graph, model.folder, seed)
    fed = {value.name for value in proto.graph.input} if proto.ir_version >= 4 else set()
    stored = set(constants) - fed
    made = constant_nodes(proto.graph)
    constants |= made
    stored |= set(made)
    nodes = _nodes(model.graph, proto)
    prepack = weights == "ignore"
    folded = _fold(model.graph, proto, nodes, constants, frozenset(stored), prepack)
    numbers = known_numbers(model.source.graph)
    values = constants | folded
    return Source(model.graph, proto, nodes, values, numbers, initializers, frozenset(stored), prepack, drawn)


def _nodes(graph: Graph, proto: Any) -> dict[str, Any]:
    """The node of each op, found by the first value the op writes."""
    writer = {name: node for node in proto.graph.node for name in node.output if name}
    try:
        return {op.name: writer[op.results[0]] for op in graph.ops}
    except (KeyError, IndexError) as error:
        raise ExecutionError(
            f"the ONNX source of '{graph.name}' does not write {error}",
            "plan the .onnx file that is executed",
        ) from error


def _fold(
    graph: Graph,
    proto: Any,
    nodes: Mapping[str, Any],
    constants: Mapping[str, Value],
    stored: frozenset[str],
    prepack: bool,
) -> dict[str, Value]:
    """Values of the constants that nodes outside the plan compute, by one session over these nodes."""
    from onnx import helper

    planned = {id(node) for node in nodes.values()}
    writer = {n: node for node in proto.graph.node if id(node) not in planned for n in node.output if n}
    wanted = [t for t in graph.tensors if t.name in writer and t.name not in constants]
    if not wanted:
        return {}
    needed: dict[int, None] = {}
    queue = [t.name for t in wanted]
    while queue:
        node = writer.get(queue.pop())
        if node is not None and id(node) not in needed:
            needed[id(node)] = None
            queue.extend(n for n in (*node.input, *captured(node)) if n not in constants)
    body = [node for node in proto.graph.node if id(node) in needed]
    read = dict.fromkeys(n for node in body for n in (*node.input, *captured(node)) if n in constants)
    outputs = [helper.make_tensor_value_info(t.name, elem_type(t.dtype, t.name), None) for t in wanted]
    session = make_session(proto, body, [], outputs, {n: constants[n] for n in read}, prepack)
    found = {}
    for t in wanted:
        found[t.name] = Value(elem_type(t.dtype, t.name), t.shape or (), aligned(t.nbytes))
    run_bound(session, {}, found)
    return found
