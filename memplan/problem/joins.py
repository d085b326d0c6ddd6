"""Which ops can find their operands side by side in their output, and where the operands' bytes lie then."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.ir.sorting import precedes
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.pins import parse_pin


class Hosted(NamedTuple):
    """An operand that lies in a joined output, in the place of the part that is written over it, or over what is.

    Args:
        operand: its storage, touched by two ops alone, its writer and that of the part.
        part: the part, or another such operand, that is written over it.
        writer: program position of the op that does.
        storage: the joined output in which they lie, no part itself.
        first: their first byte there.
    """

    operand: str
    part: str
    writer: int
    storage: str
    first: int


def joinable(graph: Graph, target: Target, options: Options) -> tuple[str, ...]:
    """The ops that some plan may join whose ops may use the memories that it takes, as rule 9 has it, in program order."""
    return tuple(op.name for op in graph.ops if op.joins and _can_be_joined(graph, target, options, op))


def _can_be_joined(graph: Graph, target: Target, options: Options, op: Op) -> bool:
    """Whether its output has a place, and its parts, which are nobody else's, keep to the alignment there."""
    pins = {x: parse_pin(options.pins[x]) for x in (op.results[0], *op.inputs) if x in options.pins}
    if options.io == "external" and op.results[0] in graph.output_storages:
        return False
    if any(pin.host for pin in pins.values()):
        return False
    if not any(all(first % m.alignment == 0 for _, first in op.joins) for m in target.addressed):
        return False
    return all(
        graph.tensor[x].kind == "activation" and x not in graph.output_storages and x not in pins
        for x, _ in op.joins
    )


def places(graph: Graph, joined: Collection[str]) -> dict[str, tuple[str, int]]:
    """Per part of a joined op, the joined output in which it lies, no part itself, and its first byte there."""
    found: dict[str, tuple[str, int]] = {}
    for op in reversed(graph.ops):  # a joined output may be a part: outermost first
        if op.name in joined:
            storage, begin = found.get(op.results[0], (op.results[0], 0))
            found |= {x: (storage, begin + first) for x, first in op.joins}
    return found


def hosted(graph: Graph, joined: Collection[str], options: Options) -> tuple[Hosted, ...]:
    """The operands that lie where a joined part will, so that it is written over them: those that nothing else touches.

    So do those over which they are written themselves, as long as all this comes before any part in every order.
    """
    if not (joined and options.inplace):
        return ()
    inside, found = places(graph, joined), list[Hosted]()
    makers: dict[str, list[int]] = {}  # those of the parts, by the output that holds them
    for x, (storage, _) in inside.items():
        if graph.ops[graph.producer[x]].name not in joined:
            makers.setdefault(storage, []).append(graph.producer[x])
    own = {op.results[0] for op in graph.ops if op.name in joined}
    free = _touched_twice(graph, options) - inside.keys() - own
    for x, (storage, first) in inside.items():
        part, writer = x, graph.producer[x]
        while operand := _overwritten(graph, writer, part, free):
            found.append(Hosted(operand, part, writer, storage, first))
            free.remove(operand)
            part, writer = operand, graph.producer[operand]
            if not all(_first(graph, options, writer, j) for j in makers[storage]):
                break
    return tuple(found)


def _overwritten(graph: Graph, writer: int, output: str, free: Collection[str]) -> str | None:
    """The first storage, of those that are free to lie anywhere, that the op may write the output over."""
    over = (graph.storage_of[x] for y, x in graph.ops[writer].overwrites if y == output)
    return next((s for s in over if s in free), None)


def _touched_twice(graph: Graph, options: Options) -> set[str]:
    """The storages that one op writes and one other reads, no outputs and not pinned."""
    touched: dict[str, int] = {}
    for op in graph.ops:
        for s in () if op.view else {graph.storage_of[x] for x in (*op.inputs, *op.outputs)}:
            touched[s] = touched.get(s, 0) + 1
    mine = (s for s, times in touched.items() if times == 2 and graph.tensor[s].kind == "activation")
    return {s for s in mine if s not in graph.output_storages and s not in options.pins}


def _first(graph: Graph, options: Options, i: int, j: int) -> bool:
    """Whether op `i` comes before op `j` in every order."""
    return i < j and (options.order == "program" or precedes(graph.preds, i, j))


def split(graph: Graph, joined: Collection[str], scattered: Collection[str]) -> set[str]:
    """The outputs of ops that are both joined and scattered."""
    return {op.results[0] for op in graph.ops if op.name in joined and op.name in scattered}


def lying(
    graph: Graph, joined: Collection[str], scattered: Collection[str], options: Options
) -> dict[str, tuple[str, ...]]:
    """The storages in which roots lie that have none for themselves alone.

    A part of a joined op lies in the op's output, or in what that is a part of; so does an operand that is `hosted`.
    The output of a scattered op lies in its parts, or in what these lie in, and has a storage without bytes of its
    own. What a joined op has for a part, no scattered op must write. Where an op is both, what is hosted in its output
    stands for the bytes that it takes there.
    """
    if not (joined or scattered):
        return {}
    inside = places(graph, joined)
    found: dict[str, tuple[str, ...]] = {x: (storage,) for x, (storage, _) in inside.items()}
    for each in hosted(graph, joined, options):
        if each.storage not in split(graph, joined, scattered):
            found[each.operand] = (each.storage,)
        elif each.part in inside:
            holders = [each.storage, *(x for x, (storage, _) in inside.items() if storage == each.storage)]
            found |= {x: (*found.get(x, (each.storage,)), each.operand) for x in holders}
    for op in graph.ops:
        if op.name in scattered and op.name not in joined:
            inner = (s for x, _ in op.joins for s in found.get(x, (x,)))
            found[op.results[0]] = (*dict.fromkeys(inner), op.results[0])
    return found
