"""Which ops may find their operands side by side in the place of their result."""

from __future__ import annotations

from collections.abc import Mapping

from memplan.ir.parts import Op, Tensor


def side_by_side(tensor: Mapping[str, Tensor], op: Op) -> tuple[tuple[str, int], ...]:
    """The op's `joins`, each part beginning where the one listed before it ends."""
    pairs, end = [], 0
    for part, _ in op.joins:
        pairs.append((part, end))
        end += tensor[part].nbytes
    return tuple(pairs)


def joining_fault(tensor: Mapping[str, Tensor], root: Mapping[str, str], op: Op) -> str:
    """Why the op's `joins` do not make up its result; empty where they do.

    They do where each part is an operand that is its storage's root, each is there once, and together they fill the
    op's one result without gap or overlap. Whether the elements lie as the result has them is for the importer to know.
    """
    if op.view or len(op.results) != 1:
        return "it does not write one result to a place of its own"
    parts = [part for part, _ in op.joins]
    for part in parts:
        if part not in op.inputs:
            return f"'{part}' is no operand of it"
        if root[part] != part:
            return f"'{part}' lies in '{root[part]}'"
    if len(set(parts)) < len(parts):
        return "an operand is there twice"
    end = 0
    for part, first in sorted(op.joins, key=lambda pair: (pair[1], tensor[pair[0]].nbytes)):
        if first != end:
            return f"'{part}' begins at byte {first}, what is before it ends at byte {end}"
        end += tensor[part].nbytes
    size = tensor[op.results[0]].nbytes
    return "" if end == size else f"its parts have {end} bytes, '{op.results[0]}' has {size}"
