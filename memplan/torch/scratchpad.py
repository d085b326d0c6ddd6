"""The moves of a plan as functions on torch tensors: what an emitted GraphModule calls.

A scratchpad is a tensor of uint8, one for each memory with addresses. A tensor at an offset that is a multiple of 64,
as torch's own allocator gives it, is used where it lies; of one at any other offset `place`, `load` and `laid` return
the layout alone (on the device "meta"), and `read` copies it out for each use, since kernels give the same bits only
on equally aligned operands.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx.node import has_side_effect

from memplan.base.errors import ExecutionError

ALIGNMENT = 64
POISON = 0xFF
"""Freed bytes are set to this: NaN in every floating type, -1 or the largest number in integers."""


@has_side_effect
def place(scratchpad: Tensor, offset: int, nbytes: int, value: Tensor) -> Tensor:
    """Copy `value`, of at most `nbytes`, to `offset` of the scratchpad; the tensor there, or its layout."""
    flat = _flat(value)
    size = flat.numel() * flat.element_size()
    if size > nbytes:
        raise ExecutionError(
            f"{size} bytes came for a place of {nbytes} at {offset}",
            "does the program make other layouts than it was planned with?",
        )
    if size:
        scratchpad.narrow(0, offset, size).copy_(flat.view(torch.uint8))
    return laid(scratchpad, offset, value.dtype, value.shape, value.stride())


@has_side_effect
def load(scratchpad: Tensor, offset: int, nbytes: int, value: Tensor) -> Tensor:
    """Copy a tensor of another memory into the scratchpad: `place` under the name of the move."""
    return place(scratchpad, offset, nbytes, value)


def read(scratchpad: Tensor, offset: int, layout: Tensor) -> Tensor:
    """A copy of the tensor of this layout at `offset`."""
    count = _span(layout)
    out = torch.empty(count, dtype=layout.dtype, device=scratchpad.device)
    if count:
        out.view(torch.uint8).copy_(scratchpad.narrow(0, offset, count * out.element_size()))
    return out.as_strided(layout.shape, layout.stride())


@has_side_effect
def store(value: Tensor) -> Tensor:
    """A copy of a tensor in a memory without addresses: host memory, pinned where it comes from a device."""
    return _copied(value, "cpu", pin_memory=value.is_cuda)


def fetch(host: Tensor, device: str) -> Tensor:
    """A copy of a stored tensor on the device, outside any scratchpad."""
    return _copied(host, device)


def keep(value: Tensor, *scratchpads: Tensor) -> Tensor:
    """A result that stays outside the scratchpads: itself, or a copy where it lies inside."""
    inside = {pad.untyped_storage().data_ptr() for pad in scratchpads}
    return _copied(value, value.device) if value.untyped_storage().data_ptr() in inside else value


@has_side_effect
def free(scratchpad: Tensor, offset: int, size: int) -> None:
    """Poison bytes that nobody may read any more."""
    scratchpad.narrow(0, offset, size).fill_(POISON)


def laid(
    scratchpad: Tensor, offset: int, dtype: torch.dtype, shape: Sequence[int], stride: Sequence[int]
) -> Tensor:
    """The bytes from `offset` on as a tensor of this layout, whatever they hold; the layout alone where unaligned."""
    if offset % ALIGNMENT:
        return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
    size = scratchpad.numel() - offset
    whole = scratchpad.narrow(0, offset, size - size % dtype.itemsize).view(dtype)
    return whole.as_strided(shape, stride)


def restride(value: Tensor, size: list[int], stride: list[int], offset: int | None = None) -> Tensor:
    """`aten.as_strided` with the offset counted from where the storage of `value` begins in the scratchpad."""
    return value.as_strided(size, stride, value.storage_offset() + (offset or 0))


def _copied(value: Tensor, device: torch.device | str, pin_memory: bool = False) -> Tensor:
    """A copy on a device, of the same layout."""
    flat = _flat(value)
    copy = torch.empty(flat.shape, dtype=flat.dtype, device=device, pin_memory=pin_memory)
    return copy.copy_(flat).as_strided(value.shape, value.stride(), 0)


def _span(tensor: Tensor) -> int:
    """Elements from the first to the last of a strided tensor."""
    if tensor.numel() == 0:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _flat(value: Tensor) -> Tensor:
    """Everything from the first to the last element, in one dimension."""
    value = value.detach().resolve_conj().resolve_neg()
    return value.as_strided((_span(value),), (1,), value.storage_offset())
