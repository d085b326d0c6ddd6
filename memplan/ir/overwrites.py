"""Which outputs may be written over which operands."""

from __future__ import annotations

from memplan.ir.parts import Op, Tensor


def overwriting_fault(
    tensor: dict[str, Tensor], root: dict[str, str], op: Op, output: str, operand: str
) -> str:
    """Why the op cannot write its output over the operand's bytes; empty where it can."""
    if operand not in op.inputs:
        return f"'{operand}' is no operand of it"
    out, over = tensor[output], tensor[operand]
    storage = tensor[root[operand]]
    if op.view or out.kind == "workspace":
        return f"'{output}' is written to no place of its own"
    if out.layout != over.layout:
        return f"'{output}' and '{operand}' differ in bytes, shape or strides"
    if over.nbytes != storage.nbytes:
        return f"'{operand}' fills only a part of '{storage.name}'"
    if storage.kind == "constant":
        return f"'{storage.name}' is a constant"
    for name in dict.fromkeys(op.inputs):
        other = tensor[name]
        if name != operand and root[name] == storage.name:
            known = name == storage.name or other.place is not None
            if not known or other.first_byte != over.first_byte or other.layout != over.layout:
                return f"it reads the same bytes through '{name}' too, which lies in them in another way"
    return ""
