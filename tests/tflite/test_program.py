"""What a file says, and what it must not say."""

from __future__ import annotations

import pytest

from memplan.base.errors import GraphError
from memplan.tflite.program import parse
from tests.tflite_models import Sub, flatbuffer, stateful, tflite


def test_tensors_operators_variables_and_metadata() -> None:
    main = Sub()
    x = main.input((1, 2, 3), "int8", name="image")
    state = main.tensor((4,), "float32", variable=True)
    main.outputs.append(main.op("CUSTOM:mine", [x, -1, state], (6,), dtype="int16"))
    program = parse(tflite(main, metadata={"note": b"hello"}), "x")
    (sub,) = program.subgraphs
    image, kept, result = sub.tensors
    assert (image.name, image.dtype, image.shape, image.nbytes) == ("image", "int8", (1, 2, 3), 6)
    assert kept.variable and not image.variable and not image.constant and result.nbytes == 12
    assert [(o.kind, o.inputs, o.outputs) for o in sub.operators] == [("CUSTOM:mine", (0, -1, 1), (2,))]
    ((name, buffer),) = program.metadata
    place = program.buffers[buffer]
    assert (name, program.data[place.start : place.stop]) == ("note", b"hello")


def test_subgraphs_that_are_called_and_handles() -> None:
    main, init = parse(stateful(), "x").subgraphs
    assert main.operators[0].calls == (1,) and main.operators[1].variable == "sum"
    assert init.operators[0].variable == "sum"


def sub_with(**changes: object) -> bytes:
    main = Sub()
    x = main.input((4,))
    main.outputs.append(main.op("RELU", [x], (4,)))
    for key, value in changes.items():
        if key == "inputs":
            main.operators[0][1][:] = value  # type: ignore[call-overload]
        else:
            main.tensors[0] |= {0: value} if key == "shape" else {1: ("b", value)}
    return tflite(main)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (sub_with(inputs=[9]), "names tensor 9 of 2"),
        (sub_with(inputs=[-2]), "names tensor -2 of 2"),
        (sub_with(shape=[-1, 4]), "the shape [-1, 4]"),
        (sub_with(shape=[2**31 - 1] * 3), "the shape"),
        (sub_with(dtype=5), "the type 5"),
        (flatbuffer({0: ("I", 2)}, b"TFL3"), "is of schema 2"),
        (flatbuffer({0: ("I", 3)}, b"TFL3"), "has no subgraph"),
        (flatbuffer({0: ("I", 3), 4: [{1: ("Q", 4096)}]}, b"TFL3"), "behind its flatbuffer"),
    ],
)
def test_what_makes_no_sense_is_refused(made: bytes, words: str) -> None:
    with pytest.raises(GraphError) as caught:
        parse(made, "x.tflite")
    assert words in caught.value.message and caught.value.hint
