"""Claims about kernels, cut down to what the layout of the tensors bears out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from memplan.ir.joins import joining_fault, side_by_side
from memplan.ir.overwrites import overwriting_fault
from memplan.ir.parts import Op, Tensor


def sound_ops(tensors: Iterable[Tensor], ops: Iterable[Op]) -> tuple[Op, ...]:
    """The ops, in program order, without those of their `overwrites` and `joins` that the layout forbids.

    An overwriting is sound where both tensors have the same bytes, shape and strides and fill their storages,
    and no other operand of the op lies in that storage, but for the same tensor or a view that lies exactly
    alike. Joins are sound where the parts are roots, each there once, and fill the result one behind the
    other in the order in which they are listed, which their first bytes follow from. What a kernel does with
    single elements is for its importer to know.
    """
    tensor = {t.name: t for t in tensors}
    root = {name: name for name in tensor}
    found = []
    for op in ops:
        if op.view and op.inputs:
            root.update(dict.fromkeys(op.outputs, root.get(op.inputs[0], op.inputs[0])))
        pairs = tuple(p for p in op.overwrites if not overwriting_fault(tensor, root, op, *p))
        joins = side_by_side(tensor, op) if tensor.keys() >= {part for part, _ in op.joins} else op.joins
        if (pairs, joins) != (op.overwrites, op.joins):
            op = replace(op, overwrites=pairs, joins=joins)
        found.append(replace(op, joins=()) if joins and joining_fault(tensor, root, op) else op)
    return tuple(found)
