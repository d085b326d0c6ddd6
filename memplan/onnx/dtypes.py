"""ONNX element types: memplan's names for them and their stored size in bits."""

from __future__ import annotations

from memplan.base.errors import GraphError
from memplan.base.units import MAX_BYTES

# TensorProto.DataType value -> (name, bits per element); packed types round up per tensor.
ELEMENT_TYPES: dict[int, tuple[str, int]] = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16),
    6: ("int32", 32), 7: ("int64", 64), 9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64),
    12: ("uint32", 32), 13: ("uint64", 64), 14: ("complex64", 64), 15: ("complex128", 128),
    16: ("bfloat16", 16), 17: ("float8e4m3fn", 8), 18: ("float8e4m3fnuz", 8),
    19: ("float8e5m2", 8), 20: ("float8e5m2fnuz", 8), 21: ("uint4", 4), 22: ("int4", 4),
    23: ("float4e2m1", 4), 24: ("float8e8m0", 8), 25: ("uint2", 2), 26: ("int2", 2),
}  # fmt: skip
STRING = 8
MAX_RANK = 64


def nbytes(name: str, element: int, shape: tuple[int, ...]) -> int:
    """Stored bytes of a tensor, elements packed; GraphError where they cannot be known or overflow."""
    if element == STRING:
        raise GraphError(f"tensor '{name}' holds strings", "memplan plans tensors of fixed-size numbers only")
    if element not in ELEMENT_TYPES:
        raise GraphError(
            f"tensor '{name}' has the unknown element type {element}",
            "is the file damaged, or newer than this memplan?",
        )
    if len(shape) > MAX_RANK:
        raise GraphError(f"tensor '{name}' has {len(shape)} dimensions", f"at most {MAX_RANK} are supported")
    count = 1
    for size in shape:
        if size < 0:
            raise GraphError(
                f"tensor '{name}' has the negative size {size} in its shape {list(shape)}",
                "sizes are whole numbers from 0",
            )
        count *= size
        if count > MAX_BYTES:
            raise GraphError(
                f"tensor '{name}' of shape {list(shape)} overflows", "tensors are at most 2^62 bytes"
            )
    return -(-count * ELEMENT_TYPES[element][1] // 8)
