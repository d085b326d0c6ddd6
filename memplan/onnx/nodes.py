"""The nodes of an ONNX graph as they are planned: each with a name of its own, after what it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from memplan.base.errors import GraphError
from memplan.ir.parts import Op
from memplan.ir.sorting import sort_ops
from memplan.onnx.uses import captured


@dataclass(frozen=True)
class Node:
    """A node as the graph sees it: operands that are there, captured ones included; `source` as of `Op`."""

    proto: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source: tuple[str, ...] = ()


def name_nodes(graph: Any) -> dict[str, str]:
    """Give every node a name of its own: its own, or kind and first output; the old names of those whose name was taken."""
    taken: set[str] = set()
    renamed: dict[str, str] = {}
    for i, node in enumerate(graph.node):
        name = node.name
        if not name or name in taken:
            first = next(filter(None, node.output), "")
            name = f"{node.op_type}:{first}" if first else f"{node.op_type}:{i}"
            while name in taken:
                name += f"'{i}"
            if node.name:
                renamed[name] = node.name
            node.name = name
        taken.add(name)
    return renamed


def nodes_of(graph: Any, renamed: Mapping[str, str]) -> Iterator[Node]:
    """The graph's nodes in its order; `renamed` is what `name_nodes` gave."""
    for node in graph.node:
        inputs = [name for name in node.input if name]
        inputs += [name for name in captured(node) if name not in inputs]
        source = (renamed[node.name],) if node.name in renamed else ()
        yield Node(node, tuple(inputs), tuple(name for name in node.output if name), source)


def given_by(graph: Any) -> dict[str, str]:
    """What no node writes: "input" or "constant" by name."""
    given = dict.fromkeys((value.name for value in graph.input), "input")
    given |= dict.fromkeys((t.name for t in graph.initializer), "constant")
    return given | dict.fromkeys((t.values.name for t in graph.sparse_initializer), "constant")


def in_order(graph: Any, nodes: list[Node]) -> list[Node]:
    """The nodes so that each comes after what it reads; GraphError where that cannot be."""
    given, written = given_by(graph), set[str]()
    for node in nodes:
        for name in node.outputs:
            if name in given:
                raise GraphError(
                    f"{given[name]} '{name}' is written by node '{node.proto.name}'",
                    "inputs and initializers have no producer",
                )
            if name in written:
                raise GraphError(
                    f"tensor '{name}' is written twice, again by node '{node.proto.name}'",
                    "every tensor has one producer",
                )
            written.add(name)
    ready, ordered = set(given), True
    for node in nodes:
        for name in node.inputs:
            if name not in given and name not in written:
                raise GraphError(
                    f"nothing produces '{name}', which node '{node.proto.name}' reads",
                    "the model is incomplete; export it again",
                )
            ordered = ordered and name in ready
        ready.update(node.outputs)
    for value in graph.output:
        if value.name not in ready:
            raise GraphError(
                f"nothing produces the output '{value.name}'", "the model is incomplete; export it again"
            )
    if ordered:
        return nodes
    by_name = {node.proto.name: node for node in nodes}
    ops = [Op(name, node.proto.op_type, node.inputs, node.outputs) for name, node in by_name.items()]
    return [by_name[op.name] for op in sort_ops(ops, set(given))]
