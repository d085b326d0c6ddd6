"""What a tile op reads and writes: which boxes of which tensors, and what of them has to be gathered."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import NamedTuple

from memplan.ir.boxes import Box, common, contiguous, volume, whole
from memplan.ir.graph import Graph
from memplan.ir.needs import cut_axes, needed, padding
from memplan.ir.parts import Op, Tensor


class Piece(NamedTuple):
    """A tensor of the derived graph that holds the box `frame` of a tensor of the original one."""

    name: str
    frame: Box


class Operand(NamedTuple):
    """What a tile needs of an operand.

    Args:
        box: of the original tensor, without padding.
        pads: for each axis the padding that the tile needs in front and behind.
        pieces: where the box lies: in one tensor, or in several that share no element of it.
        gathered: whether it must be copied together first, since it does not lie contiguous in one of them.
    """

    box: Box
    pads: tuple[tuple[int, int], ...]
    pieces: tuple[Piece, ...]
    gathered: bool


class Result(NamedTuple):
    """What a tile writes of a result.

    Args:
        box: of the original tensor.
        piece: what is written: a chunk of that box; or the whole tensor, of which the rest is `before`.
        before: the tensor that holds what tiles before have written, None for the first and for a chunk.
        scattered: whether it must be copied into the piece, since it does not lie contiguous there.
    """

    box: Box
    piece: Piece
    before: str | None
    scattered: bool


class Call(NamedTuple):
    """An op of the derived graph: `op` of the original one, computing `box` of its results."""

    op: Op
    box: Box
    operands: tuple[Operand, ...]
    results: tuple[Result, ...]


def calls(graph: Graph, derived: Graph) -> dict[str, Call]:
    """What each tile of the graph derived from `graph` reads and writes, by the name of its op."""
    original = {op.name: op for op in graph.ops}
    return {
        op.name: _call(graph, derived, op, original[op.tile[0]]) for op in derived.ops if op.tile is not None
    }


def _call(graph: Graph, derived: Graph, tile: Op, op: Op) -> Call:
    """The call of one tile: its inputs are the pieces of one operand after the other, and what was written before."""
    assert tile.tile is not None
    box, left, operands = tile.tile[1], list(tile.inputs), []
    for number, name in enumerate(op.inputs):
        need = needed(op, number, graph.tensor[name].shape or (), box)
        pieces, held = list[Piece](), 0
        while left and (not pieces or held < volume(need)):
            pieces.append(Piece(left[0], frame(graph, derived.tensor[left.pop(0)], name)))
            part = common(need, pieces[-1].frame)
            held += 0 if part is None else volume(part)
        operands.append(operand(op, number, graph.tensor[name], box, pieces))
    results = []
    for name, made in zip(op.results, tile.results, strict=True):
        piece = Piece(made, frame(graph, derived.tensor[made], name))
        results.append(result(op, graph.tensor[name], box, piece, left[0] if left else None))
    return Call(op, box, tuple(operands), tuple(results))


def frame(graph: Graph, held: Tensor, name: str) -> Box:
    """Which box of the tensor `name` of `graph` a tensor of the derived graph holds."""
    return whole(graph.tensor[name].shape or ()) if held.part is None else held.part[1]


def operand(op: Op, number: int, tensor: Tensor, box: Box, pieces: Iterable[Piece]) -> Operand:
    """What the tile `box` of the op needs of its operand of that number, where these pieces of it are there.

    One piece that holds all of it is preferred. LookupError where they do not hold it.
    """
    shape = tensor.shape or ()
    need, pads = needed(op, number, shape, box), padding(op, number, shape, box)
    parts = list[tuple[Piece, Box]]()
    for piece in pieces:
        part = need if piece.frame == need else common(need, piece.frame)
        if part == need:
            dense = tensor.strides is None or piece.frame == need == whole(shape)
            return Operand(need, pads, (piece,), not (dense and contiguous(need, piece.frame)))
        if part is not None:
            parts.append((piece, part))
    if sum(volume(part) for _, part in parts) != volume(need) or not parts:
        raise LookupError(f"'{tensor.name}'{need} of op '{op.name}' is not there")
    return Operand(need, pads, tuple(piece for piece, _ in parts), True)


def result(op: Op, tensor: Tensor, box: Box, piece: Piece, before: str | None) -> Result:
    """What the tile `box` of the op writes of this result of it into the piece."""
    own = own_box(op, tensor, box)
    dense = tensor.strides is None and contiguous(own, piece.frame)
    return Result(own, piece, before, own != piece.frame and not dense)


def own_box(op: Op, tensor: Tensor, box: Box) -> Box:
    """What of this result of the op belongs to a box of its first one: results differ along axes that are not cut."""
    cut = cut_axes(op)
    return tuple(box[axis] if axis in cut else part for axis, part in enumerate(whole(tensor.shape or ())))


def renames(graph: Graph, op: Op) -> bool:
    """Whether the bytes of the op's one result are those of what it needs of its first operand, in the same order."""
    tensors = [graph.tensor[name] for name in (op.inputs[:1] + op.results)]
    return op.view and len(tensors) == 2 and all(t.strides is None for t in tensors)


def workspace_nbytes(graph: Graph, call: Call) -> int:
    """Bytes of what is gathered before the kernel runs, and of what is scattered afterwards, one behind the other.

    An op that only renames bytes has the operand's bytes for its result: they are gathered right there.
    """
    scattered = [
        box_nbytes(graph.tensor[name], found.box)
        for name, found in zip(call.op.results, call.results, strict=True)
        if found.scattered
    ]
    if renames(graph, call.op):
        return sum(scattered) if call.operands[0].gathered else 0
    return sum(scattered) + sum(
        box_nbytes(graph.tensor[name], found.box)
        for name, found in zip(call.op.inputs, call.operands, strict=True)
        if found.gathered
    )


def box_nbytes(tensor: Tensor, box: Box) -> int:
    """Bytes of so much of a tensor, rounded up, its elements row-major without gaps."""
    shape = tensor.shape or ()
    span = prod(shape)
    if tensor.strides is not None:
        span = 1 + sum((size - 1) * stride for size, stride in zip(shape, tensor.strides, strict=True))
    return -(-tensor.nbytes * volume(box) // max(span, 1))
