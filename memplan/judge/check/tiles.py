"""Whether a graph is another one cut into tiles: decided from the two graphs, by no code that derives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.tile_boxes import (
    Box,
    Held,
    adjoin,
    all_of,
    both,
    nbytes,
    read_by,
    runs_before,
    shared,
    size,
)
from memplan.judge.check.violation import Violation


class Wrong(Exception):
    """What is wrong with an op, as the end of a sentence that begins with it."""


def tiles(graph: Graph, derived: Graph) -> list[Violation]:
    """What is wrong with `derived` as `graph` in tiles; empty where it computes what `graph` does.

    Each tile reads the boxes of its operands that its results need, each element once, from tensors that hold it by then.
    Of a tensor that is there whole each element is written once. Flops, workspaces, views and what is written over what are
    those of the boxes. What is wrong with an op ends the search: what comes after reads it.
    """
    given = [
        ([t for t in g.tensors if t.kind in ("input", "constant")], g.name, g.outputs, g.updates)
        for g in (graph, derived)
    ]
    if given[0] != given[1]:
        return [Violation("tiles", f"what goes into '{graph.name}' and comes out of it is not what it was")]
    held = {t.name: Held(t.name, all_of(t), (all_of(t),)) for t in given[0][0]}
    original = {op.name: op for op in graph.ops}
    for op in derived.ops:
        try:
            if op.tile is None:
                _untouched(graph, derived, original.get(op.name), op, held)
            else:
                _tile(graph, derived, original.get(op.tile[0]), op, held)
        except Wrong as wrong:
            return [Violation("tiles", f"op '{op.name}' {wrong}", None, op.outputs)]
    lacking = (_lacking(graph, held, name) for name in derived.outputs)
    return [Violation("tiles", f"'{graph.name}' {what}") for what in lacking if what]


def _lacking(graph: Graph, held: dict[str, Held], name: str) -> str:
    """What is missing of a tensor that is needed whole under its own name."""
    whole, found = all_of(graph.tensor[name]), held[name]
    if found.of == name and sum(map(size, found.written)) == size(whole):
        return ""
    return (
        f"needs all of '{name}', of which {sum(map(size, found.written))} of {size(whole)} elements are there"
    )


def _untouched(graph: Graph, derived: Graph, original: Op | None, op: Op, held: dict[str, Held]) -> None:
    """An op that is no tile is the original one, and reads whole tensors."""
    if original != op:
        raise Wrong(f"is neither a tile nor an op of '{graph.name}'")
    for name in op.inputs:
        if lacking := _lacking(graph, held, name):
            raise Wrong(lacking)
    for name in op.outputs:
        tensor = graph.tensor[name]
        if replace(derived.tensor[name], place=None) != replace(tensor, place=None):
            raise Wrong(f"makes '{name}' other than it was")
        if op.view and tensor.place is not None:
            _lies(derived, op, tensor.first_byte - graph.tensor[op.inputs[0]].first_byte)
        held[name] = Held(name, all_of(tensor), (all_of(tensor),))


def _tile(graph: Graph, derived: Graph, original: Op | None, op: Op, held: dict[str, Held]) -> None:
    """A tile: what it computes, reads and writes, and what that takes."""
    assert op.tile is not None
    name, box = op.tile
    if original is None or len(op.results) != len(original.results):
        raise Wrong(f"is said to be a tile of '{name}', which is no such op")
    whole = all_of(graph.tensor[original.results[0]])
    cut = set() if original.once else {a.axis for axes in original.needs for a in axes if a is not None}
    if len(box) != len(whole) or shared(box, whole) != size(box) or not size(box):
        raise Wrong(f"computes {box}, no part of {whole}")
    if axis := next((str(a) for a in range(len(box)) if a not in cut and box[a] != whole[a]), ""):
        raise Wrong(f"is cut along axis {axis}, along which '{name}' cannot be cut")
    flops = original.flops and -(-original.flops * size(box) // size(whole))
    if (op.kind, op.flops, op.once) != (original.kind, flops, original.once):
        raise Wrong(f"is a {op.kind} of {op.flops} flops, its box makes it a {original.kind} of {flops}")
    operands, before = _operands(graph, original, op, box, held)
    results = []
    for result, made in zip(original.results, op.results, strict=True):
        own = tuple(box[a] if a in cut else part for a, part in enumerate(all_of(graph.tensor[result])))
        results.append(
            (graph.tensor[result], own, _write(graph.tensor[result], derived.tensor[made], own, before, held))
        )
    if op.view:
        if not _renames(graph, original) or operands[0].gathered or results[0][1] != results[0][2]:
            raise Wrong("is said to be a view, but moves bytes")
        _lies(derived, op, nbytes(graph.tensor[original.inputs[0]], operands[0].elements_before))
    _workspace(graph, derived, original, op, operands, results)
    allowed = {(op.results[0], before[0])} if before else _bearable(original, op, operands)
    if wrong := next((pair for pair in op.overwrites if pair not in allowed), None):
        raise Wrong(f"cannot write '{wrong[0]}' over '{wrong[1]}'")


class CheckedOperand(NamedTuple):
    """What a tile reads of an operand.

    Args:
        box: of the original tensor.
        pieces: the tensors that hold it.
        gathered: whether it does not lie side by side in one of them.
        alone: whether it is all that there is in the one that holds it.
        elements_before: how many elements of the first one lie before it.
    """

    box: Box
    pieces: tuple[str, ...]
    gathered: bool
    alone: bool
    elements_before: int


def _operands(
    graph: Graph, original: Op, op: Op, box: Box, held: dict[str, Held]
) -> tuple[list[CheckedOperand], list[str]]:
    """The tile's operands, and what it reads besides: the state of its result before it."""
    left, found = list(op.inputs), []
    for number, name in enumerate(original.inputs):
        need = read_by(original, number, graph.tensor[name], box)
        pieces, read = list[str](), list[Box]()
        while not pieces or sum(map(size, read)) < size(need):
            if not left or held[left[0]].of != name:
                raise Wrong(
                    f"needs {need} of '{name}', it reads {sum(map(size, read))} of {size(need)} elements"
                )
            parts = [both(part, need) for part in held[left[0]].written if shared(part, need)]
            if not parts and need != held[left[0]].frame:  # an operand without elements is read too
                raise Wrong(f"reads '{left[0]}', which holds nothing that it needs of '{name}'")
            if any(shared(one, other) for one in parts for other in read):
                raise Wrong(f"reads elements of '{name}' twice, again from '{left[0]}'")
            read += parts
            pieces.append(left.pop(0))
        frame = held[pieces[0]].frame
        dense = graph.tensor[name].strides is None or need == frame
        gathered = len(pieces) > 1 or not (dense and adjoin(need, frame))
        found.append(
            CheckedOperand(
                need, tuple(pieces), gathered, not gathered and need == frame, runs_before(need, frame)
            )
        )
    return found, left


def _write(tensor: Tensor, made: Tensor, own: Box, before: list[str], held: dict[str, Held]) -> Box:
    """Note what the tile writes of a tensor, and give the box that what it writes to has room for."""
    parent, frame = (made.name, all_of(tensor)) if made.part is None else made.part
    if parent != tensor.name or (made.dtype, made.kind) != (tensor.dtype, tensor.kind):
        raise Wrong(f"writes '{made.name}', which is no part of '{tensor.name}'")
    if made.nbytes != (tensor.nbytes if frame == all_of(tensor) else nbytes(tensor, size(frame))):
        raise Wrong(f"writes '{made.name}', which has {made.nbytes} bytes")
    if shared(own, frame) != size(own):
        raise Wrong(f"writes {own} to '{made.name}', which holds {frame}")
    written: tuple[Box, ...] = ()
    if before:
        if len(before) > 1 or (held[before[0]].of, held[before[0]].frame) != (tensor.name, frame):
            raise Wrong(f"reads {', '.join(before)} besides, which is no state of '{made.name}'")
        written = held[before[0]].written
    if any(shared(part, own) for part in written):
        raise Wrong(f"writes elements of '{tensor.name}' again")
    held[made.name] = Held(tensor.name, frame, (*written, own))
    return frame


def _workspace(
    graph: Graph,
    derived: Graph,
    original: Op,
    op: Op,
    operands: Sequence[CheckedOperand],
    results: Sequence[tuple[Tensor, Box, Box]],
) -> None:
    """What is gathered and scattered lies in the workspace; where bytes are renamed, they are gathered where they go."""
    gathered = [
        nbytes(graph.tensor[name], size(operand.box))
        for name, operand in zip(original.inputs, operands, strict=True)
        if operand.gathered
    ]
    scattered = [
        nbytes(tensor, size(own))
        for tensor, own, frame in results
        if own != frame and not (tensor.strides is None and adjoin(own, frame))
    ]
    needed = sum(gathered) + sum(scattered)
    if _renames(graph, original):
        needed = sum(scattered) if operands[0].gathered else 0
    if original.workspace is not None and not op.view:
        needed += graph.tensor[original.workspace].nbytes
    there = 0 if op.workspace is None else derived.tensor[op.workspace].nbytes
    if there != needed:
        raise Wrong(f"has {there} bytes of workspace, it gathers and scatters {needed}")


def _renames(graph: Graph, original: Op) -> bool:
    """Whether a part of its one result has the bytes of what it needs of its first operand, in the same order."""
    ends = [graph.tensor[name] for name in (*original.inputs[:1], *original.results)]
    return original.view and len(original.results) == 1 and all(t.strides is None for t in ends)


def _lies(derived: Graph, op: Op, offset: int) -> None:
    """A view's results lie so many bytes behind the beginning of its first operand."""
    first = derived.tensor[op.inputs[0]].first_byte + offset
    if wrong := next((name for name in op.results if derived.tensor[name].first_byte != first), None):
        raise Wrong(f"makes the view '{wrong}' at byte {derived.tensor[wrong].first_byte} instead of {first}")


def _bearable(original: Op, op: Op, operands: Sequence[CheckedOperand]) -> set[tuple[str, str]]:
    """What the tile may write over what: as the original op may, where an operand is all that its tensor holds."""
    made = dict(zip(original.results, op.results, strict=True))
    return {
        (made[result], operand.pieces[0])
        for result, over in original.overwrites
        for name, operand in zip(original.inputs, operands, strict=True)
        if name == over and operand.alone
    }
