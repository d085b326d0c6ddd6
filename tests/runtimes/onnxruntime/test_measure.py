"""Plans measured by onnxruntime's own count: to the byte, in the plan's order, with the same outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnxruntime import InferenceSession

import memplan
from memplan.base.errors import GraphError, PlanError
from memplan.ir.model import Model
from memplan.library.load import load_model
from memplan.onnx.read import model_from_proto
from memplan.runtimes.onnxruntime import measure, optimized, session_options
from memplan.runtimes.onnxruntime.measure import compared
from tests.feature_models import FEATURES
from tests.onnx_models import external, model, small_cnn, value, weight
from tests.runtimes.onnxruntime.nets import LARGE, SMALL, branches, in_file_order, loaded, node, planned


def test_onnxruntime_obeys_a_plan() -> None:
    net = loaded(branches())
    plan = planned(net)
    assert (plan.runtime, plan.options.io, plan.options.inplace) == ("onnxruntime", "external", True)
    found = measure(net, plan)
    assert found.obeys and found.ordered and found.faults == found.notes == ()
    # a wide part at a time, beside the narrow ones that are done; then these and the concatenation, which is the caller's
    assert found.predicted == found.measured == LARGE + 3 * SMALL
    assert found.kept == "plan" and found.ways["file order, no reuse"] > found.measured and found.beside > 0
    assert list(found.ways) == [f"level {x}" for x in ("disable", "basic", "extended", "all")] + [
        "file order, no reuse"
    ]


def test_a_worse_order_needs_more_as_predicted_for_it() -> None:
    """The order is truly read: no offset is handed over, so nothing else tells the two apart."""
    net = loaded(branches())
    best, worse = (measure(net, plan) for plan in (planned(net), in_file_order(net)))
    assert worse.predicted == 3 * LARGE + SMALL > best.predicted
    assert worse.obeys and best.obeys and worse.different == best.different == 0
    assert worse.ways["file order, no reuse"] == worse.measured
    assert worse.kept == "own"  # by default onnxruntime walks from the outputs back, which is better here


def test_an_order_that_is_not_executed_is_a_fault() -> None:
    net = loaded(branches())
    plan = planned(net)
    swapped = [*plan.schedule[1:2], *plan.schedule[:1], *plan.schedule[2:]]
    faults, notes = compared(net.graph, plan, swapped)
    assert faults == (f"executes another node in place of '{plan.schedule[0]}'",) and not notes
    assert not replace(measure(net, plan), faults=faults).obeys


def test_what_a_kernel_needs_while_it_runs_is_not_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is freed when onnxruntime looks at what is in use."""
    monkeypatch.setattr("memplan.ir.declarations._DECLARED", {})
    memplan.declare_op("Conv", workspace=2**20)
    net = loaded(small_cnn())
    assert all(op.workspace is None for op in net.graph.ops) and measure(net, planned(net)).obeys
    assert any(op.workspace for op in model_from_proto(small_cnn(), "net", ".", {}).graph.ops)


def branching_on_sizes() -> ModelProto:
    """A branch that a run of 4 columns never takes reads their third axis, which they have not."""
    two = [node("Sin", ["x"], ["s"]), node("Exp", ["s"], ["t"])]
    taken = helper.make_graph(two, "taken", [], [value("t", None)])
    other = helper.make_graph([node("Squeeze", ["x", "third"], ["o"])], "other", [], [value("o", None)])
    nodes = [
        node("Equal", ["mode", "one"], ["is_one"], name="equal"),
        node("If", ["is_one"], ["chosen"], name="if", then_branch=taken, else_branch=other),
        node("Cos", ["chosen"], ["y"], name="cos"),
    ]
    weights = [weight("one", np.array(1)), weight("third", np.array([1]))]
    inputs = [value("x", ["rows", "columns"]), value("mode", [], TensorProto.INT64)]
    return model(nodes, inputs, [value("y", None)], weights)


def test_sizes_that_a_branch_never_taken_does_not_fit_are_left_open() -> None:
    """As it optimises, onnxruntime refuses the model at these sizes, and takes it without them."""
    net = model_from_proto(branching_on_sizes(), "net", ".", {"rows": 1, "columns": 4}, runtime="onnxruntime")
    with pytest.raises(Exception, match="InferenceError"):
        InferenceSession(net.source.SerializeToString(), providers=["CPUExecutionProvider"])
    found = measure(net, planned(net))
    assert found.obeys and found.at_most and len(found.ways) == 5


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_every_feature_is_predicted_or_said_not_to_be(feature: str) -> None:
    proto = FEATURES[feature]()
    net = loaded(proto)
    found = measure(net, planned(net))
    assert found.different == 0
    assert found.obeys or found.notes, str(found)  # what onnxruntime inserts around kernels that it lacks


def test_shape_and_size_are_hoisted_and_said_to_be() -> None:
    nodes = [
        node("Sin", ["x"], ["a"], name="a"),
        node("Sin", ["a"], ["b"], name="b"),
        node("Shape", ["a"], ["s"], name="shape"),
        node("Reshape", ["b", "s"], ["c"], name="reshape"),
        node("Sin", ["c"], ["y"], name="end"),
    ]
    net = loaded(model(nodes, [value("x", [64])], [value("y", [64])]))
    plan = planned(net, order="program")
    found = measure(net, plan)
    assert found.notes[0] == "Shape and Size are executed as soon as they can be: 'shape'"
    assert not found.faults and found.different == 0


def test_nodes_on_constants_alone_are_said_to_be_executed() -> None:
    nodes = [
        node("Sin", ["w"], ["v"], name="constant"),
        node("Add", ["x", "v"], ["a"], name="add"),
        node("Sin", ["a"], ["y"], name="end"),
    ]
    weights = [weight("w", np.ones(64, np.float32))]
    net = loaded(model(nodes, [value("x", [64])], [value("y", [64])], weights))
    found = measure(net, planned(net))
    assert not found.obeys and found.measured == found.predicted + 256
    assert found.ordered and "'constant'" in found.notes[0] and "--optimize basic" in found.faults[0]
    folded = optimized(net, "basic")
    assert measure(folded, planned(folded)).obeys


def test_what_onnxruntime_replaces_is_said_and_is_planned_once_it_is_written() -> None:
    nodes = [node("HardSwish", ["x"], ["a"], name="swish"), node("Sin", ["a"], ["y"], name="end")]
    net = loaded(model(nodes, [value("x", [64])], [value("y", [64])]))
    found = measure(net, planned(net))
    assert not found.obeys and "in place of 'swish'" in found.faults[0]
    inlined = optimized(net, "basic")
    assert measure(inlined, planned(inlined)).obeys


def test_the_runtimes_own_plan_is_kept_where_it_needs_less() -> None:
    """Fused with the convolution, the activation has no tensor of its own."""
    net = load_model("resnet8_int8", {}, runtime="onnxruntime")
    found = measure(net, planned(net))
    assert found.obeys and found.kept == "own" and "takes less" in str(found)
    assert found.notes[-1].endswith("rewrites the graph: plan that with --optimize extended")
    fused = optimized(net, "extended")
    found = measure(fused, planned(fused))
    assert found.obeys and found.kept == "plan"


@pytest.mark.slow(reason="executes many programs")
def test_a_plan_for_a_range_of_sizes_is_measured_at_its_upper_end() -> None:
    net = model_from_proto(small_cnn("N"), "net", ".", {"N": (1, 3)}, runtime="onnxruntime")
    plan = planned(net)
    found = measure(net, plan)
    assert found.obeys and found.measured == plan.metrics.live_peak
    fused = optimized(net)
    assert fused.graph.tensor["x"].shape == (3, 3, 8, 8) and measure(fused, planned(fused)).obeys


def test_who_is_not_planned_for_onnxruntime_is_refused() -> None:
    net = loaded(small_cnn())
    plan = planned(net)
    with pytest.raises(PlanError, match="made for no runtime"):
        session_options(replace(plan, runtime=None))
    with pytest.raises(PlanError, match="made for another graph"):
        measure(loaded(branches()), plan)
    with pytest.raises(GraphError, match="without an ONNX source"):
        measure(replace(net, source=None), plan)


def test_more_weights_than_a_file_holds_are_refused() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    net: Model = loaded(
        model(
            nodes,
            [value("x", [1, 2**15])],
            [value("y", [1, 2**15])],
            [external("w", (2**15, 2**15), "w.bin")],
        )
    )
    with pytest.raises(GraphError, match="4 GiB of weights"):
        measure(net, planned(net))
