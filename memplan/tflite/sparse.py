"""Sparse constants made dense: the format of the schema's SparsityParameters, a level for each dimension and block of one.

Levels are walked in the traversal order, dense ones whole, sparse ones (CSR) by their segments and indices. What is stored are
the elements at the leaves, in the order of the walk.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from memplan.tflite.flatbuffer import FlatbufferTable
from memplan.tflite.program import TfliteProgram, TfliteValue
from memplan.tflite.schema import INDEX_FORMS, DimensionField, SparsityField, TensorField

SPARSEST = 16
"""A sparse constant has at most so many elements for each byte that the file holds of it."""


def dense(program: TfliteProgram, value: TfliteValue) -> Any:
    """The array, of the tensor's shape, of a sparse constant of floats; GraphError where its levels make no sense."""
    held = np.frombuffer(program.held(value), "<f2" if value.dtype == "float16" else "<f4")
    params = value.table.table(TensorField.SPARSITY)
    count = math.prod(value.shape)
    if params is None or count > SPARSEST * max(1, held.nbytes):
        raise value.table.file.fault(
            f"has the sparse constant '{value.name}' of {count} elements in no sparse form"
        )
    order = params.numbers(SparsityField.TRAVERSAL_ORDER)
    levels, rank = params.tables(SparsityField.DIMENSIONS), len(value.shape)
    mapped = params.numbers(SparsityField.BLOCK_MAP)
    good = sorted(order) == list(range(len(levels))) and len(levels) == rank + len(mapped)
    if not good or any(not 0 <= axis < rank for axis in mapped):
        raise value.table.file.fault(
            f"has levels of the sparse constant '{value.name}' that are not its dimensions"
        )
    parents, walked = (
        np.zeros(1, np.int64),
        list[Any](),
    )  # of each element met so far: its number, and its indices
    for level in levels:
        source, parents, index = _below(level, parents)
        walked = [*(indices[source] for indices in walked), index]
    at = [np.zeros(len(parents), np.int64)] * rank
    for axis, index, level in sorted(zip(order, walked, levels, strict=True), key=lambda item: item[0]):
        if axis < rank:
            at[axis] = index
        else:  # a block of a dimension: its elements lie within what the dimension counts
            block = mapped[axis - rank]
            at[block] = at[block] * level.number(DimensionField.DENSE_SIZE, "i") + index
    inside = all(((0 <= a) & (a < size)).all() for a, size in zip(at, value.shape, strict=True))
    if not inside or len(held) != len(parents):
        raise value.table.file.fault(
            f"has elements of the sparse constant '{value.name}' that lie outside it"
        )
    made = np.zeros(value.shape, held.dtype)
    made[tuple(at)] = held
    return made


def _below(level: FlatbufferTable, parents: Any) -> tuple[Any, Any, Any]:
    """The next level: which element each one lies below, their numbers, and their indices in this level.

    For each of them the file holds something: a segment of a level below, or an element.
    """
    most = len(level.file.data)

    if level.number(DimensionField.FORMAT, "b") == 0:
        size = level.number(DimensionField.DENSE_SIZE, "i")
        if not 0 <= size * len(parents) <= most:
            raise level.file.fault(f"has a level of {size} elements in a sparse constant")
        source = np.repeat(np.arange(len(parents)), size)
        index = np.tile(np.arange(size), len(parents))
        return source, parents[source] * size + index, index
    segments = _numbers(level, DimensionField.SEGMENTS_TYPE, DimensionField.SEGMENTS)
    indices = _numbers(level, DimensionField.INDICES_TYPE, DimensionField.INDICES)
    rising = (
        len(segments) > parents.max(initial=-1) + 1 and segments[0] == 0 and (np.diff(segments) >= 0).all()
    )
    if not rising or segments[-1] > len(indices):
        raise level.file.fault("has segments of a sparse constant that are not in order")
    counts = segments[parents + 1] - segments[parents]
    if (total := int(counts.sum())) > most:
        raise level.file.fault(f"has {total} elements in a level of a sparse constant")
    source = np.repeat(np.arange(len(parents)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    numbers = segments[parents][source] + np.arange(total) - first
    return source, numbers, indices[numbers]


def _numbers(level: FlatbufferTable, kind: int, field: int) -> Any:
    """A vector of whole numbers of a level, of the width that its type says."""
    form, held = INDEX_FORMS.get(level.number(kind, "B")), level.table(field)
    if form is None or held is None:
        raise level.file.fault("has a level of a sparse constant without numbers")
    width = np.dtype(form).itemsize
    place = held.vector(0, width)
    return np.frombuffer(level.file.data[place.start : place.stop], form).astype(np.int64)
