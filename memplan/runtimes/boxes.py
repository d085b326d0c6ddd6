"""Parts of row-major tensors in bytes of a memory."""

from __future__ import annotations

from memplan.ir.boxes import Box, extents, first_element, volume
from memplan.onnx.values import Bytes, aligned


def elements(data: Bytes, frame: Box, box: Box) -> Bytes:
    """The elements of `box` in `data`, which holds those of `frame`: an array of its shape and the bytes of an element.

    The data are a whole number of bytes an element.
    """
    array = data.reshape((*extents(frame), -1))
    inside = tuple(
        slice(first - begin, stop - begin) for (first, stop), (begin, _) in zip(box, frame, strict=True)
    )
    return array[inside]


def adjoining(data: Bytes, frame: Box, box: Box) -> Bytes:
    """The bytes of `box` in `data`, which holds those of `frame`: they lie side by side."""
    size = data.nbytes // max(volume(frame), 1)
    first = first_element(box, frame) * size
    return data[first : first + volume(box) * size]


def packed(part: Bytes) -> Bytes:
    """A copy of the elements, one behind the other."""
    copy = aligned(part.size)
    copy[:] = part.reshape(-1)
    return copy
