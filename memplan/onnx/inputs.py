"""Inputs to execute a model with: the user's own from an .npz, or seeded ones in range.

Integers that index a table stay below its length, lengths below the axis they cut, masks and token
types are 0 or 1, a scalar that is compared with a constant takes that constant; images are uniform in
[0, 1) or over their integer type, other floats standard normal.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memplan.base.errors import OptionError, nearest
from memplan.ir.graph import Graph, Tensor
from memplan.onnx.uses import Use, attribute, index, sinks
from memplan.onnx.values import Value, elem_type, to_array, value_of

FREE_NBYTES = 2**28
"""Bytes that an array may unpack to, however well it is packed: zeros are common."""

MOST_RATIO = 200
"""Most that a larger array may be packed."""


def load_inputs(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name; OptionError if it cannot be read (pickles are refused)."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_header(archive, member)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _Bomb as bomb:
        raise OptionError(f"cannot read inputs from '{path}': {bomb}", "are they what was saved?") from None
    except Exception as error:
        why = (error.strerror if isinstance(error, OSError) else "") or "it is no .npz file of plain arrays"
        raise OptionError(
            f"cannot read inputs from '{path}': {why}", "save them with numpy.savez(path, name=array, …)"
        ) from error


class _Bomb(Exception):
    """A member that would unpack to far more than it takes in the file; the message says which."""


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse an array that its headers alone give away: it packs too well, or says that it is larger than it is."""
    if member.file_size > FREE_NBYTES and member.file_size > MOST_RATIO * member.compress_size:
        raise _Bomb(
            f"'{member.filename}' unpacks from {member.compress_size} bytes to {member.file_size}, which no input does"
        )
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise _Bomb(f"'{member.filename}' says that it has the shape {list(shape)}, and is too short for it")


def bind_inputs(
    graph: Graph, given: Mapping[str, NDArray[Any]], held: Collection[str] = ()
) -> dict[str, Value]:
    """The given arrays as values; OptionError on unknown or missing names, wrong shapes or dtypes.

    Inputs in `held`, of which the model has a value itself, may be left out.
    """
    wanted = {t.name: t for t in graph.tensors if t.kind == "input"}
    for name in given:
        if name not in wanted:
            raise OptionError(f"the model has no input '{name}'", nearest(name, wanted))
    found = {}
    for name, tensor in wanted.items():
        if name not in given and name in held:
            continue
        if name not in given:
            raise OptionError(f"input '{name}' is missing", f"the model's inputs: {', '.join(wanted)}")
        found[name] = _checked(tensor, np.asarray(given[name]))
    return found


def _checked(tensor: Tensor, array: NDArray[Any]) -> Value:
    if tuple(array.shape) != tensor.shape:
        raise OptionError(
            f"input '{tensor.name}' has shape {list(array.shape)}", f"expected {list(tensor.shape or ())}"
        )
    value = None
    if array.dtype.kind in "biufV" or array.dtype.name.startswith(("bfloat", "float", "int", "uint")):
        value = value_of(array)
    number = elem_type(tensor.dtype, tensor.name)
    if value is None or value.elem_type != number:
        raise OptionError(f"input '{tensor.name}' has dtype {array.dtype}", f"expected {tensor.dtype}")
    return value


def seeded_inputs(graph: Graph, source: Any, constants: Mapping[str, Value], seed: int) -> dict[str, Value]:
    """An input in range for each graph input; deterministic in its name and the seed."""
    uses = index(source.graph)
    found = {}
    for tensor in graph.tensors:
        if tensor.kind == "input":
            rng = np.random.default_rng([seed, zlib.crc32(tensor.name.encode()), 1])
            number = elem_type(tensor.dtype, tensor.name)
            array = _draw(tensor, rng, sinks(tensor.name, uses), graph, constants)
            found[tensor.name] = value_of(array, number)
    return found


def _draw(
    tensor: Tensor, rng: np.random.Generator, readers: list[Use], graph: Graph, constants: Mapping[str, Value]
) -> NDArray[Any]:
    shape, dtype, name = tensor.shape or (), tensor.dtype or "", tensor.name.lower()
    if dtype == "bool" or "mask" in name:
        mask = rng.integers(0, 2, shape)
        if mask.ndim and mask.size:
            mask[..., 0] = 1  # a row that masks everything makes a softmax divide by zero
        return np.asarray(mask)
    if "int" not in dtype:
        image = len(shape) == 4
        return np.asarray(rng.random(shape) if image else rng.standard_normal(shape), np.float64)
    if not shape and (match := compared_scalar(readers, constants)) is not None:
        return np.full(shape, match)
    for use in readers:
        if bounds := _bounds(use, graph):
            return rng.integers(bounds[0], max(bounds[1], bounds[0] + 1), shape)
    if dtype in ("int8", "uint8") and "type" not in name:
        return rng.integers(-128 if dtype == "int8" else 0, 128 if dtype == "int8" else 256, shape)
    high = 16 if "int4" in dtype else 2
    return rng.integers(0, min(high, 8 if dtype == "int4" else high), shape)


def compared_scalar(readers: list[Use], constants: Mapping[str, Value]) -> int | None:
    """The first scalar constant that one of the uses compares its value with for equality."""
    for use in readers:
        other = constants.get(use.node.input[1 - use.position]) if use.node.op_type == "Equal" else None
        if other is not None and to_array(other).size == 1:
            return int(to_array(other).reshape(()))
    return None


def _bounds(use: Use, graph: Graph) -> tuple[int, int] | None:
    """Half-open range of the integers a use can take, None where it sets none."""
    kind, position = use.node.op_type, use.position
    if kind in ("Gather", "GatherElements", "ScatterElements") and position == 1:
        length = _length(graph, use.node.input[0], attribute(use.node, "axis", 0))
        return (0, length) if length else None
    if kind == "GatherND" and position == 1:
        length = _length(graph, use.node.input[0], attribute(use.node, "batch_dims", 0))
        return (0, length) if length else None
    if kind in ("LSTM", "GRU", "RNN") and position == 4:
        length = _length(graph, use.node.input[0], 1 if attribute(use.node, "layout", 0) else 0)
        return (1, length + 1) if length else None
    if kind == "ReverseSequence" and position == 1:
        length = _length(graph, use.node.input[0], attribute(use.node, "time_axis", 0))
        return (1, length + 1) if length else None
    if kind == "Loop" and position == 0:
        return (1, 5)
    return None


def _length(graph: Graph, name: str, axis: int) -> int:
    tensor = graph.tensor.get(name)
    if tensor is None or not tensor.shape or not -len(tensor.shape) <= axis < len(tensor.shape):
        return 0
    return tensor.shape[axis]
