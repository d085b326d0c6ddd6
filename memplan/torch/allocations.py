"""What torch's allocator of host memory hands out while something runs, by the count of torch's own profiler."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

import torch
from torch._C._profiler import _ExperimentalConfig

_T = TypeVar("_T")

_PROFILER: Any = torch.autograd
_CONFIG = _PROFILER.ProfilerConfig(
    _PROFILER.ProfilerState.CPU, False, True, False, False, False, _ExperimentalConfig()
)
"""Memory is profiled; shapes, stacks, flops and modules are not. This profiler prints nothing, Kineto's does."""


class Allocated(NamedTuple):
    """Bytes on the host that were handed out during a run: the most at a time, and those in use at its end."""

    peak: int
    held: int


def allocated(run: Callable[[], _T]) -> tuple[_T, Allocated]:
    """What `run` returns, and what was allocated meanwhile by this thread; what it frees of older memory does not count."""
    _PROFILER._enable_profiler_legacy(_CONFIG)
    events: list[list[Any]] = []
    try:
        result = run()
    finally:
        events = _PROFILER._disable_profiler_legacy()
    changes = [e.cpu_memory_usage() for thread in events for e in thread if e.kind() == "memory_alloc"]
    sums = [0, *accumulate(changes)]
    return result, Allocated(max(sums), sums[-1])
