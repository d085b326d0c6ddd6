"""Files that are cut off, damaged or made to mislead: one clear error each, and soon."""

from __future__ import annotations

import random
import struct
import time

import pytest

from memplan.base.errors import GraphError
from memplan.tflite.flatbuffer import File
from memplan.tflite.fold import folded
from memplan.tflite.program import parse
from tests.tflite_models import Sub, conditional, flatbuffer, halved, random_net, stateful, tflite


@pytest.mark.parametrize("made", [conditional(), stateful(), halved(), random_net(3)], ids=len)
def test_every_beginning_of_a_file_is_refused(made: bytes) -> None:
    for length in range(0, len(made) - 20, 7):
        with pytest.raises(GraphError):
            folded(parse(made[:length], "cut.tflite"))


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_read_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    made = [conditional(), stateful(), halved(), random_net(seed)][seed % 4]
    refused = 0
    for _ in range(400):
        damaged = bytearray(made)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(damaged))
            damaged[at] = rng.choice([0, 1, 127, 128, 255, damaged[at] ^ 1 << rng.randrange(8)])
        try:
            folded(parse(bytes(damaged), "damaged.tflite"))
        except GraphError as error:
            refused += "damaged.tflite" in error.message
    assert refused > 20


def test_what_is_no_tflite_file_is_told() -> None:
    for data in (b"", b"\0" * 40, b"\x08\0\0\0ONNXabcdefgh"):
        with pytest.raises(GraphError, match="no TFL3 flatbuffer"):
            parse(data, "x.tflite")


def test_offsets_out_of_the_file_are_refused() -> None:
    with pytest.raises(GraphError, match="points to byte"):
        parse(struct.pack("<I", 2**31) + b"TFL3" + bytes(20), "x.tflite")


def test_vectors_that_are_shared_until_the_file_is_huge_are_refused() -> None:
    sub = Sub()
    x = sub.input((1,))
    many = [x] * 2000
    for _ in range(200):
        sub.op("ADD_N", many, (1,))
    made = bytearray(tflite(sub))
    program = parse(bytes(made), "honest.tflite")
    operators = program.subgraphs[0].table.tables(3)
    shared = operators[-1].target(1)
    assert shared is not None
    cut = bytearray(made)
    for operator in operators:  # all read the last one's list
        place = operator.place(1)
        assert place is not None
        cut[place : place + 4] = struct.pack("<I", shared - place)
    small = File(bytes(cut), "shared.tflite")
    small.left = 200_000  # as if the lists that nobody reads any more were gone
    start = time.process_time()
    with pytest.raises(GraphError, match="says more than it is long"):
        for operator in small.root(b"TFL3").tables(2)[0].tables(3):
            operator.numbers(1)
    assert time.process_time() - start < 5


def test_fields_by_number_and_form() -> None:
    root = File(flatbuffer({0: ("I", 7), 2: "né", 3: [1, -2]}, b"TFL3"), "x").root(b"TFL3")
    assert root.number(0, "I") == 7 and root.number(1, "I", 5) == 5 and root.number(9, "I") == 0
    assert root.text(2) == "né" and root.text(1) == "" and root.numbers(3) == (1, -2) and root.tables(8) == []
    assert root.table(1) is None and root.fields() == 4
