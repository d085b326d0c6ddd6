"""The ONNX importer, feature by feature."""

from __future__ import annotations

import pickle
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import memplan
from memplan.base.errors import GraphError, OptionError
from memplan.onnx.read import model_from_bytes
from tests.onnx_models import external, model, small_cnn, value, weight

node = helper.make_node


def load(proto: onnx.ModelProto, **dims: int) -> memplan.Model:
    return model_from_bytes(proto.SerializeToString(), "net", ".", dims)


def kinds(graph: memplan.Graph) -> dict[str, str]:
    return {t.name: t.kind for t in graph.tensors}


def test_a_cnn() -> None:
    graph = load(small_cnn()).graph
    assert [op.name for op in graph.ops] == ["conv1", "relu1", "conv2", "add", "pool", "flat", "gemm"]
    assert kinds(graph)["x"] == "input" and kinds(graph)["w1"] == "constant" and graph.outputs == ("y",)
    assert graph.tensor["c1"].nbytes == 4 * 4 * 8 * 8
    assert graph.tensor["c1"].shape == (1, 4, 8, 8) and graph.tensor["c1"].dtype == "float32"
    assert graph.aliases == {"f": "p"}
    assert graph.ops[0].flops == 2 * 4 * 64 * 3 * 9
    assert graph.ops[6].flops == 2 * 64 * 5


def test_batch_defaults_to_one_and_says_so() -> None:
    loaded = load(small_cnn("N"))
    assert loaded.dims == {"N": 1}
    assert "'N'" in loaded.notes[0] and "--dim N=V" in loaded.notes[0]
    assert load(small_cnn("N"), N=3).graph.tensor["c1"].shape == (3, 4, 8, 8)
    assert model_from_bytes(small_cnn("N").SerializeToString(), "n", ".", {"x:0": 2}).graph.tensor[
        "y"
    ].shape == (2, 5)


def test_other_free_dimensions_need_a_size() -> None:
    proto = model([node("Relu", ["x"], ["y"])], [value("x", ["N", "length"])], [value("y", None)])
    with pytest.raises(GraphError, match=r"(?s)'length' of input 'x' \(axis 1\).*--dim length=V"):
        load(proto)
    with pytest.raises(OptionError, match="did you mean 'length'"):
        load(proto, lenght=4)
    assert load(proto, length=7).graph.tensor["y"].nbytes == 28


def test_data_propagation_and_folding() -> None:
    proto = model(
        [
            node("Shape", ["x"], ["s"]),
            node("Constant", [], ["k"], value=weight("", np.array([2], np.int64))),
            node("Mul", ["s", "k"], ["target"]),
            node("Expand", ["one", "target"], ["big"]),
            node("ConstantOfShape", ["dims"], ["w"]),
            node("MatMul", ["x", "w"], ["y"]),
        ],
        [value("x", [3])],
        [value("big", None), value("y", None)],
        [weight("one", np.ones(1, np.float32)), weight("dims", np.array([3, 4], np.int64))],
    )
    graph = load(proto).graph
    assert [op.kind for op in graph.ops] == ["Shape", "Mul", "Expand", "MatMul"]
    assert graph.tensor["big"].shape == (6,)
    assert graph.tensor["w"].kind == "constant" and graph.tensor["w"].nbytes == 48


def test_a_run_fills_what_inference_leaves_open() -> None:
    proto = model(
        [node("Mystery", ["x"], ["a"], domain="com.microsoft"), node("Relu", ["a"], ["y"])],
        [value("x", [2, 3])],
        [value("y", None)],
    )
    proto.graph.node[0].op_type = "QuickGelu"
    graph = load(proto).graph
    assert graph.tensor["a"].shape == (2, 3) == graph.tensor["y"].shape


def test_random_kinds_are_not_constants() -> None:
    proto = model(
        [node("RandomNormal", [], ["r"], shape=[2, 2]), node("Add", ["r", "x"], ["y"])],
        [value("x", [2, 2])],
        [value("y", None)],
    )
    assert kinds(load(proto).graph)["r"] == "activation"


def test_control_flow_reads_what_its_bodies_capture() -> None:
    then = helper.make_graph([node("Add", ["x", "far"], ["t"])], "then", [], [value("t", [2])])
    other = helper.make_graph([node("Mul", ["x", "w"], ["e"])], "else", [], [value("e", [2])])
    proto = model(
        [
            node("Relu", ["x"], ["far"]),
            node("If", ["c"], ["y"], name="if", then_branch=then, else_branch=other),
        ],
        [value("x", [2]), value("c", [], TensorProto.BOOL)],
        [value("y", [2])],
        [weight("w", np.ones(2, np.float32))],
    )
    op = load(proto).graph.ops[1]
    assert set(op.inputs) == {"c", "x", "far", "w"} and op.outputs == ("y",)


def test_optional_operands_and_outputs() -> None:
    rng = np.random.default_rng(0)
    proto = model(
        [node("LSTM", ["x", "w", "r", "", "", "h0"], ["", "h", ""], hidden_size=3)],
        [value("x", [5, 1, 2]), value("h0", [1, 1, 3])],
        [value("h", None)],
        [
            weight("w", rng.standard_normal((1, 12, 2), np.float32)),
            weight("r", np.zeros((1, 12, 3), np.float32)),
        ],
    )
    op = load(proto).graph.ops[0]
    assert op.inputs == ("x", "w", "r", "h0") and op.outputs == ("h",)
    assert op.name == "LSTM:h"
    assert op.flops == 5 * (2 * 4 * 3 * (2 + 3) + 3 * 4 * 3)


@pytest.mark.parametrize(
    ("element", "count", "nbytes"),
    [(TensorProto.INT8, 5, 5), (TensorProto.INT4, 5, 3), (TensorProto.UINT4, 4, 2), (TensorProto.FLOAT16, 3, 6),
     (TensorProto.BFLOAT16, 3, 6), (TensorProto.BOOL, 3, 3), (TensorProto.INT64, 0, 0),
     (TensorProto.FLOAT8E4M3FN, 3, 3)],
)  # fmt: skip
def test_element_sizes(element: int, count: int, nbytes: int) -> None:
    proto = model(
        [node("Identity", ["x"], ["y"])],
        [value("x", [count], element)],
        [value("y", [count], element)],
        opset=21,
    )
    assert load(proto).graph.tensor["x"].nbytes == nbytes


def test_external_data_need_not_exist_but_must_not_lie_outside() -> None:
    def with_data_at(location: str) -> onnx.ModelProto:
        nodes = [node("MatMul", ["x", "w"], ["y"])]
        return model(nodes, [value("x", [2, 3])], [value("y", None)], [external("w", [3, 4], location)])

    assert load(with_data_at("missing.bin")).graph.tensor["w"].nbytes == 48
    for bad in ("../w.bin", "/etc/passwd", "a/../../w.bin", "", "C:\\w.bin", "..\\w.bin"):
        with pytest.raises(GraphError, match="outside the model's folder"):
            load(with_data_at(bad))


def test_what_has_no_fixed_size_is_refused_by_name() -> None:
    sequence = model(
        [node("SplitToSequence", ["x"], ["parts"]), node("SequenceAt", ["parts", "i"], ["y"])],
        [value("x", [4])],
        [value("y", None)],
        [weight("i", np.array(0, np.int64))],
    )
    with pytest.raises(GraphError, match="'parts' is a sequence"):
        load(sequence)
    words = model([node("Identity", ["x"], ["y"])], [value("x", [2], TensorProto.STRING)], [value("y", None)])
    with pytest.raises(GraphError, match="'x' holds strings"):
        load(words)
    unknown = model(
        [node("NoSuchOp", ["x"], ["hidden"]), node("Relu", ["hidden"], ["y"])],
        [value("x", [2])],
        [value("y", None)],
    )
    with pytest.raises(GraphError, match="'hidden' is unknown and the model does not run"):
        load(unknown)


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (
            lambda g: g.input[0].type.tensor_type.shape.dim[1].__setattr__("dim_value", -3),
            "size -3 on axis 1",
        ),
        (lambda g: g.node[1].output.__setitem__(0, "c1"), "written twice"),
        (lambda g: g.node[0].input.__setitem__(0, "nowhere"), "nothing produces 'nowhere'"),
        (lambda g: g.node[0].input.__setitem__(0, "s"), "cycle"),
        (lambda g: g.node[2].output.__setitem__(0, "x"), "input 'x' is written by node 'conv2'"),
        (lambda g: g.output[0].__setattr__("name", "never"), "nothing produces the output 'never'"),
        (lambda g: g.input[0].type.ClearField("value"), "'x' has no shape"),
    ],
)
def test_broken_graphs(breakage: object, message: str) -> None:
    proto = small_cnn()
    breakage(proto.graph)  # type: ignore[operator]
    with pytest.raises(GraphError, match=message):
        load(proto)


def test_sizes_that_overflow() -> None:
    proto = model([node("Relu", ["x"], ["y"])], [value("x", [2**40, 2**40])], [value("y", None)])
    with pytest.raises(GraphError, match="overflows"):
        load(proto)


def test_unreadable_files(tmp_path: Path) -> None:
    whole = small_cnn().SerializeToString()
    for name, content in (("empty", b""), ("cut", whole[: len(whole) // 2]), ("noise", b"\xff" * 99)):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(GraphError, match="hint"):
            memplan.load(path)
    with pytest.raises(GraphError, match="cannot read"):
        memplan.load(tmp_path / "absent.onnx")


def test_nodes_out_of_order_are_sorted() -> None:
    proto = small_cnn()
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(reversed(nodes))
    assert next(op.name for op in load(proto).graph.ops) == "conv1"


def test_unnamed_and_equally_named_nodes_get_names() -> None:
    proto = small_cnn()
    for n in proto.graph.node:
        n.name = "same"
    names = [op.name for op in load(proto).graph.ops]
    assert len(set(names)) == len(names)


@pytest.mark.slow(reason="reads many models")
def test_models_are_imported_from_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of memory that inference runs under is gone again when all are done."""
    infer = onnx.shape_inference.infer_shapes

    def slowly(*args: Any, **options: Any) -> Any:
        time.sleep(0.02)
        return infer(*args, **options)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", slowly)
    before, expected = resource.getrlimit(resource.RLIMIT_DATA), load(small_cnn()).graph
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: load(small_cnn()).graph, range(8))) == [expected] * 8
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_model_is_pickled_with_its_source_and_runs_afterwards() -> None:
    loaded = load(small_cnn())
    again = pickle.loads(pickle.dumps(loaded))
    assert again.graph == loaded.graph
    assert memplan.run(again, memplan.plan(again, solver="greedy")).identical


@pytest.mark.slow(reason="reads many models")
def test_light_models_of_the_onnx_package() -> None:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    found = {path.stem: memplan.load(path).graph for path in sorted(folder.glob("*.onnx"))}
    assert len(found) == 9
    flops = sum(op.flops or 0 for op in found["light_resnet50"].ops)
    assert flops == pytest.approx(2 * 4.1e9, rel=0.1)  # He et al. 2015: 3.8 to 4.1 billion multiply-adds
    assert found["light_vgg19"].tensor[found["light_vgg19"].ops[0].outputs[0]].nbytes == 64 * 224 * 224 * 4
