"""What is refused in an ONNX file before anything is inferred from it: names, places of data, growth."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx

from memplan.base.errors import GraphError
from memplan.onnx.uses import attribute, subgraphs

MAX_INLINED = 1_000_000
"""Nodes beyond which local functions are not expanded: a few that call each other twice make 2^n."""

MAX_FUNCTION_DEPTH = 200
"""Functions that call one another deeper than this are not expanded: the inliner recurses."""

Function = tuple[Any, str, str]


def every_graph(graph: Any) -> Iterator[Any]:
    """The graph and all bodies of control flow in it."""
    found = [graph]
    for one in found:  # grows while it is walked
        yield one
        for node in one.node:
            found.extend(subgraphs(node))


def check_text(proto: Any) -> None:
    """Refuse names that are not text: damaged files have them, and protobuf hands them on as bytes."""
    pairs = [*proto.metadata_props, *(entry for node in proto.graph.node for entry in node.metadata_props)]
    names = [text for entry in pairs for text in (entry.key, entry.value)]
    names += [opset.domain for opset in proto.opset_import]
    for graph in every_graph(proto.graph):
        names += [x for n in graph.node for x in (n.name, n.op_type, n.domain, *n.input, *n.output)]
        values = (*graph.input, *graph.output, *graph.value_info)
        names += [value.name for value in (*values, *graph.initializer)]
        names += [sparse.values.name for sparse in graph.sparse_initializer]
        names += [dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim]
    if broken := next((name for name in names if not isinstance(name, str)), None):
        raise GraphError(f"the name {broken[:60]!r} is not UTF-8", "is the file damaged? export it again")


def check_external(graph: Any, folder: str) -> None:
    """Refuse data that lie outside the model's folder; whether the file exists does not matter."""
    base = Path(os.path.realpath(folder))
    inside: set[str] = set()
    for tensor in _stored(graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        info = {entry.key: entry.value for entry in tensor.external_data}
        location = info.get("location", "")
        if location not in inside:
            if not _is_inside(location, base):
                raise GraphError(
                    f"tensor '{tensor.name}' has its data at {location!r}, outside the model's folder",
                    "external data must lie beside the model",
                )
            inside.add(location)
        for key in ("offset", "length"):
            value = str(info.get(key, "0"))
            if not value.isdecimal() or len(value) > 19:
                raise GraphError(
                    f"the external data of tensor '{tensor.name}' have the {key} {value[:60]!r}",
                    "it is a whole number of bytes from 0",
                )


def _stored(graph: Any) -> Iterator[Any]:
    """Every tensor that the file stores: initializers and attributes, also those of bodies."""
    for one in every_graph(graph):
        yield from one.initializer
        for sparse in one.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in one.node:
            for held in node.attribute:
                if held.HasField("t"):
                    yield held.t
                yield from held.tensors


def _is_inside(location: str | bytes, base: Path) -> bool:
    if not isinstance(location, str) or not location or "\0" in location:
        return False
    parts = (*PurePosixPath(location).parts, *PureWindowsPath(location).parts)
    if PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor or ".." in parts:
        return False
    return Path(os.path.realpath(base / location)).is_relative_to(base)


def check_control_flow(graph: Any) -> None:
    """Refuse If, Loop and Scan whose bodies are missing or do not fit their operands: damaged files have them."""
    for one in every_graph(graph):
        for node in one.node:
            if node.op_type in ("If", "Loop", "Scan") and not _fits_its_bodies(node):
                raise GraphError(
                    f"the bodies of {node.op_type} '{node.name or next(iter(node.output), '')}' are missing "
                    "or do not fit its operands",
                    "is the file damaged, or of an opset before 9? convert or export it again",
                )


def _fits_its_bodies(node: Any) -> bool:
    names = ("then_branch", "else_branch") if node.op_type == "If" else ("body",)
    bodies = [attribute(node, name, None) for name in names]
    if not all(isinstance(body, onnx.GraphProto) for body in bodies) or not all(node.input[2:]):
        return False
    if node.op_type == "If":
        return bool(node.input[:1] and node.input[0]) and all(
            len(body.output) >= len(node.output) for body in bodies
        )
    (body,) = bodies
    if node.op_type == "Loop":
        fits = len(node.input) >= 2 and len(body.output) > len(node.output)
        return fits and len(body.input) == len(node.input) and len(node.output) >= len(node.input) - 2
    scanned = attribute(node, "num_scan_inputs", 0)
    axes = attribute(node, "scan_input_axes", [0] * scanned if isinstance(scanned, int) else [])
    fits = isinstance(scanned, int) and 0 < scanned <= len(node.input) and all(node.input)
    fits = fits and isinstance(axes, list) and len(axes) == scanned
    return fits and len(body.input) == len(node.input) and len(body.output) >= len(node.output)


def inlined(proto: Any) -> Any:
    """The model with its local functions expanded; GraphError where that never ends or grows too large."""
    from onnx import inliner

    _check_growth(proto)
    try:
        return inliner.inline_local_functions(proto)
    except Exception as error:  # the inliner raises whatever its C++ side throws
        raise GraphError(
            f"the model's local functions cannot be inlined: {first_line(error)}",
            "export the model without functions",
        ) from error


def _check_growth(proto: Any) -> None:
    """Count the nodes that inlining would make, level of calls by level of calls, without making them."""
    functions = {_key(f.domain, f.name, f.overload): f for f in proto.functions}
    sizes: dict[Function, tuple[int, Counter[Function]]] = {}
    total, calls = _size(proto.graph.node, functions)
    for _ in range(MAX_FUNCTION_DEPTH):
        deeper: Counter[Function] = Counter()
        for name, times in calls.items():
            if name not in sizes:
                sizes[name] = _size(functions[name].node, functions)
            size, inner = sizes[name]
            total += times * size
            for callee, count in inner.items():
                deeper[callee] += times * count
        if total > MAX_INLINED:
            raise GraphError(
                f"the model's local functions expand to more than {MAX_INLINED:,} nodes",
                "export the model without functions",
            )
        if not deeper:
            return
        calls = deeper
    raise GraphError(
        "the model's local functions call themselves, or one another too deeply",
        "export the model without functions",
    )


def _size(nodes: Iterable[Any], functions: dict[Function, Any]) -> tuple[int, Counter[Function]]:
    """Nodes of one function, bodies included, and its calls of others by name."""
    total, calls, queue = 0, Counter[Function](), list(nodes)
    for node in queue:  # grows while it is walked
        total += 1
        name = _key(node.domain, node.op_type, node.overload)
        if name in functions:
            calls[name] += 1
        for body in subgraphs(node):
            queue.extend(body.node)
    return total, calls


def _key(domain: str, name: str, overload: str) -> Function:
    return "" if domain == "ai.onnx" else domain, name, overload


def first_line(error: Exception) -> str:
    """What a C++ exception says, as a part of one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
