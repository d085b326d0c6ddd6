"""The least that onnxruntime's allocator must be allowed to hold for a model to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from memplan.base.errors import ExecutionError
from memplan.onnx.values import Value
from memplan.runtimes.onnxruntime.trace import opened
from memplan.runtimes.sessions import run_bound

STEP = 4096
"""Bytes to which the least arena is sought."""


def least_arena(
    proto: Any, options: Callable[[int], Any], fed: Mapping[str, Value], written: Mapping[str, Value]
) -> int:
    """The least multiple of `STEP` bytes, by bisection, with which the model runs twice; weights, scratch and gaps included.

    `options` makes session options for an arena of so many bytes.
    """
    high = STEP
    while not _runs(proto, options(high), fed, written):
        high *= 2
    low = high // 2
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP
        low, high = (low, middle) if _runs(proto, options(middle), fed, written) else (middle, high)
    return high


def _runs(proto: Any, options: Any, fed: Mapping[str, Value], written: Mapping[str, Value]) -> bool:
    try:
        session = opened(proto, options)
        run_bound(session, fed, written)
        run_bound(session, fed, written)
    except ExecutionError:
        return False
    return True
