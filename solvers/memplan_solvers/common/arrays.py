"""The arrays that kernels work on: their types, how a field says its shape, and a constant that all solvers share.

A field or parameter of a kernel is annotated with what it holds and, where that says more, with its axes:

    size: Annotated[Ints, "buffers"]  # bytes
    first: Annotated[Ints, "buffers + 1"]  # where the row of each buffer begins
    table: Annotated[Records, SECTION, "sections"]  # a structured dtype, whose fields have names

An axis is a number, a name, or a name and a number to be added; a name stands for one length throughout a call.
`shapes.py` reads this where debugging is switched on; mypy and numba do not look at it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
ShortInts = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
Records = npt.NDArray[np.void]
"""Rows of named fields; their dtype is part of the annotation."""

NEVER = 1 << 50
"""A step after all steps."""


def record(fields: list[tuple[str, type]]) -> np.dtype[np.void]:
    """The dtype of a record array whose records have their fields as attributes, in Python as in kernels."""
    return np.dtype((np.record, fields))
