"""Annotated models: same outputs in onnxruntime, and the plan comes back out of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import memplan
from memplan.base.errors import GraphError, MemplanError, PlanError
from memplan.ir.model import Model
from memplan.onnx.emit import annotated, carried_plan
from memplan.onnx.read import model_from_bytes
from memplan.problem.plan import Plan
from tests.feature_models import F32, FEATURES, load, proto
from tests.forced import STRICT, WIDE, forced_plan


def planned(model: Model, **options: Any) -> Plan:
    plan = memplan.plan(model, workers=1, scratchpad="MR", **options)
    assert plan.schedule, plan.reason
    return plan


def outputs(data: bytes, feed: dict[str, Any]) -> list[Any]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return list(ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feed))


def feed_for(data: bytes) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    dtypes = {
        "tensor(float)": np.float32,
        "tensor(int64)": np.int64,
        "tensor(int32)": np.int32,
        "tensor(bool)": np.bool_,
    }
    return {
        i.name: np.asarray(rng.random(i.shape) * 2 + 1).astype(dtypes[i.type]) for i in session.get_inputs()
    }


def props(item: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in item.metadata_props}


@pytest.mark.parametrize("feature", sorted(set(FEATURES) - {"quantised"}))
def test_same_outputs_after_saving_and_loading(feature: str, tmp_path: Path) -> None:
    source = FEATURES[feature]()
    model = load(source)
    data = annotated(model, planned(model))
    onnx.save(onnx.ModelProto.FromString(data), tmp_path / "net.memplan.onnx")
    saved = (tmp_path / "net.memplan.onnx").read_bytes()
    before, after = source.SerializeToString(), saved
    feed = feed_for(after)
    names = [o.name for o in source.graph.output]
    for name, a, b in zip(names, outputs(before, feed), outputs(after, feed), strict=True):
        assert a.tobytes() == b.tobytes(), name


@pytest.mark.parametrize("feature", FEATURES)
def test_check_and_run_read_the_plan_back(feature: str, tmp_path: Path) -> None:
    model = load(FEATURES[feature]())
    plan = planned(model)
    path = tmp_path / "renamed.onnx"
    path.write_bytes(annotated(model, plan))
    again = memplan.load(path)
    assert again.graph.sha256 == model.graph.sha256
    assert memplan.check(again, again.plan) == []
    assert memplan.run(again, again.plan).identical
    assert annotated(again, again.plan) == path.read_bytes()


def test_nodes_carry_steps_placements_and_moves() -> None:
    model = load(FEATURES["branches"]())
    plan = planned(model)
    result = onnx.ModelProto.FromString(annotated(model, plan))
    onnx.checker.check_model(result)
    assert [n.name for n in result.graph.node] == list(plan.schedule)
    steps = [props(n) for n in result.graph.node]
    assert [int(p["memplan.step"]) for p in steps] == list(range(len(plan.schedule)))
    first = next(r for r in plan.residencies if r.tensor == "s")
    holder = steps[first.start]["memplan.outputs"]
    assert holder == f"s:{first.offset}+{first.size}@[{first.start},{first.stop})"
    loads = sum(p.get("memplan.loads", "").count("@[") for p in steps)
    assert loads == sum(plan.is_load(m) for m in plan.moves)
    stores = sum(len(p["memplan.stores"].split("; ")) for p in steps if "memplan.stores" in p)
    assert stores == sum(not plan.is_load(m) for m in plan.moves)
    assert any("memplan.spilled" in p for p in steps) and plan.metrics.traffic
    assert "memplan.summary" in props(result.graph)
    assert props(result)["memplan.version"] == memplan.__version__


def test_views_and_inplace_pairs_are_marked() -> None:
    views = load(FEATURES["views"]())
    nodes = {
        n.name: props(n) for n in onnx.ModelProto.FromString(annotated(views, planned(views))).graph.node
    }
    assert nodes["Reshape:v"]["memplan.view_of"] == "x"
    branches = load(FEATURES["branches"]())
    plan = memplan.plan(branches, workers=1, inplace=True, objective="peak")
    result = onnx.ModelProto.FromString(annotated(branches, plan))
    marked = {props(n)["memplan.inplace"] for n in result.graph.node if "memplan.inplace" in props(n)}
    assert marked == {f"{a}={b}" for _, a, b in plan.inplace} and marked


def test_external_data_references_are_kept(tmp_path: Path) -> None:
    source = FEATURES["branches"]()
    path = tmp_path / "net.onnx"
    onnx.save(
        FEATURES["branches"](), path, save_as_external_data=True, location="net.bin", size_threshold=200
    )
    model = memplan.load(path)
    (written,) = memplan.emit(model, planned(model), ["onnx"], tmp_path)
    assert written.name == "net.memplan.onnx" and written.stat().st_size < 40_000
    bare = onnx.load(written, load_external_data=False)
    external = {t.name for t in bare.graph.initializer if t.data_location == t.EXTERNAL}
    assert external == {"w", "w0", "w1", "w2", "w3"}
    feed = feed_for(source.SerializeToString())
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    result = ort.InferenceSession(written, options, providers=["CPUExecutionProvider"]).run(None, feed)
    assert result[0].tobytes() == outputs(source.SerializeToString(), feed)[0].tobytes()


def test_a_graph_without_source_another_plan_and_no_plan_are_refused() -> None:
    model, other = load(FEATURES["chain"]()), load(FEATURES["views"]())
    plan = planned(model)
    with pytest.raises(MemplanError, match="no ONNX source"):
        annotated(Model(model.graph, "net"), plan)
    with pytest.raises(PlanError, match="another graph"):
        annotated(other, plan)
    nothing = memplan.plan(model, scratchpad=8)
    with pytest.raises(PlanError, match="bytes are missing"):
        annotated(model, nothing)


def test_a_graph_of_no_ops_is_annotated_and_executed(tmp_path: Path) -> None:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "none", [x], [x])), tmp_path / "none.onnx")
    model = memplan.load(tmp_path / "none.onnx")
    plan = memplan.plan(model)
    memplan.emit(model, plan, ["json", "onnx", "html", "svg", "trace"], tmp_path)
    carried = memplan.load(tmp_path / "none.memplan.onnx")
    assert carried.plan is not None and memplan.check(carried, carried.plan) == []
    assert memplan.run(model, plan).identical


def test_a_plain_model_carries_no_plan() -> None:
    assert carried_plan(FEATURES["chain"]()) is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": "memplan-plan", "version": 99}'])
def test_a_damaged_plan_is_refused(damage: str) -> None:
    model = load(FEATURES["chain"]())
    result = onnx.ModelProto.FromString(annotated(model, planned(model)))
    next(e for e in result.metadata_props if e.key == "memplan.plan").value = damage
    with pytest.raises(PlanError):
        model_from_bytes(result.SerializeToString(), "net", ".", {})


def test_nodes_lost_since_the_annotation_are_seen() -> None:
    nodes = [onnx.helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"]) for i in range(3)]
    model = load(proto(nodes, [("t0", F32, [3])], [("t3", F32, [3])]))
    result = onnx.ModelProto.FromString(annotated(model, planned(model)))
    del result.graph.node[1]
    with pytest.raises(GraphError, match="lost or gained nodes"):
        model_from_bytes(result.SerializeToString(), "net", ".", {})


def test_several_memories_and_joined_ops_are_noted_and_recomputation_is_refused() -> None:
    nodes = [
        onnx.helper.make_node("Tanh", ["x"], ["a"]),
        onnx.helper.make_node("Exp", ["x"], ["b"]),
        onnx.helper.make_node("Concat", ["a", "b"], ["y"], axis=0),
        onnx.helper.make_node("Mul", ["a", "b"], ["z"]),
    ]
    model = load(proto(nodes, [("x", F32, [4, 4])], [("y", F32, [8, 4]), ("z", F32, [4, 4])]))
    noted: list[str] = []
    for seed in range(4):
        plan = forced_plan(model, seed, STRICT, "host", "traffic", recompute=1)
        data = annotated(model, plan)
        carried = carried_plan(onnx.ModelProto.FromString(data))
        assert carried is not None and list(carried.target.memory) == list(WIDE.memory)
        assert (carried.residencies, carried.moves) == (plan.residencies, plan.moves)
        assert carried.joined == plan.joined
        for node in onnx.ModelProto.FromString(data).graph.node:
            assert (props(node).get("memplan.joined") == "true") == (node.op_type == "Concat")
            noted += [props(node).get("memplan.outputs", ""), props(node).get("memplan.loads", "")]
    assert any(text.endswith(" in far") for text in noted) and any(text.endswith(")") for text in noted)
    again = replace(plan, schedule=(*plan.schedule[:1], *plan.schedule))
    with pytest.raises(PlanError, match="executes 'Tanh:a' again"):
        annotated(model, again)
