"""Which ops can find their operands side by side in their output, and where the operands' bytes lie then."""

from __future__ import annotations

from collections.abc import Collection

from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.pins import parse_pin


def joinable(graph: Graph, target: Target, options: Options) -> tuple[str, ...]:
    """The ops that some plan of residencies in the first memory may join, as rule 9 has it, in program order."""
    return tuple(op.name for op in graph.ops if op.joins and _can_be_joined(graph, target, options, op))


def _can_be_joined(graph: Graph, target: Target, options: Options, op: Op) -> bool:
    """Whether its output has a place, and its parts, which are nobody else's, keep to the alignment there."""
    pins = {x: parse_pin(options.pins[x]) for x in (op.results[0], *op.inputs) if x in options.pins}
    if options.io == "external" and op.results[0] in graph.output_storages:
        return False
    return not any(pin.host for pin in pins.values()) and all(
        graph.tensor[x].kind == "activation"
        and x not in graph.output_storages
        and not (x in pins and pins[x].keep)
        and first % target.scratchpad.alignment == 0
        for x, first in op.joins
    )


def lying(graph: Graph, joined: Collection[str], scattered: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The storages in which roots lie that have none for themselves alone.

    A part of a joined op lies in the op's output, or in what that is a part of. The output of a scattered op lies in its
    parts, or in what these lie in, and has a storage without bytes of its own. What a joined op has for a part, no
    scattered op must write.
    """
    if not (joined or scattered):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for op in reversed(graph.ops):  # a joined output may be a part: outermost first
        if op.name in joined:
            found |= dict.fromkeys((x for x, _ in op.joins), found.get(op.results[0], op.results))
    for op in graph.ops:
        if op.name in scattered:
            inner = (s for x, _ in op.joins for s in found.get(x, (x,)))
            found[op.results[0]] = (*dict.fromkeys(inner), op.results[0])
    return found
