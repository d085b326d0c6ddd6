"""Scratch buffers of kernels, by their shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import memplan
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
        ("MEAN", [((1, 4, 4, 3), "int8"), ((2,), "int32")], (1, 3), "int8", 48),
        ("MEAN", [((1, 4, 4, 3), "float32"), ((2,), "int32")], (1, 3), "float32", 32),
        ("REDUCE_MAX", [((1, 4, 4, 3), "float32"), ((2,), "int32")], (1, 3), "float32", 32),
        ("TRANSPOSE_CONV", [((4,), "int32"), ((2, 3, 3, 2), "int8"), ((1, 4, 4, 2), "int8")], (1, 8, 8, 2), "int8", 512),
        ("SVDF", [((1, 8), "int8"), ((6, 8), "int8")], (1, 3), "int8", 48),
        ("CONV_2D", [((1, 4, 4, 2), "int8"), ((3, 1, 1, 2), "int4")], (1, 4, 4, 3), "int8", 16),
        ("SVDF", [((1, 8), "int8")], (1, 3), "int8", 0),
        ("ADD_N", [((1, 8), "int8")] * 3, (1, 8), "int8", 32),
        ("RELU", [((1, 8), "int8")], (1, 8), "int8", 0),
    ],
)  # fmt: skip
def test_scratch(
    kind: str, operands: list[tuple[tuple[int, ...], str]], shape: tuple[int, ...], dtype: str, nbytes: int
) -> None:
    assert scratch(kind, operands, shape, dtype) == nbytes


def test_rounding() -> None:
    assert [rounded(n) for n in (0, 1, 16, 17)] == [0, 16, 16, 32]


def reduced(kind: str, dtype: str) -> Sub:
    sub = Sub()
    x, axes = sub.input((1, 4, 4, 33), dtype, scale=0.1), sub.constant(np.array([1, 2], np.int32))
    sub.outputs.append(sub.op(kind, [x, axes], (1, 33), None, dtype, scale=0.1))
    return sub


def added() -> Sub:
    sub = Sub()
    sub.outputs.append(sub.op("ADD_N", [sub.input((1, 64)) for _ in range(9)], (1, 64)))
    return sub


def upscaled() -> Sub:
    sub = Sub()
    x, size = sub.input((1, 4, 4, 2), "int8", scale=0.1), sub.constant(np.array([1, 8, 8, 2], np.int32))
    weights = sub.constant(np.ones((2, 1, 1, 2), np.int8), scale=0.1)
    bias = sub.constant(np.zeros(2, np.int32), scale=0.01)
    options = {0: ("b", 0), 1: ("i", 2), 2: ("i", 2)}
    sub.outputs.append(
        sub.op("TRANSPOSE_CONV", [size, weights, x, bias], (1, 8, 8, 2), options, "int8", scale=0.1)
    )
    return sub


def filtered(dtype: str) -> Sub:
    sub = Sub()
    x, kind = sub.input((1, 8), dtype, scale=0.1), np.dtype(dtype)
    features = sub.constant(np.ones((60, 8), kind), scale=0.1)
    time = sub.constant(np.ones((60, 5), np.int16 if dtype == "int8" else kind), scale=0.1)
    bias = sub.constant(np.zeros(30, np.int32 if dtype == "int8" else kind), scale=0.01)
    state = sub.tensor((1, 300), "int16" if dtype == "int8" else dtype, variable=True, scale=0.1)
    operands = [x, features, time, bias, state]
    sub.outputs.append(sub.op("SVDF", operands, (1, 30), {0: ("i", 2)}, dtype, scale=0.1))
    return sub


def unpacked() -> Sub:
    sub = Sub()
    x, weights = sub.input((1, 32), "int8", scale=0.1), sub.tensor((8, 32), "int4", bytes(128), scale=0.1)
    bias = sub.constant(np.zeros(8, np.int32), scale=0.01)
    sub.outputs.append(sub.op("FULLY_CONNECTED", [x, weights, bias], (1, 8), {}, "int8", scale=0.1))
    return sub


def recurrent() -> Sub:
    sub = Sub()

    def gates(*shape: int) -> list[int]:
        return [sub.constant(np.full(shape, 0.1, np.float32)) for _ in range(4)]

    x = sub.input((1, 3, 4))
    states = [sub.tensor((1, 8), variable=True) for _ in range(2)]
    operands = [x, *gates(8, 4), *gates(8, 8), -1, -1, -1, *gates(8), -1, -1, *states, -1, -1, -1, -1]
    sub.outputs.append(sub.op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, (1, 3, 8), {0: ("b", 4)}))
    return sub


@pytest.mark.slow(reason="starts an interpreter for each kernel")
@pytest.mark.parametrize(
    "sub",
    [
        *(reduced(kind, dtype) for kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN") for dtype in ("float32", "int8")),
        added(), upscaled(), filtered("float32"), filtered("int8"), unpacked(), recurrent(),
    ],
    ids=lambda sub: sub.operators[0][0],
)  # fmt: skip
def test_the_interpreter_takes_as_much(sub: Sub, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="the extra [tflm] is not installed")
    file = tmp_path / "net.tflite"
    file.write_bytes(tflite(sub))
    model = memplan.load(file)
    assert model.graph.ops[0].workspace is not None
    found = memplan.measure(model, memplan.plan(model, runtime="tflm", solver="greedy"), on="tflm")
    assert found.obeys
