"""Boxes against arrays of numbers."""

from __future__ import annotations

from itertools import product

import numpy as np

from memplan.ir.boxes import (
    Box,
    box_text,
    common,
    contiguous,
    extents,
    first_element,
    hull,
    is_box,
    volume,
    whole,
)

SHAPE = (2, 3, 4)
BOXES: list[Box] = list(product(*([(a, b) for a in range(n) for b in range(a + 1, n + 1)] for n in SHAPE)))  # type: ignore[arg-type]


def numbers(box: Box) -> list[int]:
    """The elements of a row-major tensor of SHAPE that lie in the box."""
    return np.arange(np.prod(SHAPE)).reshape(SHAPE)[tuple(slice(*part) for part in box)].ravel().tolist()


def test_a_box_is_contiguous_where_its_elements_adjoin() -> None:
    for box in BOXES:
        inside = numbers(box)
        assert contiguous(box, whole(SHAPE)) == (inside == list(range(inside[0], inside[-1] + 1)))
        assert first_element(box, whole(SHAPE)) == inside[0]
        assert volume(box) == len(inside) and is_box(box, extents(box))


def test_what_is_common_and_the_hull() -> None:
    for one, other in zip(BOXES, reversed(BOXES), strict=True):
        both = set(numbers(one)) & set(numbers(other))
        found = common(one, other)
        assert both == (set() if found is None else set(numbers(found)))
        assert set(numbers(hull(one, other))) >= set(numbers(one)) | set(numbers(other))


def test_a_box_is_written_as_a_slice() -> None:
    assert box_text(((0, 2), (1, 3), (0, 4)), SHAPE) == "[:,1:3]"
    assert box_text(whole(SHAPE), SHAPE) == "[:]"


def test_what_is_no_box() -> None:
    assert not is_box(((2, 1),), (1,))
    assert not is_box(((0, 2),), (3,))
    assert not is_box((), (1,))
