"""Sparse constants, encoded by hand and made dense again."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from memplan.base.errors import GraphError
from memplan.tflite.fold import folded
from memplan.tflite.program import parse
from memplan.tflite.sparse import dense
from tests.tflite_models import Sub, sparse_halved, tflite


def numbers(values: Sequence[int], form: str) -> dict[int, Any]:
    """A vector of indices as a table holds it."""
    return {0: struct.pack(f"<I{len(values)}{form}", len(values), *values)}


def level(
    size: int | None = None, segments: Sequence[int] = (), indices: Sequence[int] = (), kind: int = 1
) -> Any:
    if size is not None:
        return {0: ("b", 0), 1: ("i", size)}
    form = {1: "i", 2: "H", 3: "B"}[kind]
    return {
        0: ("b", 1),
        2: ("B", kind), 3: numbers(segments, form),
        4: ("B", kind), 5: numbers(indices, form),
    }  # fmt: skip


def stored(shape: tuple[int, ...], held: Any, order: list[int], blocks: list[int], levels: list[Any]) -> Any:
    """The array that a constant of this sparse form is."""
    main = Sub()
    number = main.tensor(shape, "float32", np.asarray(held, np.float32).tobytes())
    main.tensors[number][6] = {0: order, 1: blocks, 2: levels}
    main.outputs.append(main.op("RELU", [number], shape))
    program = parse(tflite(main), "x.tflite")
    return dense(program, program.subgraphs[0].tensors[number])


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_rows_of_a_matrix(kind: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.uniform(1, 2, (6, 9)) * (rng.uniform(size=(6, 9)) < 0.4)
    array = array.astype(np.float32)
    segments = np.concatenate([[0], np.cumsum((array != 0).sum(1))])
    rows = level(None, segments.tolist(), np.nonzero(array)[1].tolist(), kind)
    assert np.array_equal(stored((6, 9), array[array != 0], [0, 1], [], [level(6), rows]), array)


def test_columns_come_first_where_the_order_says_so() -> None:
    array = np.array([[0, 2, 0], [1, 0, 3]], np.float32)
    levels = [level(3), level(None, [0, 1, 2, 3], [1, 0, 1])]
    assert np.array_equal(stored((2, 3), [1, 2, 3], [1, 0], [], levels), array)


def test_blocks_of_a_dimension() -> None:
    array = np.zeros((2, 8), np.float32)
    array[0, 4:8], array[1, 0:4] = [1, 2, 3, 4], [5, 6, 7, 8]
    levels = [level(2), level(None, [0, 1, 2], [1, 0]), level(4)]
    assert np.array_equal(stored((2, 8), range(1, 9), [0, 1, 2], [1], levels), array)


def test_blocks_of_both_dimensions() -> None:
    array = np.zeros((4, 4), np.float32)
    array[0:2, 2:4], array[2:4, 0:2] = [[1, 2], [3, 4]], [[5, 6], [7, 8]]
    levels = [level(2), level(None, [0, 1, 2], [1, 0]), level(2), level(2)]
    assert np.array_equal(stored((4, 4), range(1, 9), [0, 1, 2, 3], [0, 1], levels), array)


@pytest.mark.parametrize(
    ("held", "order", "blocks", "levels", "words"),
    [
        ([1, 2], [0, 0], [], [level(2), level(3)], "not its dimensions"),
        ([1, 2], [0, 1, 2], [7], [level(2), level(3), level(1)], "not its dimensions"),
        ([1, 2], [0, 1], [], [level(2), level(None, [0, 2, 1], [0, 1])], "not in order"),
        ([1, 2], [0, 1], [], [level(2), level(None, [0], [0, 1])], "not in order"),
        ([1, 2], [0, 1], [], [level(2), level(None, [0, 1, 2], [0, 9])], "outside"),
        ([1], [0, 1], [], [level(2), level(None, [0, 1, 2], [0, 1])], "outside"),
        ([1, 2], [0, 1], [], [level(2), level(2**30)], "a level of"),
        ([1, 2], [0, 1], [], [level(2), {0: ("b", 1)}], "without numbers"),
    ],
)
def test_levels_that_make_no_sense_are_refused(
    held: list[int], order: list[int], blocks: list[int], levels: list[Any], words: str
) -> None:
    with pytest.raises(GraphError, match=words):
        stored((2, 3), held, order, blocks, levels)


def test_a_constant_that_is_sparser_than_any_is_refused() -> None:
    levels = [level(2), level(None, [0, 1, 1], [0])]
    with pytest.raises(GraphError, match="in no sparse form"):
        stored((2, 3000), [1], [0, 1], [], levels)


def test_a_densify_and_what_widens_it_are_done() -> None:
    program, count = folded(parse(sparse_halved(), "x"))
    (main,) = program.subgraphs
    assert count == 2 and [o.kind for o in main.operators] == ["MUL"]
    wide = main.tensors[main.operators[0].inputs[1]]
    held = np.frombuffer(program.held(wide), np.float32).reshape(wide.shape)
    assert np.array_equal(held, [[0, 2, 0], [1, 0, 3]])
    assert [v.nbytes for v in main.tensors if v.name == "between"] == [0]
