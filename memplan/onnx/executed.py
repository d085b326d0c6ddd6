"""ONNX ops as a runtime's kernels execute them, by its profile."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from memplan.ir.parts import Op
from memplan.machine.profile import Profile


def as_executed(
    op: Op, operands: Sequence[str | None], profile: Profile | None, returned: Collection[str]
) -> Op:
    """The op with what the profile says of its kind in place of what the importer does, layouts aside; itself without one.

    Args:
        op: as its importer sees it.
        operands: the tensors of the call in order, None where an optional one is left out.
        profile: the runtime's, if one is named.
        returned: names of the graph's outputs.
    """
    if profile is None:
        return op
    said = profile.kernel(op.kind)
    view = op.view if said.view is None else said.view and bool(op.inputs)
    if profile.copies_outputs and any(name in returned for name in op.outputs):
        view = False
    overwrites, joins = (() if view else op.overwrites), op.joins
    if said.overwrites is not None:
        over = [operands[k] for k in said.overwrites if k < len(operands)]
        # an operand that the call names twice is still in use when its first use ends
        pairs = [(out, x) for out in op.results for x in over if x is not None and operands.count(x) == 1]
        overwrites = tuple(pairs) if len(op.results) == 1 and not view else ()
    if said.joins is False:
        joins = ()
    return replace(op, view=view, overwrites=overwrites, joins=joins)
