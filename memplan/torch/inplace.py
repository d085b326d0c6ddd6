"""The forms of aten ops that truly write over an operand: in-place overloads, `out=`, and scatters into views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx.node import has_side_effect


class Overwriting(NamedTuple):
    """What to call instead of an op: with the same arguments, and, where `out` names a keyword, the place of
    the result.
    """

    target: Callable[..., Any]
    out: str | None


def overwriting(target: OpOverload, position: int, alike: bool) -> Overwriting | None:
    """The form of `target` that writes its result over the operand at `position` of its arguments.

    None where torch has none. `alike`: operand and result have one dtype and layout; an in-place form needs that.
    """
    if position == 0 and alike:
        if target in _SCATTERS:
            return Overwriting(_SCATTERS[target], None)
        inplace = getattr(torch.ops.aten, f"{target._schema.name.removeprefix('aten::')}_", None)
        if inplace is not None and target._overloadname in inplace.overloads():
            return Overwriting(getattr(inplace, target._overloadname), None)
    asked = [(a.name, str(a.type)) for a in target._schema.arguments]
    packet = target.overloadpacket
    for overload in (getattr(packet, name) for name in packet.overloads()):
        arguments = overload._schema.arguments
        outs = [a.name for a in arguments if a.is_out]
        if len(outs) == 1 and [(a.name, str(a.type)) for a in arguments if not a.is_out] == asked:
            return Overwriting(overload, outs[0])
    return None


@has_side_effect
def slice_scatter_(
    over: Tensor,
    source: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """`aten.slice_scatter` over its first operand."""
    torch.ops.aten.slice.Tensor(over, dim, start, end, step).copy_(source)
    return over


@has_side_effect
def select_scatter_(over: Tensor, source: Tensor, dim: int, index: int) -> Tensor:
    """`aten.select_scatter` over its first operand."""
    over.select(dim, index).copy_(source)
    return over


_SCATTERS: dict[OpOverload, Callable[..., Tensor]] = {
    torch.ops.aten.slice_scatter.default: slice_scatter_,
    torch.ops.aten.select_scatter.default: select_scatter_,
}
