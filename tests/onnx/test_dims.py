"""Sizes of free dimensions: what is told, what is taken for a batch, and what is refused."""

from __future__ import annotations

import pytest
from onnx import ModelProto, helper

from memplan.base.errors import DimensionError, GraphError, OptionError
from memplan.onnx.dims import fix_dims
from tests.onnx_models import model, value, weight


def proto(*shapes: list[int | str | None], output: list[int | str | None] | None = None) -> ModelProto:
    inputs = [value(f"x{k}", shape) for k, shape in enumerate(shapes)]
    return model([helper.make_node("Identity", ["x0"], ["y"])], inputs, [value("y", output)])


def sizes(made: ModelProto) -> list[list[int]]:
    return [[dim.dim_value for dim in x.type.tensor_type.shape.dim] for x in made.graph.input]


@pytest.mark.parametrize(
    "name", ["N", "batch", "batch_size", "num_batches", "input.batch", "unk__12", "anything"]
)
def test_a_free_first_axis_is_a_batch_of_one_and_said_to_be(name: str) -> None:
    made = proto([name, 3])
    chosen, (note,) = fix_dims(made.graph, {})
    assert chosen == {name: 1} and sizes(made) == [[1, 3]]
    assert (
        note == f"dimension '{name}' of input 'x0' was free and is taken as 1; change it with --dim {name}=V"
    )


@pytest.mark.parametrize("name", ["seq_len", "time", "H", "tokens", "past_sequence_length"])
def test_a_first_axis_whose_name_is_another_is_asked_for(name: str) -> None:
    with pytest.raises(
        GraphError, match=rf"'{name}' of input 'x0' \(axis 0\) is free\nhint: .*--dim {name}=V"
    ):
        fix_dims(proto([name, 3]).graph, {})


def test_another_axis_is_a_batch_by_its_name_alone() -> None:
    made = proto([3, "batch"])
    assert fix_dims(made.graph, {})[0] == {"batch": 1} and sizes(made) == [[3, 1]]
    with pytest.raises(GraphError, match=r"dimension 'x0:1' of input 'x0' \(axis 1\)"):
        fix_dims(proto([3, None]).graph, {})


def test_a_size_holds_for_every_axis_of_its_name_and_a_place_for_its_own() -> None:
    made = proto(["N", "T"], ["T", None], output=["N", "T"])
    chosen, notes = fix_dims(made.graph, {"N": 2, "x1:1": 5, "T": 7})
    assert sizes(made) == [[2, 7], [7, 5]] and notes == [] and chosen == {"N": 2, "x1:1": 5, "T": 7}
    assert [dim.dim_value for dim in made.graph.output[0].type.tensor_type.shape.dim] == [2, 7]
    made = proto([2, "T"], [2, "T"])
    assert fix_dims(made.graph, {"x0:1": 4})[0] == {"x0:1": 4, "T": 4} and sizes(made) == [[2, 4], [2, 4]]


def test_some_exporters_write_minus_one() -> None:
    made = proto([-1, 3], output=[-1, 3])
    assert fix_dims(made.graph, {"x0:0": 6})[0] == {"x0:0": 6} and sizes(made) == [[6, 3]]
    assert not made.graph.output[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    with pytest.raises(GraphError, match="size -2 on axis 1"):
        fix_dims(proto([1, -2]).graph, {})


def test_a_size_for_no_dimension_or_of_no_size_is_refused() -> None:
    with pytest.raises(DimensionError, match="no free dimension 'batsh'\nhint: did you mean 'batch'"):
        fix_dims(proto(["batch"]).graph, {"batsh": 1})
    for size in (-1, 2**63, True):
        with pytest.raises(OptionError, match="dimension 'N' = "):
            fix_dims(proto(["N"]).graph, {"N": size})


def test_what_has_no_shape_or_is_no_tensor_is_refused_and_weights_are_not_asked() -> None:
    with pytest.raises(GraphError, match="input 'x0' has no shape"):
        fix_dims(model([], [value("x0", None)], []).graph, {})
    sequence = helper.make_tensor_sequence_value_info("x0", 1, [2])
    with pytest.raises(GraphError, match="'x0' is a sequence, not a dense tensor"):
        fix_dims(model([], [sequence], []).graph, {})
    made = model([], [value("w", ["N"]), value("x0", [2])], [], [weight("w", [1.0])])
    assert fix_dims(made.graph, {}) == ({}, [])
