"""What a part of an operator's result needs, by brute force: the interpreter runs it with operands changed one element at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memplan.ir.needs import cut_axes, needed
from tests.tflite.test_read import loaded
from tests.tflite_models import SAME, VALID, Sub, sliding, tflite

Shape = Sequence[int]


def case(kind: str, *operands: Shape | Any, result: Shape, options: dict[int, Any] | None = None) -> Sub:
    """A model of one operator, whose operands are inputs of these shapes or constants."""
    main = Sub()
    read = [main.constant(x) if isinstance(x, np.ndarray) else main.input(x) for x in operands]
    main.outputs.append(main.op(kind, read, result, options))
    return main


def weights(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).uniform(0.5, 1, shape).astype(np.float32)


def ints(*numbers: Any) -> Any:
    return np.array(numbers, np.int32)


CASES = {
    "conv same": (
        case("CONV_2D", (1, 7, 6, 2), weights(3, 3, 2, 2), weights(3), result=(1, 4, 6, 3), options=sliding(SAME, (2, 1))),
        {0, 1, 2, 3},
    ),
    "conv valid": (
        case("CONV_2D", (1, 7, 6, 2), weights(3, 3, 3, 2), weights(3), result=(1, 3, 2, 3), options=sliding(VALID, (2, 3))),
        {0, 1, 2, 3},
    ),
    "conv dilated": (
        case(
            "CONV_2D", (1, 7, 7, 1), weights(2, 3, 2, 1), result=(1, 3, 2, 2),
            options=sliding(VALID, (1, 2), {4: ("i", 3), 5: ("i", 2)}),
        ),
        {0, 1, 2, 3},
    ),
    "depthwise": (
        case("DEPTHWISE_CONV_2D", (1, 6, 5, 3), weights(1, 3, 2, 3), weights(3), result=(1, 3, 3, 3),
             options=sliding(SAME, (2, 2), {3: ("i", 1)})),
        {0, 1, 2, 3},
    ),
    "depthwise wider": (
        case("DEPTHWISE_CONV_2D", (1, 4, 4, 2), weights(1, 3, 3, 4), weights(4), result=(1, 2, 2, 4),
             options=sliding(VALID, (1, 1), {3: ("i", 2)})),
        {0, 1, 2},
    ),
    "max pool": (
        case("MAX_POOL_2D", (1, 6, 7, 2), result=(1, 2, 4, 2), options=sliding(VALID, (2, 2), {3: ("i", 1), 4: ("i", 3)})),
        {0, 1, 2, 3},
    ),
    "average pool": (
        case("AVERAGE_POOL_2D", (1, 5, 5, 2), result=(1, 5, 3, 2), options=sliding(SAME, (1, 2), {3: ("i", 3), 4: ("i", 3)})),
        {0, 1, 2, 3},
    ),
    "add": (case("ADD", (1, 2, 3, 2), (1, 2, 3, 2), result=(1, 2, 3, 2)), {0, 1, 2, 3}),
    "mul broadcast": (case("MUL", (1, 2, 3, 2), weights(1, 1, 1, 2), result=(1, 2, 3, 2)), {0, 1, 2, 3}),
    "relu": (case("RELU", (2, 3), result=(2, 3)), {0, 1}),
    "fully connected": (
        case("FULLY_CONNECTED", (3, 4), weights(2, 4), weights(2), result=(3, 2), options={}),
        {0, 1},
    ),
    "softmax": (case("SOFTMAX", (3, 4), result=(3, 4), options={0: ("f", 1.0)}), {0}),
    "pad": (
        case("PAD", (1, 2, 3, 2), ints((0, 0), (1, 0), (2, 1), (0, 0)), result=(1, 3, 6, 2)),
        {0, 1, 2, 3},
    ),
    "concatenation": (
        case("CONCATENATION", (1, 3, 2), (1, 3, 1), result=(1, 3, 3), options={0: ("i", -1)}),
        {0, 1},
    ),
    "reshape": (case("RESHAPE", (1, 3, 4), ints(3, 2, 2), result=(3, 2, 2)), {0}),
}  # fmt: skip
"""Models, and the axes of the result along which each is cut."""


@pytest.mark.parametrize("name", CASES)
def test_an_element_needs_the_elements_that_change_it(name: str, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="the extra [tflm] is not installed")
    sub, axes = CASES[name]
    graph = loaded(tflite(sub), tmp_path).graph
    (op,) = graph.ops
    assert cut_axes(op) == axes
    shape = graph.tensor[op.results[0]].shape or ()
    shapes = [graph.tensor[x].shape or () for x in op.inputs if graph.tensor[x].kind == "input"]
    for number, held in enumerate(shapes):
        changed = _changed(tflite(sub), number, shapes)
        for at in np.ndindex(shape):
            box = tuple((i, i + 1) if axis in axes else (0, shape[axis]) for axis, i in enumerate(at))
            inside = (..., *(slice(*part) for part in box))
            touching = np.argwhere(changed[inside].any(axis=tuple(range(-len(shape), 0))))
            need = needed(op, number, held, box)
            if len(touching):
                seen = [(int(a), int(b) + 1) for a, b in zip(touching.min(0), touching.max(0), strict=True)]
                for part, whole, access in zip(seen, need, op.needs[number], strict=True):
                    assert part == whole if access else whole[0] <= part[0] and part[1] <= whole[1], (
                        at,
                        seen,
                        need,
                    )
            else:
                assert any(first == stop for first, stop in need), (at, need)


def _changed(data: bytes, number: int, shapes: Sequence[Shape]) -> Any:
    """For each element of the input of that number which elements of the result change with it, the inputs having these shapes."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 16)
    rng = np.random.default_rng(1)
    given = [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]

    def result(x: Any) -> Any:
        for i, value in enumerate([*given[:number], x, *given[number + 1 :]]):
            interpreter.set_input(value, i)
        interpreter.invoke()
        return interpreter.get_output(0).copy()

    plain = result(given[number])
    changed = np.zeros((*given[number].shape, *plain.shape), bool)
    for at in np.ndindex(given[number].shape):
        for extreme in (-100, 100):
            x = given[number].copy()
            x[at] = extreme
            changed[at] |= result(x) != plain
    return changed


def pooled(options: dict[int, Any] | None, result: Shape = (1, 2, 2, 2)) -> Sub:
    return case("MAX_POOL_2D", (1, 4, 4, 2), result=result, options=options)


FILTER = {3: ("i", 2), 4: ("i", 2)}
UNCLEAR = {
    "no options": pooled(None),
    "no stride": pooled(sliding(SAME, (0, 0), FILTER)),
    "no window": pooled(sliding(SAME, (2, 2))),
    "another size": pooled(sliding(VALID, (2, 2), FILTER), result=(1, 3, 2, 2)),
    "unknown padding": pooled(sliding(2, (2, 2), FILTER)),
    "another batch": pooled(sliding(VALID, (2, 2), FILTER), result=(2, 2, 2, 2)),
    "padding given at run time": case("PAD", (1, 2), (2, 2), result=(1, 3)),
    "other padding": case("PAD", (1, 2), ints((0, 0), (0, 2)), result=(1, 3)),
    "a kind that nobody described": case("CUMSUM", (1, 2), ints(1), result=(1, 2)),
    "too many operands": case("SOFTMAX", (1, 2), (1, 2), result=(1, 2)),
    "no operands": case("RELU", result=(1, 2)),
    "more axes than the result": case("ADD", (2, 2, 2), (2, 2), result=(2, 2)),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_unclear_is_left_whole(name: str, tmp_path: Path) -> None:
    (op,) = loaded(tflite(UNCLEAR[name]), tmp_path).graph.ops
    assert op.needs == ()


def test_what_a_variable_keeps_is_left_whole(tmp_path: Path) -> None:
    main = Sub()
    x, state = main.input((1, 4)), main.tensor((1, 4), variable=True)
    main.outputs.append(main.op("ADD", [x, state], (1, 4)))
    assert loaded(tflite(main), tmp_path).graph.ops[0].needs == ()
