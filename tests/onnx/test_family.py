"""Ranges of sizes: one plan for all of them, and what does not hold for all of them."""

from __future__ import annotations

import random
from typing import Any

import memplan_solvers  # noqa: F401  (its solvers)
import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.helper import make_node as node

import memplan
from memplan.base.errors import DimensionError, GraphError, OptionError
from memplan.ir.grid import Grid
from memplan.judge.sizing import at_sizes
from memplan.onnx.read import model_from_bytes
from tests.onnx_models import model, small_cnn, value, weight

INT = TensorProto.INT64


def load(proto: onnx.ModelProto, **dims: int | tuple[int, int]) -> memplan.Model:
    return model_from_bytes(proto.SerializeToString(), "net", ".", dims)


def op(loaded: memplan.Model, name: str) -> Any:
    return next(op for op in loaded.graph.ops if op.name == name)


def ints(name: str, *values: int) -> TensorProto:
    return weight(name, np.array(values, np.int64))


def transformer(layers: int = 1, heads: int = 2, width: int = 8, most: int = 64) -> onnx.ModelProto:
    """Decoder blocks over [batch, seq, width], shapes computed from Shape as exporters do, positions cut from a table."""
    rng = np.random.default_rng(1)
    nodes = [node("Shape", ["x"], ["dims"], name="dims"), node("Gather", ["dims", "zero"], ["batch"], name="batch"),
             node("Gather", ["dims", "one"], ["seq"], name="seq"), node("Slice", ["table", "zero", "seq", "zero"], ["where"], name="where"),
             node("Add", ["x", "where"], ["h0"], name="positions"),
             node("Concat", ["batch", "seq", "heads", "last"], ["split"], name="split", axis=0),
             node("Concat", ["batch", "seq", "last"], ["merge"], name="merge", axis=0)]  # fmt: skip
    weights = [weight("table", rng.standard_normal((most, width), np.float32)), ints("zero", 0), ints("one", 1),
               ints("heads", heads), ints("last", -1)]  # fmt: skip
    for k in range(layers):
        for part in "qkvo":
            weights.append(weight(f"w{part}{k}", rng.standard_normal((width, width), np.float32) / 4))
        for part in "qkv":
            nodes += [node("MatMul", [f"h{k}", f"w{part}{k}"], [f"{part}{k}"], name=f"{part}{k}"),
                      node("Reshape", [f"{part}{k}", "split"], [f"{part}s{k}"], name=f"{part}s{k}"),
                      node("Transpose", [f"{part}s{k}"], [f"{part}t{k}"], name=f"{part}t{k}",
                           perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3])]  # fmt: skip
        nodes += [node("MatMul", [f"qt{k}", f"kt{k}"], [f"s{k}"], name=f"s{k}"),
                  node("Softmax", [f"s{k}"], [f"p{k}"], name=f"p{k}"),
                  node("MatMul", [f"p{k}", f"vt{k}"], [f"a{k}"], name=f"a{k}"),
                  node("Transpose", [f"a{k}"], [f"at{k}"], name=f"at{k}", perm=[0, 2, 1, 3]),
                  node("Reshape", [f"at{k}", "merge"], [f"am{k}"], name=f"am{k}"),
                  node("MatMul", [f"am{k}", f"wo{k}"], [f"o{k}"], name=f"o{k}"),
                  node("Add", [f"o{k}", f"h{k}"], [f"r{k}"], name=f"r{k}"),
                  node("Relu", [f"r{k}"], [f"h{k + 1}"], name=f"h{k + 1}")]  # fmt: skip
    return model(
        nodes, [value("x", ["batch", "seq", width])], [value(f"h{layers}", ["batch", "seq", width])], weights
    )


@pytest.mark.slow(reason="runs a net at many sizes")
def test_a_transformer_planned_for_a_range_runs_at_every_size_in_it() -> None:
    loaded = load(transformer(), batch=(1, 3), seq=(1, 40))
    assert loaded.dims == {"batch": (1, 3), "seq": (1, 40)}
    assert loaded.graph.tensor["s0"].shape == (3, 2, 40, 40)
    plan = memplan.plan(loaded, scratchpad="MH", inplace=True, solver="greedy", time_limit_s=20)
    assert plan.options.to_dict()["dims"] == {"batch": [1, 3], "seq": [1, 40]}
    assert memplan.check(loaded, plan) == [] and plan.inplace
    rng = random.Random(0)
    for batch, seq in [(1, 1), (3, 40), *((rng.randint(1, 3), rng.randint(1, 40)) for _ in range(4))]:
        report = memplan.run(loaded, plan, dims={"batch": batch, "seq": seq})
        assert report.identical and max(report.peaks.values()) <= plan.metrics.peak
        member, smaller = at_sizes(loaded, plan, {"batch": batch, "seq": seq})
        assert memplan.check(member, smaller) == [] and smaller.schedule == plan.schedule
        places = [(r.tensor, r.start, r.stop, r.offset) for r in plan.residencies]
        assert [(r.tensor, r.start, r.stop, r.offset) for r in smaller.residencies] == places
        assert member.graph.tensor["s0"].shape == (batch, 2, seq, seq)


@pytest.mark.slow(reason="asks for every size")
def test_every_size_within_is_the_same_program_with_smaller_tensors() -> None:
    """The twin: the model loaded at each single size."""
    proto = transformer()
    loaded = load(proto, batch=1, seq=(1, 12))
    for seq in range(1, 13):
        assert loaded.at is not None
        alone, member = load(proto, batch=1, seq=seq), loaded.at({"seq": seq})
        assert [t.shape for t in alone.graph.tensors] == [t.shape for t in member.graph.tensors]
        for wide, single in zip(loaded.graph.ops, alone.graph.ops, strict=True):
            assert set(wide.overwrites) <= set(single.overwrites) and set(wide.joins) <= set(single.joins)


def test_a_batch_may_have_a_range_by_name_or_place() -> None:
    by_name, by_place = load(small_cnn("N"), N=(1, 8)), load(small_cnn("N"), **{"x:0": (1, 8)})
    assert by_name.graph == by_place.graph and by_place.dims == {"N": (1, 8)}
    plan = memplan.plan(by_name, scratchpad="MR", solver="greedy")
    for size in (1, 5, 8):
        assert memplan.run(by_name, plan, dims={"N": size}).identical
    assert memplan.run(by_name, plan).identical  # at the upper end


def test_sizes_outside_of_the_range_are_refused() -> None:
    loaded = load(small_cnn("N"), N=(2, 8))
    plan = memplan.plan(loaded, scratchpad="MR", solver="greedy")
    for size in (1, 9):
        with pytest.raises(OptionError, match=f"dimension 'N' = {size} lies outside of 2..8"):
            memplan.run(loaded, plan, dims={"N": size})
    with pytest.raises(DimensionError, match="dimension 'M' has no range of sizes here"):
        memplan.run(loaded, plan, dims={"M": 3})
    single = load(small_cnn("N"), N=8)
    with pytest.raises(DimensionError, match="dimension 'N' has no range of sizes here"):
        memplan.run(single, memplan.plan(single, solver="greedy"), dims={"N": 3})
    with pytest.raises(OptionError, match="a range is a pair of its least and its largest size"):
        load(small_cnn("N"), N=(8, 2))
    with pytest.raises(OptionError, match="of which at most 16,384 are looked at"):
        load(small_cnn("N"), N=(1, 20000))


LENGTH = [node("Shape", ["x"], ["dims"], name="dims"), node("Sub", ["full", "dims"], ["rest"], name="rest")]


@pytest.mark.slow(reason="reads many models")
def test_a_tensor_that_grows_as_the_size_shrinks_is_refused_by_name() -> None:
    fill = [
        *LENGTH,
        node("ConstantOfShape", ["rest"], ["fill"], name="fill"),
        node("Concat", ["x", "fill"], ["y"], axis=0),
    ]
    padded = model(fill, [value("x", ["seq"])], [value("y", None)], [ints("full", 16)])
    with pytest.raises(
        GraphError,
        match=r"'fill' of op 'fill' \(ConstantOfShape\) grows.* 1 elements at seq=15, and 0 elements at",
    ):
        load(padded, seq=(1, 16))
    assert load(padded, seq=9).graph.tensor["fill"].shape == (7,)  # the way out
    cut = [node("Shape", ["x"], ["dims"]), node("Slice", ["t", "dims", "full"], ["y"], name="cut")]
    for start in (1, 4):
        with pytest.raises(GraphError, match=r"tensor 'y' of op 'cut' \(Slice\) grows"):
            load(
                model(cut, [value("x", ["seq"]), value("t", [16])], [value("y", None)], [ints("full", 16)]),
                seq=(start, 16),
            )
    tiled = [*LENGTH, node("Tile", ["t", "rest"], ["y"], name="tiled")]
    with pytest.raises(GraphError, match=r"tensor 'y' of op 'tiled' \(Tile\) grows"):
        load(
            model(tiled, [value("x", ["seq"]), value("t", [3])], [value("y", None)], [ints("full", 16)]),
            seq=(1, 16),
        )


@pytest.mark.slow(reason="starts programs that measure")
def test_padding_to_a_fixed_size_grows_nothing() -> None:
    pads = [
        *LENGTH,
        node("Concat", ["zero", "rest"], ["pads"], axis=0),
        node("Pad", ["x", "pads"], ["y"], name="pad"),
    ]
    loaded = load(
        model(pads, [value("x", ["seq"])], [value("y", None)], [ints("full", 16), ints("zero", 0)]),
        seq=(1, 16),
    )
    plan = memplan.plan(loaded, solver="greedy")
    assert loaded.graph.tensor["y"].shape == (16,)
    assert all(memplan.run(loaded, plan, dims={"seq": n}).identical for n in (1, 7, 16))


@pytest.mark.slow(reason="reads many models")
def test_a_size_that_falls_and_rises_again_is_refused() -> None:
    """Padding to a multiple of 4: the padding itself is largest just above a multiple."""
    wave = [node("Shape", ["x"], ["dims"]), node("Neg", ["dims"], ["minus"]), node("Mod", ["minus", "four"], ["rest"]),
            node("ConstantOfShape", ["rest"], ["fill"], name="fill"), node("Concat", ["x", "fill"], ["y"], axis=0)]  # fmt: skip
    proto = model(wave, [value("x", ["seq"])], [value("y", None)], [ints("four", 4)])
    with pytest.raises(GraphError, match="tensor 'fill' of op 'fill'"):
        load(proto, seq=(1, 16))


def test_what_cannot_be_told_throughout_is_refused() -> None:
    squeezed = model([node("Squeeze", ["x"], ["y"], name="s")], [value("x", ["N", 4])], [value("y", None)])
    with pytest.raises(GraphError, match="not proved that tensor 'y' of op 's'"):
        load(squeezed, N=(1, 8))
    assert load(squeezed, N=(2, 8)).graph.tensor["y"].shape == (8, 4)
    clash = model(
        [node("Add", ["x", "c"], ["y"], name="a")],
        [value("x", ["N", 4]), value("c", [8, 4])],
        [value("y", None)],
    )
    with pytest.raises(GraphError, match="not proved that tensor 'y' of op 'a'"):
        load(clash, N=(1, 8))  # sizes between 1 and 8 fit nothing


def test_overwriting_that_holds_at_the_upper_end_alone_is_left_out() -> None:
    broadcast = model([node("Add", ["r", "c"], ["y"], name="a"), node("Relu", ["x"], ["r"], name="r")][::-1],
                      [value("x", ["N", 4]), value("c", [2, 4])], [value("y", None)])  # fmt: skip
    assert op(load(broadcast, N=2), "a").overwrites == (("y", "r"), ("y", "c"))
    assert op(load(broadcast, N=(1, 2)), "a").overwrites == (("y", "c"),)


def test_joins_whose_parts_begin_elsewhere_at_other_sizes_are_left_out() -> None:
    def joined(axis: int, x: list[Any], c: list[Any], order: list[str], **dims: Any) -> Any:
        nodes = [node("Relu", ["x"], ["r"], name="r"), node("Relu", ["c"], ["q"], name="q"),
                 node("Concat", order, ["y"], name="cat", axis=axis)]  # fmt: skip
        return op(load(model(nodes, [value("x", x), value("c", c)], [value("y", None)]), **dims), "cat").joins

    assert joined(0, ["N", 4], [3, 4], ["r", "q"], N=5) == (("r", 0), ("q", 80))
    assert joined(0, ["N", 4], [3, 4], ["r", "q"], N=(1, 5)) == ()
    assert joined(0, ["N", 4], [3, 4], ["q", "r"], N=(1, 5)) == (("q", 0), ("r", 48))
    assert joined(1, ["N", 4], ["N", 4], ["q", "r"], N=1) == (("q", 0), ("r", 16))
    assert (
        joined(1, ["N", 4], ["N", 4], ["q", "r"], N=(1, 2)) == ()
    )  # the outer axis is longer than 1 but at 1


def test_a_workspace_that_a_function_counts_is_refused_and_one_by_factors_is_not(monkeypatch: Any) -> None:
    monkeypatch.setattr("memplan.ir.declarations._DECLARED", {})
    memplan.declare_op("Gemm", workspace={"output_bytes": 2})
    loaded = load(small_cnn("N"), N=(1, 8))
    assert loaded.at is not None
    spaces = [model.graph.tensor["gemm.workspace"].nbytes for model in (loaded, loaded.at({"N": 2}))]
    assert spaces == [320, 80]
    memplan.declare_op("Gemm", workspace=lambda inputs, outputs: 64 // outputs[0].nbytes)
    with pytest.raises(GraphError, match="the workspace of 'Gemm' is declared by a function"):
        load(small_cnn("N"), N=(1, 8))
    assert load(small_cnn("N"), N=8).graph.ops


def test_control_flow_over_sizes_that_vary_is_refused_and_beside_them_is_not() -> None:
    branch = onnx.helper.make_graph([node("Neg", ["x"], ["n"])], "b", [], [value("n", None)])
    fixed = onnx.helper.make_graph([node("Neg", ["c"], ["n"])], "b", [], [value("n", None)])
    for body, name in ((branch, "x"), (fixed, "c")):
        nodes = [
            node("If", ["flag"], ["y"], name="if", then_branch=body, else_branch=body),
            node("Relu", ["x"], ["z"]),
        ]
        inputs = [value("flag", [], TensorProto.BOOL), value("x", ["N", 4]), value("c", [2, 4])]
        proto = model(nodes, inputs, [value("y", None), value("z", None)])
        if name == "x":
            with pytest.raises(GraphError, match="tensor 'y' of op 'if'"):
                load(proto, N=(1, 8))
        else:
            assert load(proto, N=(1, 8)).graph.tensor["y"].shape == (2, 4)


def test_a_grid_holds_every_combination_and_finds_where_a_column_falls() -> None:
    grid = Grid({"a": (1, 3), "b": (2, 4)})
    assert [(int(a), int(b)) for a, b in zip(grid.columns["a"], grid.columns["b"], strict=True)] == [
        (a, b) for a in (1, 2, 3) for b in (2, 3, 4)
    ]
    assert grid.fall(grid.columns["a"] * grid.columns["b"]) is None
    assert grid.fall(grid.columns["a"] - grid.columns["b"]) == (7, 8)
    assert grid.words(7) == "a=3, b=3"
