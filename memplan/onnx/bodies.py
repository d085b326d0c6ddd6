"""Bodies of control flow: the types of what they hold, and the bytes that they need while their op runs.

A body is typed as a program of its own: what it captures are inputs of it where they depend on a
run's data, and computed in it where they do not, so that sizes follow from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from memplan.base.errors import GraphError
from memplan.onnx.bounds import TensorType
from memplan.onnx.dialect import VIEWS
from memplan.onnx.dtypes import nbytes
from memplan.onnx.measure import measure_types
from memplan.onnx.shapes import Asked, Inference, infer_types, typed
from memplan.onnx.sizes import RANDOM_KINDS, body_sources, label
from memplan.onnx.uses import attribute, captured, subgraphs


@dataclass(frozen=True)
class _Body:
    """A typed body: its graph, the program it is typed in, and what is known there."""

    graph: Any
    proto: Any
    nodes: Sequence[Any]
    known: Inference


def result_types(
    proto: Any, before: Sequence[Any], node: Any, outer: Inference, asked: Asked
) -> dict[str, TensorType] | None:
    """Types of those outputs of a control-flow node that its bodies tell, nothing while its operands are unknown.

    Where every branch that it may take fails at these sizes, so that nothing comes after it, None. An output
    that all branches which come to their end size alike has this size, and a carried value that a body does
    not resize keeps its own.
    """
    reads = [name for name in (*node.input, *captured(node)) if name]
    if any(name not in outer.types for name in reads) or node.op_type not in ("If", "Loop"):
        return {}
    bodies = [body for body in _bodies(proto, before, node, outer, asked) if not body.known.run.op]
    if not bodies:
        return None
    skipped = 1 if node.op_type == "Loop" else 0
    found = {}
    for i, name in enumerate(node.output):
        here = {b.known.types.get(b.graph.output[i + skipped].name) for b in bodies}
        if node.op_type == "Loop":
            here.add(outer.types[node.input[i + 2]] if i + 2 < len(node.input) else None)
        if name and len(here) == 1 and (one := here.pop()) is not None:
            found[name] = one
    return found


def workspace_nbytes(proto: Any, before: Sequence[Any], node: Any, outer: Inference, asked: Asked) -> int:
    """Bytes of the arena that the hungriest body of a control-flow node needs, planned in program order.

    It holds what the bodies' own nodes write and the slices and carried values that a body is handed, which
    live from turn to turn beside their next values; not the constants of a body, which are weights, nor what
    a branch hands on, which is the node's own output.
    """
    return max((_arena(node, body, asked) for body in _bodies(proto, before, node, outer, asked)), default=0)


def _bodies(proto: Any, before: Sequence[Any], node: Any, outer: Inference, asked: Asked) -> list[_Body]:
    graphs = list(subgraphs(node))
    if node.op_type == "If":
        graphs = _live_branches(proto, before, node, outer, asked)
    return [_typed(proto, before, node, graph, outer, asked) for graph in graphs]


def _typed(proto: Any, before: Sequence[Any], node: Any, body: Any, outer: Inference, asked: Asked) -> _Body:
    """The body with its types; what a branch cannot come to, since an op before it fails at these sizes, has none."""
    inner, nodes, sources = _sliced(proto, before, captured(node), outer)
    handed = _handed(node, body, outer.types)
    inner.graph.input.extend(typed(name, *known) for name, known in handed.items())
    inner.graph.initializer.extend(body.initializer)
    inner.graph.sparse_initializer.extend(body.sparse_initializer)
    inner.graph.output.extend(body.output)
    inner.graph.value_info.extend(body.value_info)
    nodes = [*nodes, *body.node]
    needed = {name for n in nodes for name in (*n.input, *n.output, *captured(n)) if name}
    needed.update(value.name for value in (*inner.graph.input, *body.output))
    key = _key(inner, nodes)
    if key not in asked.typed:
        asked.typed[key] = infer_types(inner, nodes, needed, asked, sources | body_sources(node, body))
    known = asked.typed[key]
    if known.unknown and known.run.op and node.op_type == "If":
        cut = f"branch '{body.name}' of op '{label(node)}' fails at op '{known.run.op}' on inputs of these sizes"
        asked.notes[f"{cut}; what it holds until then counts"] = None
    else:
        known.check(f" in the body of op '{label(node)}'")
    return _Body(body, inner, nodes, known)


def _sliced(
    proto: Any, before: Sequence[Any], names: Sequence[str], outer: Inference
) -> tuple[Any, list[Any], dict[str, str]]:
    """A program that has the tensors `names`: computed where they are the same in every run, else as inputs."""
    inner = onnx.ModelProto(ir_version=max(proto.ir_version, 4))
    inner.opset_import.extend(proto.opset_import)
    inner.graph.name = "body"
    writer = {name: i for i, node in enumerate(before) for name in node.output if name}
    weights = {weight.name: weight for weight in proto.graph.initializer}
    kept: set[int] = set()
    seen: set[str] = set()
    queue, sources = list(names), dict[str, str]()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in writer and name not in outer.values:
            node = before[writer[name]]
            kept.add(writer[name])
            seen.update(node.output)
            queue += [n for n in (*node.input, *captured(node)) if n]
        elif name in weights:
            inner.graph.initializer.append(weights[name])
        else:
            inner.graph.input.append(typed(name, *outer.types[name]))
            sources[name] = outer.values.get(name, f"'{name}'")
    return inner, [before[i] for i in sorted(kept)], sources


def _handed(node: Any, body: Any, types: Mapping[str, TensorType]) -> dict[str, TensorType]:
    """Types of the body's inputs; a carried value that grows counts with its last size, where that is known."""
    names = [value.name for value in body.input]
    if node.op_type == "Loop":
        turn, go_on = (onnx.TensorProto.INT64, ()), (onnx.TensorProto.BOOL, ())
        carried = [_largest(types, n, o) for n, o in zip(node.input[2:], node.output, strict=False)]
        return dict(zip(names, [turn, go_on, *carried], strict=False))
    if node.op_type == "Scan":
        scanned = attribute(node, "num_scan_inputs", 0)
        first = len(node.input) - scanned
        axes = attribute(node, "scan_input_axes", [0] * scanned)
        known = [types[name] for name in node.input[:first]]
        for name, axis in zip(node.input[first:], axes, strict=True):
            element, shape = types[name]
            axis %= max(1, len(shape))
            known.append((element, shape[:axis] + shape[axis + 1 :]))
        return dict(zip(names, known, strict=False))
    if names:
        raise GraphError(
            f"op '{label(node)}' ({node.op_type}) has a body whose inputs have no known size",
            "If, Loop and Scan alone are planned; export the model without it",
        )
    return {}


def _largest(types: Mapping[str, TensorType], before: str, after: str) -> TensorType:
    return types.get(after, types[before])


def _live_branches(proto: Any, before: Sequence[Any], node: Any, outer: Inference, asked: Asked) -> list[Any]:
    """The branches that a run may take: the one that is known to be taken in every run, else both."""
    branches = {name: attribute(node, name, None) for name in ("then_branch", "else_branch")}
    switch = node.input[0]
    if switch in outer.values:
        return list(branches.values())
    inner, nodes, _ = _sliced(proto, before, [switch], outer)
    key = _key(inner, nodes, switch)
    if key not in asked.conditions:
        asked.conditions[key] = _holds(inner, nodes, switch)
    always = asked.conditions[key]
    return (
        list(branches.values()) if always is None else [branches["then_branch" if always else "else_branch"]]
    )


def _key(inner: Any, nodes: Sequence[Any], switch: str = "") -> bytes:
    """What a program is known by when it is met again."""
    whole = onnx.ModelProto()
    whole.CopyFrom(inner)
    whole.graph.node.extend(nodes)
    return bytes(whole.SerializeToString(deterministic=True)) + switch.encode()


def _holds(inner: Any, nodes: Sequence[Any], switch: str) -> bool | None:
    """The value of a condition that is the same in every run, None where no run tells: the length of a vector
    made from it.
    """
    make = onnx.helper.make_node
    as_number, as_length = f"{switch} as number", f"{switch} as length"
    inner.graph.node.extend(nodes)
    minus = onnx.helper.make_tensor("one element", onnx.TensorProto.INT64, [1], [-1])
    inner.graph.initializer.append(minus)
    inner.graph.node.append(make("Cast", [switch], [as_number], to=onnx.TensorProto.INT64))
    inner.graph.node.append(make("Reshape", [as_number, "one element"], [f"{as_number} [1]"]))
    inner.graph.node.append(make("ConstantOfShape", [f"{as_number} [1]"], [as_length]))
    _, shape = measure_types(inner, [as_length], 0).types.get(as_length, (0, None))
    return None if shape is None else shape == (1,)


def _arena(node: Any, body: _Body, asked: Asked) -> int:
    """Bytes of the arena of one body: first fit in program order."""
    graph, types = body.graph, body.known.types
    root: dict[str, str] = {}
    written = {value.name: -1 for value in graph.input}
    constant = {weight.name for weight in graph.initializer}
    spaces: dict[int, int] = {}
    first = len(body.nodes) - len(graph.node)
    for step, inner in enumerate(graph.node):
        reads = [name for name in (*inner.input, *captured(inner)) if name]
        if all(name in constant for name in reads) and inner.op_type not in RANDOM_KINDS:
            constant.update(inner.output)
            continue
        if any(name not in types for name in reads):
            continue  # an op before it fails
        for name in filter(types.get, inner.output):
            if inner.op_type in VIEWS:
                root[name] = root.get(inner.input[0], inner.input[0])
            else:
                written[name] = step
        if next(subgraphs(inner), None) is not None:
            before = body.nodes[: first + step]
            spaces[step] = workspace_nbytes(body.proto, before, inner, body.known, asked)
    last = {name: step for name, step in written.items()}
    for step, inner in enumerate(graph.node):
        for name in (*inner.input, *captured(inner)):
            storage = root.get(name, name)
            if storage in last:
                last[storage] = step
    handed_on = {root.get(value.name, value.name) for value in graph.output}
    blocks = []
    for name, begin in written.items():
        if name in handed_on and node.op_type == "If":
            continue
        end = len(graph.node) if name in handed_on or begin < 0 else last[name] + 1
        blocks.append((begin, end, nbytes(name, *types[name])))
    blocks += [(step, step + 1, size) for step, size in spaces.items()]
    return _first_fit(blocks)


def _first_fit(blocks: Sequence[tuple[int, int, int]]) -> int:
    """End of the highest of the blocks (begin, end, bytes), placed in order of their begins at the lowest free address."""
    placed: list[tuple[int, int, int]] = []  # address, end of address, end of life
    top = 0
    for begin, end, size in sorted(blocks, key=lambda b: b[0]):
        placed = [block for block in placed if block[2] > begin]
        address = 0
        for low, high, _ in sorted(placed):
            if low - address >= size:
                break
            address = max(address, high)
        if size:
            placed.append((address, address + size, end))
            top = max(top, address + size)
    return top
