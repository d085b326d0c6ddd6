"""Stored bytes of ONNX tensors, against what onnx itself packs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from memplan.base.errors import GraphError
from memplan.onnx.dtypes import ELEMENT_TYPES, MAX_RANK, STRING, nbytes


def test_an_element_type_has_the_size_and_name_that_onnx_gives_it() -> None:
    for kind, (name, bits) in ELEMENT_TYPES.items():
        word = onnx.TensorProto.DataType.Name(kind).lower()
        assert name in (word, {"float": "float32", "double": "float64"}.get(word))
        if bits >= 8:
            assert bits == 8 * np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).itemsize, name
        else:
            assert str(bits) in name


def test_elements_smaller_than_a_byte_are_packed_per_tensor() -> None:
    assert [nbytes("t", onnx.TensorProto.INT4, shape) for shape in ((), (3,), (3, 3), (2, 0), (4,))] == [
        1,
        2,
        5,
        0,
        2,
    ]
    assert nbytes("t", onnx.TensorProto.FLOAT, (2, 3)) == 24 and nbytes("t", onnx.TensorProto.BOOL, (5,)) == 5


@pytest.mark.parametrize(
    ("element", "shape", "words"),
    [(STRING, (1,), "holds strings"), (99, (1,), "unknown element type 99"), (1, (1,) * (MAX_RANK + 1), "65 dimensions"),
     (1, (2, -1), "negative size -1"), (1, (2**40, 2**40), "overflows")],
)  # fmt: skip
def test_what_has_no_size_is_refused(element: int, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(GraphError, match=f"tensor 'weights' .*{words}"):
        nbytes("weights", element, shape)
