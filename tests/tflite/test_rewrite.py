"""Files changed: what is not meant to change stays, byte for byte."""

from __future__ import annotations

import pytest

from memplan.base.errors import GraphError
from memplan.tflite.build import BUFFER_ALIGNMENT
from memplan.tflite.program import parse
from memplan.tflite.rewrite import Changes, rewritten
from memplan.tflite.schema import ModelField
from tests.tflite_models import Sub, branching, flatbuffer, random_net, tflite

NOTES = {"note": b"hello", "other": b"x" * 33}


@pytest.mark.parametrize("seed", range(5))
def test_order_and_metadata_change_and_nothing_else(seed: int) -> None:
    before = parse(random_net(seed, metadata=NOTES), "x")
    order = list(reversed(range(len(before.subgraphs[0].operators))))
    made = rewritten(before, Changes({0: order}, metadata={"new": b"12345"}))
    after = parse(made, "x")
    assert list(after.subgraphs[0].operators) == [before.subgraphs[0].operators[i] for i in order]
    told = [(v.name, v.dtype, v.shape, v.constant) for v in before.subgraphs[0].tensors]
    assert [(v.name, v.dtype, v.shape, v.constant) for v in after.subgraphs[0].tensors] == told
    held = [before.data[p.start : p.stop] for p in before.buffers]
    assert [made[p.start : p.stop] for p in after.buffers] == [*held, b"12345"]
    assert after.metadata == (*before.metadata, ("new", len(before.buffers)))
    assert after.root.text(ModelField.DESCRIPTION) == "made by a test"
    assert all(p.start % BUFFER_ALIGNMENT == 0 for p in after.buffers if p)


def test_an_entry_of_the_same_name_gives_way() -> None:
    before = parse(random_net(0, metadata=NOTES), "x")
    after = parse(rewritten(before, Changes(metadata={"note": b"bye"})), "x")
    assert [name for name, _ in after.metadata] == ["other", "note"]
    place = after.buffers[after.metadata[1][1]]
    assert after.data[place.start : place.stop] == b"bye"
    again = rewritten(after, Changes(metadata={"note": b"once more"}))
    assert [name for name, _ in parse(again, "x").metadata] == ["other", "note"]


def test_no_change_gives_the_same_program() -> None:
    before = parse(branching(), "x")
    after = parse(rewritten(before, Changes()), "x")
    assert after.subgraphs[0].operators == before.subgraphs[0].operators


def test_a_model_with_fields_of_a_later_schema_is_refused() -> None:
    root = {0: ("I", 3), 2: [{0: [], 4: "main"}], 4: [{}], 11: ("I", 1)}
    with pytest.raises(GraphError, match="more of its model than schema 3 knows"):
        rewritten(parse(flatbuffer(root, b"TFL3"), "x"), Changes())


def test_subgraphs_that_share_a_list_of_operators_are_refused() -> None:
    sub = Sub()
    x = sub.input((4,))
    sub.outputs.append(sub.op("RELU", [sub.op("ABS", [x], (4,))], (4,)))
    made = bytearray(tflite(sub, sub))
    first, second = (s.table for s in parse(bytes(made), "x").subgraphs)
    place, target = first.place(3), second.target(3)
    assert place is not None and target is not None
    made[place : place + 4] = (target - place).to_bytes(4, "little")
    with pytest.raises(GraphError, match="lie in one another"):
        rewritten(parse(bytes(made), "x"), Changes({0: [1, 0]}))
