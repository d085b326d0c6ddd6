"""Sizes of free dimensions: one number each, or a range that one plan holds for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from memplan.base.errors import DimensionError, GraphError, OptionError, nearest
from memplan.base.units import MAX_BYTES
from memplan.ir.declarations import counted_by_function
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor

Size = int | tuple[int, int]
"""The size of a dimension, or the least and the most that it may be."""

Dims = Mapping[str, Size]
"""Sizes by the dimension's name."""


def check_size(name: str, size: object) -> None:
    """OptionError where it is neither a size nor a range of sizes."""
    ends = size if isinstance(size, tuple) else (size,)
    if any(type(end) is not int or not 0 <= end <= MAX_BYTES for end in ends):
        raise OptionError(f"dimension '{name}' = {size!r}", "sizes are whole numbers from 0 to 2^62")
    if isinstance(size, tuple) and not (len(size) == 2 and size[0] <= size[1]):
        raise OptionError(
            f"dimension '{name}' = {size!r}", "a range is a pair of its least and its largest size"
        )


def dims_from_json(table: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes from JSON types, in which a range is a list."""
    return {name: tuple(size) if isinstance(size, list) else size for name, size in table.items()}


def upper(size: Size) -> int:
    """The size itself, of a range the largest one: what is planned."""
    return size[1] if isinstance(size, tuple) else size


def size_text(size: Size) -> str:
    """The size as it is written at a shell: a range as LO..HI."""
    return "..".join(map(str, size)) if isinstance(size, tuple) else str(size)


def ranges(dims: Dims) -> dict[str, tuple[int, int]]:
    """Those dimensions that have a range of sizes."""
    return {name: size for name, size in dims.items() if isinstance(size, tuple)}


def sizes_within(dims: Dims, asked: Mapping[str, int]) -> dict[str, int]:
    """A size for each range of `dims`, its upper end where none is asked.

    DimensionError where a dimension that is asked for has no range, OptionError where its size is outside.
    """
    open_ones = ranges(dims)
    for name, size in asked.items():
        if name not in open_ones:
            raise DimensionError(
                f"dimension '{name}' has no range of sizes here",
                nearest(name, open_ones) if open_ones else "load and plan the model with --dim NAME=LO..HI",
            )
        low, high = open_ones[name]
        if type(size) is not int or not low <= size <= high:
            raise OptionError(
                f"dimension '{name}' = {size!r} lies outside of {low}..{high}, which the plan holds for",
                f"choose a size within, or plan with --dim {name}=LO..HI that holds it",
            )
    return {name: asked.get(name, high) for name, (_, high) in open_ones.items()}


def throughout(
    graph: Graph, alike: Callable[[str, str], bool], joined: Callable[[Op], bool]
) -> tuple[Op, ...]:
    """The ops, without those of their `overwrites` and `joins` that hold at the upper ends of ranges alone.

    An overwriting holds throughout where all that lies in the operand's storage and the op reads is `alike` the output:
    of its shape and strides at each size. Joins hold throughout where the op is `joined`: each part begins at the
    same byte of the result at each size. GraphError where an op's workspace may be anything at other sizes.
    """
    found = []
    for op in graph.ops:
        if counted_by_function(op.kind):
            raise GraphError(
                f"it is not proved that op '{op.name}' never needs more as a dimension shrinks: the workspace of "
                f"'{op.kind}' is declared by a function",
                "declare it by factors, or give each dimension a single size, such as --dim NAME=V",
            )
        pairs = tuple(
            (output, operand)
            for output, operand in op.overwrites
            if all(
                alike(output, x)
                for x in dict.fromkeys(op.inputs)
                if x == operand or graph.storage_of[x] == graph.storage_of[operand]
            )
        )
        joins = op.joins if op.joins and joined(op) else ()
        found.append(
            replace(op, overwrites=pairs, joins=joins) if (pairs, joins) != (op.overwrites, op.joins) else op
        )
    return tuple(found)


def resized(graph: Graph, member: Graph) -> Graph:
    """The ops of `graph`, which holds for ranges of sizes, on tensors of the sizes that `member` has, one of them.

    GraphError where the program is another one at these sizes, or a tensor larger than at the upper ends: what was
    proved of the ranges does not hold then.
    """
    kinds = [(op.name, op.kind, op.inputs, op.outputs) for op in graph.ops]
    if kinds != [(op.name, op.kind, op.inputs, op.outputs) for op in member.ops]:
        raise _another("its ops are others")
    tensors = []
    for t in graph.tensors:
        small = member.tensor[t.name]
        if small.nbytes > t.nbytes:
            raise _another(
                f"tensor '{t.name}' has {small.nbytes:,} bytes, and {t.nbytes:,} at the upper ends"
            )
        root = graph.storage_of[t.name]
        place = None if root == t.name else (root, small.first_byte)
        tensors.append(replace(small, place=place))
    flops = {op.name: op.flops for op in member.ops}
    ops = tuple(replace(op, flops=flops[op.name]) for op in graph.ops)
    return Graph(graph.name, tuple(tensors), ops, graph.outputs, graph.updates)


def _another(why: str) -> GraphError:
    return GraphError(
        f"the program at these sizes is not the one that the range was planned for: {why}",
        "plan it for these sizes alone, without a range",
    )


def grown(graph: Graph, name: str, where: Sequence[str]) -> GraphError:
    """The refusal of a range in which a tensor grows as dimensions shrink; `where` says its size at two places."""
    return GraphError(
        f"tensor '{name}' of {_maker(graph, name)} grows as a dimension shrinks: it has {where[0]}, and {where[1]}",
        "give each dimension a single size, such as --dim NAME=V",
    )


def unproved(graph: Graph, name: str, why: str) -> GraphError:
    """The refusal of a range over which a tensor's size cannot be followed."""
    return GraphError(
        f"it is not proved that tensor '{name}' of {_maker(graph, name)} never grows as a dimension shrinks: {why}",
        "give each dimension a single size, such as --dim NAME=V",
    )


def _maker(graph: Graph, name: str) -> str:
    if name not in graph.producer:
        return "the program"
    op = graph.ops[graph.producer[name]]
    return f"op '{op.name}' ({op.kind})"


def planned_tensors(graph: Graph) -> list[Tensor]:
    """The tensors that have sizes of their own: all but workspaces."""
    return [t for t in graph.tensors if t.kind != "workspace"]
