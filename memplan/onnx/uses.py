"""Who reads a value, and in what role: what seeded weights and inputs are made to fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

PASS = frozenset(
    {
        "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Expand", "Slice",
        "Concat", "Split", "Tile", "QuantizeLinear", "DequantizeLinear", "Where", "Add", "Pad",
    }
)  # fmt: skip
"""Kinds whose output holds the elements of their input, so that its role is its readers' role."""


class Use(NamedTuple):
    """Input number `position` of `node` reads `name`."""

    node: Any
    position: int
    name: str


def subgraphs(node: Any) -> Iterator[Any]:
    """The bodies of a control-flow node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def captured(node: Any) -> list[str]:
    """Names of outer values that the node's bodies read, in order of first use, each once."""
    found: dict[str, None] = {}
    for body in subgraphs(node):
        inside = {value.name for value in body.input} | {t.name for t in body.initializer}
        inside |= {t.values.name for t in body.sparse_initializer}
        for inner in body.node:
            for name in (*inner.input, *captured(inner)):
                if name and name not in inside:
                    found.setdefault(name)
            inside.update(inner.output)
        for value in body.output:
            if value.name not in inside:
                found.setdefault(value.name)
    return list(found)


def index(graph: Any) -> dict[str, list[Use]]:
    """Uses by value, of the graph and of the bodies in it."""
    found: dict[str, list[Use]] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name:
                found.setdefault(name, []).append(Use(node, position, name))
        for body in subgraphs(node):
            for name, uses in index(body).items():
                found.setdefault(name, []).extend(uses)
    return found


def sinks(name: str, uses: dict[str, list[Use]], limit: int = 64) -> list[Use]:
    """The uses of a value and of what merely passes its elements on, nearest first, at most `limit`."""
    found: list[Use] = []
    queue, seen = [name], {name}
    while queue and len(found) < limit:
        for use in uses.get(queue.pop(0), ()):
            found.append(use)
            if use.node.op_type in PASS:
                fresh = [out for out in use.node.output if out and out not in seen]
                seen.update(fresh)
                queue.extend(fresh)
    return found[:limit]


def attribute(node: Any, name: str, default: Any) -> Any:
    """The value of a node's attribute."""
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
