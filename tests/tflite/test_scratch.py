"""Scratch buffers of kernels, by their shapes."""

from __future__ import annotations

import pytest

from memplan.tflite.program import parse
from memplan.tflite.scratch import rounded, scratch_nbytes
from tests.tflite_models import Sub, tflite


def scratch(
    kind: str, operands: list[tuple[tuple[int, ...], str]], shape: tuple[int, ...], dtype: str
) -> int:
    sub = Sub()
    sub.op(kind, [sub.input(s, d) for s, d in operands], shape, dtype=dtype)
    (found,) = parse(tflite(sub), "x").subgraphs
    return scratch_nbytes(found, found.operators[0])


@pytest.mark.parametrize(
    ("kind", "operands", "shape", "dtype", "nbytes"),
    [
        ("MEAN", [((1, 4, 4, 3), "int8"), ((2,), "int32")], (1, 3), "int8", 16),
        ("MEAN", [((1, 4, 4, 3), "float32"), ((2,), "int32")], (1, 3), "float32", 0),
        ("REDUCE_MAX", [((1, 4, 4, 3), "float32"), ((2,), "int32")], (1, 3), "float32", 32),
        ("TRANSPOSE_CONV", [((4,), "int32"), ((2, 3, 3, 2), "int8"), ((1, 4, 4, 2), "int8")], (1, 8, 8, 2), "int8", 512),
        ("SVDF", [((1, 8), "int8"), ((6, 8), "int8")], (1, 3), "int8", 48),
        ("CONV_2D", [((1, 4, 4, 2), "int8"), ((3, 1, 1, 2), "int4")], (1, 4, 4, 3), "int8", 16),
        ("SVDF", [((1, 8), "int8")], (1, 3), "int8", 0),
        ("RELU", [((1, 8), "int8")], (1, 8), "int8", 0),
    ],
)  # fmt: skip
def test_scratch(
    kind: str, operands: list[tuple[tuple[int, ...], str]], shape: tuple[int, ...], dtype: str, nbytes: int
) -> None:
    assert scratch(kind, operands, shape, dtype) == nbytes


def test_rounding() -> None:
    assert [rounded(n) for n in (0, 1, 16, 17)] == [0, 16, 16, 32]
