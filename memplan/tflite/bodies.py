"""Subgraphs that operators call: the arena that each needs while it runs, and where its tensors lie in it.

Their operators keep the file's order. A subgraph's tensors exist while its operator runs, so that the arena of what one
operator calls is that operator's workspace; the subgraphs of one operator run one after another and share it.
"""

from __future__ import annotations

from dataclasses import dataclass

from memplan.base.errors import GraphError
from memplan.tflite.program import TfliteProgram, TfliteValue
from memplan.tflite.scratch import rounded, scratch_nbytes

DEEPEST = 64
"""So many subgraphs within one another are read; no converter makes more than a few."""

LARGEST = 5000
"""A subgraph that is called has at most so many tensors: each is held against all others."""


@dataclass(frozen=True)
class Body:
    """What an operator's subgraphs need.

    Args:
        nbytes: of their arena.
        offsets: in it, of tensors by subgraph and number.
    """

    nbytes: int
    offsets: dict[tuple[int, int], int]


@dataclass(frozen=True)
class _Block:
    """Bytes that are needed from before operator `start` to after operator `last`, and what lies in them."""

    start: int
    last: int
    nbytes: int
    offsets: dict[tuple[int, int], int]


def in_arena(value: TfliteValue) -> bool:
    """Whether the runtime gives the tensor a place in the arena: it is no constant, no variable, and has bytes."""
    return not (value.constant or value.variable or value.nbytes == 0)


def called_bodies(program: TfliteProgram) -> dict[int, Body]:
    """The bodies of the main subgraph's operators, by the operator's number.

    GraphError where a subgraph is called in two places, since the runtime has one place for each of its tensors.
    """
    depth = {0: 0}
    queue = [0]
    for caller in queue:
        for number in (n for operator in program.subgraphs[caller].operators for n in operator.calls):
            if number in depth or depth[caller] == DEEPEST:
                raise GraphError(
                    f"subgraph {number} of '{program.root.file.where}' is called in two places, or too deep",
                    f"give each operator a subgraph of its own, at most {DEEPEST} within one another",
                )
            depth[number] = depth[caller] + 1
            queue.append(number)
    main = program.subgraphs[0].operators
    return {i: _body(program, operator.calls) for i, operator in enumerate(main) if operator.calls}


def _body(program: TfliteProgram, calls: tuple[int, ...]) -> Body:
    packed = [_packed(_blocks(program, number)) for number in calls]
    offsets = {place: offset for body in packed for place, offset in body.offsets.items()}
    return Body(max(body.nbytes for body in packed), offsets)


def _blocks(program: TfliteProgram, number: int) -> list[_Block]:
    """What lies in the arena while a subgraph runs: its tensors, scratch buffers, and what it calls in turn."""
    subgraph = program.subgraphs[number]
    if len(subgraph.tensors) > LARGEST:
        raise GraphError(
            f"subgraph {number} of '{program.root.file.where}' is called and has {len(subgraph.tensors)} tensors",
            f"call subgraphs of at most {LARGEST} tensors",
        )
    end = len(subgraph.operators)
    first = {i: -1 for i in subgraph.inputs}
    last = dict.fromkeys(subgraph.inputs, -1)
    blocks = []
    for step, operator in enumerate(subgraph.operators):
        for i in operator.outputs:
            first.setdefault(i, step)
        last.update(dict.fromkeys((i for i in (*operator.inputs, *operator.outputs) if i >= 0), step))
        if scratch := scratch_nbytes(subgraph, operator):
            blocks.append(_Block(step, step, scratch, {}))
        if operator.calls:
            inner = _body(program, operator.calls)
            blocks.append(_Block(step, step, inner.nbytes, inner.offsets))
    last.update(dict.fromkeys(subgraph.outputs, end))
    for i, value in enumerate(subgraph.tensors):
        if in_arena(value) and i in last:
            place = {(number, i): 0}
            blocks.append(_Block(first.get(i, -1), last[i], rounded(value.nbytes), place))
    return blocks


def _packed(blocks: list[_Block]) -> Body:
    """All blocks, each at the lowest offset that is free throughout its life, the largest first."""
    placed: list[tuple[int, _Block]] = []
    offsets: dict[tuple[int, int], int] = {}
    for block in sorted(blocks, key=lambda b: -b.nbytes):
        beside = [
            (offset, other.nbytes)
            for offset, other in placed
            if other.start <= block.last and block.start <= other.last
        ]
        place = lowest_free(beside, block.nbytes)
        placed.append((place, block))
        offsets |= {key: place + inside for key, inside in block.offsets.items()}
    return Body(max((offset + block.nbytes for offset, block in placed), default=0), offsets)


def lowest_free(taken: list[tuple[int, int]], nbytes: int) -> int:
    """The lowest offset of so many bytes that are free beside what is taken: pairs of an offset and bytes."""
    place = 0
    for offset, size in sorted(taken):
        if place + nbytes <= offset:
            break
        place = max(place, rounded(offset + size))
    return place
