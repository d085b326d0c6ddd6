"""The moves of a plan whose tensors torch allocates itself: copies in pinned memory of the host, made beside the computing.

On a GPU all copies are queued on one stream of their own, so that a load comes after the store of what it brings back. The
stream waits for the kernels that make what it copies, and kernels wait for what it brings; the host waits for neither. On a
machine whose device is the CPU, what is stored lies in memory that torch's allocator knows nothing of: what it counts is the
device's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.fx.node import has_side_effect


@has_side_effect
def store(value: Tensor) -> Tensor:
    """A copy on the host, of the same layout; pinned where it comes from another device."""
    value = value.detach()
    if value.device.type == "cpu":
        return _beside(value).copy_(value)
    host = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, pin_memory=True)
    with _copying(value.device) as stream:
        host.copy_(value, non_blocking=True)
    value.record_stream(stream)  # its memory serves others only once it is copied
    return host


@has_side_effect
def load(host: Tensor, device: str) -> Tensor:
    """A copy on the device of what was stored."""
    value = torch.empty_strided(host.shape, host.stride(), dtype=host.dtype, device=device)
    if value.device.type == "cpu":
        return value.copy_(host)
    with _copying(value.device) as stream:
        value.copy_(host, non_blocking=True)
    torch.accelerator.current_stream(value.device).wait_stream(stream)
    return value


def _beside(like: Tensor) -> Tensor:
    """An empty tensor of a layout in memory of numpy's."""
    steps = zip(like.shape, like.stride(), strict=True)
    count = 1 + sum((n - 1) * step for n, step in steps) if like.numel() else 1
    flat = torch.from_numpy(np.empty(count * like.element_size(), np.uint8)).view(like.dtype)
    return flat.as_strided(like.shape, like.stride())


@contextmanager
def _copying(device: torch.device) -> Iterator[torch.Stream]:
    """Under it, copies are queued on the device's stream for them, after all that is queued by now."""
    stream = copying_stream(device)
    stream.wait_stream(torch.accelerator.current_stream(device))
    with stream:
        yield stream


@cache
def copying_stream(device: torch.device) -> torch.Stream:
    """The stream on which everything is copied that leaves the device or comes to it."""
    return torch.Stream(device)
