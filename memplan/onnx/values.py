"""Host values: the stored bytes of a tensor, in memory aligned as onnxruntime's own allocator aligns it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memplan.base.errors import ExecutionError, GraphError

ALIGNMENT = 64
"""Bytes. Kernels that peel loops by address give the same bits only on equally aligned operands."""

INCOMPLETE = "is the file complete? export the model anew"
Bytes = NDArray[np.uint8]


class Value(NamedTuple):
    """A tensor in host memory. `elem_type` is ONNX's number; `data` holds the bytes as stored (4-bit packed)."""

    elem_type: int
    shape: tuple[int, ...]
    data: Bytes

    @property
    def address(self) -> int:
        """Where the bytes start."""
        return int(self.data.ctypes.data)


def aligned(nbytes: int) -> Bytes:
    """Uninitialised memory of `nbytes` bytes that starts at a multiple of ALIGNMENT."""
    padded = np.empty(nbytes + ALIGNMENT, np.uint8)
    skip = -padded.ctypes.data % ALIGNMENT
    return padded[skip : skip + nbytes]


@cache
def _elem_types() -> dict[str, int]:
    from onnx import TensorProto

    names = {name.lower(): number for name, number in TensorProto.DataType.items()}
    return names | {"float32": names["float"], "float64": names["double"]}


def elem_type(dtype: str | None, name: str) -> int:
    """ONNX's number of a graph dtype; ExecutionError for what has no place in memory (strings, unknown)."""
    number = _elem_types().get((dtype or "").replace("_", ""), 0)
    if number == 0 or dtype == "string":
        raise ExecutionError(
            f"tensor '{name}' has dtype {dtype}, which cannot be executed",
            "numbers and booleans alone can live in an arena",
        )
    return number


def value_of(array: NDArray[Any], number: int | None = None) -> Value:
    """`array` as a value (its own element type unless `number` says otherwise)."""
    from onnx import helper, numpy_helper

    kind = number or helper.np_dtype_to_tensor_dtype(array.dtype)
    cast = array.astype(helper.tensor_dtype_to_np_dtype(kind), copy=False)
    return _from_bytes(kind, array.shape, numpy_helper.from_array(np.asarray(cast)).raw_data)


def to_array(value: Value) -> NDArray[Any]:
    """The value as numpy has it (ml_dtypes for what numpy itself does not know)."""
    from onnx import TensorProto, numpy_helper

    proto = TensorProto(data_type=value.elem_type, dims=value.shape, raw_data=value.data.tobytes())
    array: NDArray[Any] = numpy_helper.to_array(proto)
    return array


def read_tensor(proto: Any, folder: str) -> Value | None:
    """The value in a TensorProto; None where its external data is not there.

    GraphError where stored data is not as long as the tensor, or external data lies outside `folder`, is too short
    or cannot be read.
    """
    from onnx import TensorProto, numpy_helper

    if proto.data_type == TensorProto.STRING:
        raise ExecutionError(
            f"constant '{proto.name}' holds strings, which cannot be executed",
            "numbers and booleans alone can live in an arena",
        )
    if proto.data_location == TensorProto.EXTERNAL:
        return _read_external(proto, folder)
    shape = tuple(proto.dims)
    try:
        held = proto if proto.HasField("raw_data") else numpy_helper.from_array(numpy_helper.to_array(proto))
    except (TypeError, ValueError) as error:
        raise GraphError(
            f"constant '{proto.name}' has no {list(shape)} elements: {error}", INCOMPLETE
        ) from error
    nbytes = stored_bytes(proto.data_type, shape)
    if len(held.raw_data) != nbytes:
        raise GraphError(
            f"constant '{proto.name}' is stored in {len(held.raw_data)} bytes, it has {nbytes}", INCOMPLETE
        )
    return _from_bytes(proto.data_type, shape, held.raw_data)


def stored_bytes(number: int, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor as stored; 4-bit elements are packed in pairs, 2-bit ones in fours."""
    from onnx import TensorProto, helper

    name = TensorProto.DataType.Name(number)
    count = int(np.prod(shape, dtype=np.int64))
    for bits in (2, 4):
        if name in (f"INT{bits}", f"UINT{bits}") or (bits == 4 and name == "FLOAT4E2M1"):
            return -(-count * bits // 8)
    return count * int(helper.tensor_dtype_to_np_dtype(number).itemsize)


def _from_bytes(number: int, shape: tuple[int, ...], raw: bytes) -> Value:
    data = aligned(len(raw))
    data[:] = np.frombuffer(raw, np.uint8)
    return Value(number, tuple(shape), data)


def is_absent(proto: Any, folder: str) -> bool:
    """Whether a TensorProto's data is in a file that is not there; GraphError if it lies outside `folder`."""
    from onnx import TensorProto

    return proto.data_location == TensorProto.EXTERNAL and not _data_path(proto, folder).is_file()


def _data_path(proto: Any, folder: str) -> Path:
    info = {entry.key: entry.value for entry in proto.external_data}
    base = Path(folder).resolve()
    path: Path = (base / info.get("location", "")).resolve()
    if not path.is_relative_to(base):
        raise GraphError(
            f"the data of '{proto.name}' lies outside the model's folder: '{path}'",
            "move the data file beside the model",
        )
    return path


def _read_external(proto: Any, folder: str) -> Value | None:
    if is_absent(proto, folder):
        return None
    info, path = {entry.key: entry.value for entry in proto.external_data}, _data_path(proto, folder)
    nbytes = stored_bytes(proto.data_type, tuple(proto.dims))
    try:
        with path.open("rb") as file:
            file.seek(int(info.get("offset", 0)))
            raw = file.read(nbytes)
    except (OSError, OverflowError, ValueError) as error:
        raise GraphError(
            f"cannot read the data of '{proto.name}' in '{path}': {error}", INCOMPLETE
        ) from error
    if len(raw) < nbytes:
        raise GraphError(
            f"'{path}' is {nbytes - len(raw)} bytes too short for '{proto.name}'",
            "is the data file complete?",
        )
    return _from_bytes(proto.data_type, tuple(proto.dims), raw)
