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
    proto: Any,
    options: Callable[[int], Any],
    fed: Mapping[str, Value],
    written: Mapping[str, Value],
    needed: int,
) -> int:
    """The least arena, by bisection to `STEP` bytes, with which the model runs twice; weights, scratch and gaps included.

    Args:
        proto: the model, with its weights.
        options: makes session options for an arena of so many bytes.
        fed, written: inputs and outputs.
        needed: bytes, weights included, that are known to be in use at once: of an arena that does not even hold
            the weights onnxruntime forgets the limit.
    """
    low = high = needed
    while not _runs(proto, options(high), fed, written):
        low, high = high, 2 * high + STEP
    while high - low > STEP:
        middle = (low + high) // 2
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
