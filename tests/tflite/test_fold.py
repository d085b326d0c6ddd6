"""Constants that are stored as 16-bit floats."""

from __future__ import annotations

import numpy as np
import pytest

from memplan.base.errors import GraphError
from memplan.tflite.fold import folded
from memplan.tflite.program import parse
from tests.tflite_models import Sub, branching, halved, tflite


def test_a_dequantize_of_a_constant_is_done() -> None:
    before = parse(halved(), "x")
    after, count = folded(before)
    (main,) = after.subgraphs
    assert count == 1 and [o.kind for o in main.operators] == ["MUL"]
    wide = main.tensors[main.operators[0].inputs[1]]
    stored = np.linspace(-1, 1, 32).astype(np.float16)
    assert wide.constant and wide.dtype == "float32" and wide.shape == (1, 32)
    assert np.array_equal(np.frombuffer(after.held(wide), np.float32), stored.astype(np.float32))


def test_a_program_without_any_is_itself() -> None:
    program = parse(branching(), "x")
    assert folded(program) == (program, 0)


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_what_is_no_constant_of_16_bit_floats_stays(dtype: str) -> None:
    main = Sub()
    x = main.input((8,), dtype) if dtype == "float16" else main.constant(np.zeros(8, np.int8))
    main.outputs.append(main.op("RELU", [main.op("DEQUANTIZE", [x], (8,))], (8,)))
    assert folded(parse(tflite(main), "x"))[1] == 0


def test_a_result_that_is_returned_stays() -> None:
    main = Sub()
    main.outputs.append(main.op("DEQUANTIZE", [main.constant(np.zeros(8, np.float16))], (8,)))
    assert folded(parse(tflite(main), "x"))[1] == 0


def test_data_that_does_not_fit_the_shape_is_refused() -> None:
    main = Sub()
    stored = main.tensor((8,), "float16", b"ab")
    main.outputs.append(main.op("RELU", [main.op("DEQUANTIZE", [stored], (8,))], (8,)))
    with pytest.raises(GraphError, match="constant of 4 bytes, 32 by its shape"):
        folded(parse(tflite(main), "x"))
