"""What torch's own profiler sees while something runs: what the allocator of host memory hands out, and the ops that are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
    """Bytes on the host that were handed out during a run: the most at a time, and those in use at its end; the ops called.

    Ops are such as `aten::mm`, in the order of their calls, without those that an op calls itself.
    """

    peak: int
    held: int
    called: tuple[str, ...]


def allocated(run: Callable[[], _T]) -> tuple[_T, Allocated]:
    """What `run` returns, and what was allocated meanwhile by this thread; what it frees of older memory does not count."""
    _PROFILER._enable_profiler_legacy(_CONFIG)
    events: list[list[Any]] = []
    try:
        result = run()
    finally:
        events = _PROFILER._disable_profiler_legacy()
    flat = [event for thread in events for event in thread]
    sums = [0, *accumulate(e.cpu_memory_usage() for e in flat if e.kind() == "memory_alloc")]
    return result, Allocated(max(sums), sums[-1], tuple(_outermost(flat)))


def _outermost(events: Iterable[Any]) -> Iterator[str]:
    """Names of the ops that no other op has called; what autograd and the compiler put around them is none."""
    around: list[bool] = []
    for event in events:
        if event.kind() == "push":
            is_op = "::" in event.name() and not event.name().startswith("autograd::")
            if is_op and not any(around):
                yield event.name()
            around.append(is_op)
        elif event.kind() == "pop" and around:
            around.pop()
