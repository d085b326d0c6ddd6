"""The moves of a plan whose tensors torch allocates itself: copies in pinned memory of the host, made beside the computing.

On a GPU all copies are queued on one stream of their own, so that a load comes after the store of what it brings back. The
stream waits for the kernels that make what it copies, and kernels wait for what it brings; the host waits for neither.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.fx.node import has_side_effect


@has_side_effect
def store(value: Tensor) -> Tensor:
    """A copy on the host, pinned where it comes from a device, of the same layout."""
    return _copied(value, torch.device("cpu"), value.device)


@has_side_effect
def load(host: Tensor, device: str) -> Tensor:
    """A copy on the device of what was stored."""
    return _copied(host, torch.device(device), torch.device(device))


def _copied(value: Tensor, to: torch.device, beside: torch.device) -> Tensor:
    """A copy on one device, made beside what another computes."""
    value = value.detach()
    pinned = to.type == "cpu" and beside.type != "cpu"
    copy = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=to, pin_memory=pinned)
    if beside.type == "cpu":
        return copy.copy_(value)
    computing, copying = torch.accelerator.current_stream(beside), copying_stream(beside)
    copying.wait_stream(computing)
    with copying:
        copy.copy_(value, non_blocking=True)
    if pinned:
        value.record_stream(copying)  # its memory serves others only once it is copied
    else:
        computing.wait_stream(copying)
    return copy


@cache
def copying_stream(device: torch.device) -> torch.Stream:
    """The stream on which everything is copied that leaves the device or comes to it."""
    return torch.Stream(device)
