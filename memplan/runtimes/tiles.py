"""Where the operands and results of a tile lie in the bytes of a plan, and what is copied before and after its kernel."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from memplan.base.errors import ExecutionError
from memplan.ir.boxes import Box, common, extents, volume, whole
from memplan.ir.graph import Graph
from memplan.onnx.values import Bytes, Value, elem_type
from memplan.runtimes.boxes import adjoining, elements
from memplan.tiling.calls import Call, Operand, box_nbytes, renames

Copy = tuple[Bytes, Bytes]
"""Target and source."""


class TileBytes(NamedTuple):
    """A tile in a plan's bytes.

    Args:
        before: what is copied first: states that the plan continues elsewhere, and what is gathered.
        reads: the operands that its kernel asks for, by slot: `operand0` …
        writes: its results, by slot: `result0` …
        after: what is copied last: results that are scattered.
    """

    before: list[Copy]
    reads: dict[str, Value]
    writes: dict[str, Value]
    after: list[Copy]


def tile_bytes(
    graph: Graph,
    tile: Call,
    asked: Collection[str],
    read: Callable[[str], Bytes],
    written: Callable[[str], Bytes],
    workspace: Bytes,
) -> TileBytes:
    """Where the tile's operands and results lie.

    A tile that only renames bytes runs no kernel: its copies do it all.

    Args:
        graph: the graph that was tiled.
        tile: what it reads and writes.
        asked: slots of the operands that are bound.
        read, written: the bytes of a tensor of the derived graph that the tile reads, or writes.
        workspace: its workspace's bytes, empty where it has none.

    Raises:
        ExecutionError: elements are smaller than a byte.
    """
    _refuse_small_elements(graph, tile)
    found = TileBytes([], {}, {}, [])
    for result in tile.results:
        if result.before is not None:
            target, source = written(result.piece.name), read(result.before)
            if target.ctypes.data != source.ctypes.data:
                found.before.append((target, source))
    if renames(graph, tile.op):
        _renamed(tile, read, written, workspace, found)
        return found
    free = 0 if tile.op.workspace is None else graph.tensor[tile.op.workspace].nbytes

    def room(name: str, box: Box) -> Bytes:
        nonlocal free
        begin, free = free, free + box_nbytes(graph.tensor[name], box)
        return workspace[begin:free]

    for k, (name, operand) in enumerate(zip(tile.op.inputs, tile.operands, strict=True)):
        data = room(name, operand.box) if operand.gathered else _in_place(operand, read)
        if (slot := f"operand{k}") in asked:
            found.reads[slot] = _value(graph, name, operand.box, data)
            found.before.extend(_gather(operand, read, data) if operand.gathered else ())
    for k, (name, result) in enumerate(zip(tile.op.results, tile.results, strict=True)):
        there = written(result.piece.name)
        if result.scattered:
            data = room(name, result.box)
            target = elements(there, result.piece.frame, result.box)
            found.after.append((target, elements(data, result.box, result.box)))
        else:
            data = adjoining(there, result.piece.frame, result.box)
        found.writes[f"result{k}"] = _value(graph, name, result.box, data)
    return found


def tile_sizes(graph: Graph, tile: Call) -> list[int]:
    """Bytes of each operand and of each result of a tile."""
    names = (*tile.op.inputs, *tile.op.results)
    boxes = (*(operand.box for operand in tile.operands), *(result.box for result in tile.results))
    return [box_nbytes(graph.tensor[name], box) for name, box in zip(names, boxes, strict=True)]


def _renamed(
    tile: Call,
    read: Callable[[str], Bytes],
    written: Callable[[str], Bytes],
    workspace: Bytes,
    found: TileBytes,
) -> None:
    """The bytes of the operand are those of the result: they are gathered where they go, unless they are scattered."""
    operand, result = tile.operands[0], tile.results[0]
    there = written(result.piece.name)
    if operand.gathered:
        data = workspace if result.scattered else adjoining(there, result.piece.frame, result.box)
        found.before.extend(_gather(operand, read, data))
    else:
        data = _in_place(operand, read)
    if result.scattered:
        target = elements(there, result.piece.frame, result.box)
        found.before.append((target, elements(data, result.box, result.box)))
    elif not operand.gathered:
        found.before.append((adjoining(there, result.piece.frame, result.box), data))


def _value(graph: Graph, name: str, box: Box, data: Bytes) -> Value:
    return Value(elem_type(graph.tensor[name].dtype, name), extents(box), data)


def _in_place(operand: Operand, read: Callable[[str], Bytes]) -> Bytes:
    """The bytes of an operand that lies side by side in one tensor."""
    piece = operand.pieces[0]
    return adjoining(read(piece.name), piece.frame, operand.box)


def _gather(operand: Operand, read: Callable[[str], Bytes], data: Bytes) -> list[Copy]:
    copies = []
    for piece in operand.pieces:
        if (part := common(operand.box, piece.frame)) is not None:
            source = elements(read(piece.name), piece.frame, part)
            copies.append((elements(data, operand.box, part), source))
    return copies


def _refuse_small_elements(graph: Graph, tile: Call) -> None:
    for name in (*tile.op.inputs, *tile.op.results):
        tensor = graph.tensor[name]
        count = volume(whole(tensor.shape or ()))
        if count and tensor.nbytes % count:
            raise ExecutionError(
                f"'{name}' has elements of {tensor.dtype}, smaller than a byte: no part of it can be executed",
                "leave the ops that use it out of the regions",
            )
