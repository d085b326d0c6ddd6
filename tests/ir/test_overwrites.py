"""No op is planned over bytes that it still reads in another way, and if one were, plan, check and run would tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

import memplan
from memplan import Model, Plan
from memplan.base.errors import ExecutionError, GraphError, InvalidPlanError, OptionError
from memplan.ir import validity
from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.onnx.read import model_from_proto
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.registry import parse_spec

IMAGE = torch.rand(1, 4, 8, 8)


def transposed_sum(x: Tensor) -> Tensor:
    a = torch.relu(x)
    return (a + a.t()) * 2


def broadcast_slice(x: Tensor) -> Tensor:
    a = torch.relu(x)
    return (a * a[1]) * 2


def channels_last_beside_contiguous(x: Tensor) -> Tensor:
    a = torch.relu(x).to(memory_format=torch.channels_last)
    b = torch.sin(x)
    return (a + b) * 2


def shifted_rows(x: Tensor) -> Tensor:
    a = torch.relu(x)
    return torch.slice_scatter(a, a[0:7], 0, 1, 8) * 2


def rows_put_elsewhere(x: Tensor) -> Tensor:
    a = torch.relu(x)
    return torch.ops.aten.index_put(a, [torch.arange(1, 8)], a[0:7]) * 2


def updated_by_its_transpose(cache: Tensor) -> Tensor:
    cache.copy_(cache + cache.t())
    return cache * 2


SQUARE = torch.rand(8, 8) - 0.2
CASES: list[tuple[Callable[[Tensor], Tensor], Tensor, str, str]] = [
    (transposed_sum, SQUARE, "aten.add.Tensor", "relu"),
    (broadcast_slice, SQUARE, "aten.mul.Tensor", "relu"),
    (channels_last_beside_contiguous, IMAGE, "aten.add.Tensor", "sin"),
    (shifted_rows, SQUARE, "aten.slice_scatter.default", "relu"),
    (rows_put_elsewhere, SQUARE, "aten.index_put.default", "relu"),
    (updated_by_its_transpose, SQUARE, "aten.add.Tensor", "cache_1"),
]


def traced(f: Callable[[Tensor], Tensor], x: Tensor) -> Model:
    return memplan.from_fx(make_fx(f)(x.clone()), [x.clone()])


def planted(model: Model, kind: str, operand: str) -> Model:
    """The model with a claim that its first op of this kind may write over the operand."""
    i, op = next((i, op) for i, op in enumerate(model.graph.ops) if op.kind == kind)
    claimed = replace(op, overwrites=((op.outputs[0], operand),))
    ops = (*model.graph.ops[:i], claimed, *model.graph.ops[i + 1 :])
    return replace(model, graph=replace(model.graph, ops=ops))


def unchecked(model: Model, **options: Any) -> Plan:
    problem = make_problem(model, objective="peak", alignment=64, **options)
    return parse_spec("greedy").solve(problem, Limits(5.0))


@pytest.mark.parametrize("f, x, kind, operand", CASES, ids=[case[0].__name__ for case in CASES])
def test_wrong_pairs_are_never_made_and_always_found_out(
    f: Callable[[Tensor], Tensor], x: Tensor, kind: str, operand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = traced(f, x)
    options = {"inplace": True, "donate": "updated"}
    op = next(op for op in model.graph.ops if op.kind == kind)
    assert (op.outputs[0], operand) not in op.overwrites
    plan = memplan.plan(model, objective="peak", solver="greedy", alignment=64, **options)
    assert memplan.check(model, plan) == [] and memplan.run(model, plan).identical
    assert plan.overwritten.get(op.outputs[0]) != operand

    with pytest.raises(GraphError, match=f"cannot write '{op.outputs[0]}' over '{operand}'"):
        planted(model, kind, operand)
    with monkeypatch.context() as patch:
        patch.setattr(validity, "overwriting_fault", lambda *_: "")
        wrong = planted(model, kind, operand)
    with pytest.raises(InvalidPlanError, match="inplace"):
        memplan.plan(wrong, objective="peak", solver="greedy", alignment=64, **options)
    bad = unchecked(wrong, **options)
    assert bad.overwritten[op.outputs[0]] == operand
    assert any(v.rule == "inplace" for v in memplan.check(wrong, bad))
    try:
        assert not memplan.run(wrong, bad).identical
    except ExecutionError:
        pass  # torch itself refuses such operands


def test_sound_pairs_are_found_whatever_the_layout() -> None:
    def f(x: Tensor) -> Tensor:
        a = torch.sin(x.to(memory_format=torch.channels_last))
        b = torch.cos(a)
        c = torch.sigmoid(b.permute(0, 2, 3, 1))
        return torch.addcmul(c, c, c)

    model = traced(f, IMAGE)
    pairs = {op.name: op.overwrites for op in model.graph.ops if op.overwrites}
    assert pairs["cos"] == (("cos", "sin"),)
    assert pairs["addcmul"] == (("addcmul", "sigmoid"),)
    plan = memplan.plan(model, objective="peak", inplace=True, solver="greedy", alignment=64)
    assert plan.inplace and memplan.run(model, plan).identical


def test_axes_of_size_one_do_not_count() -> None:
    def f(x: Tensor) -> Tensor:
        a = torch.sin(torch.empty_strided((4, 1, 4), (4, 99, 1)).copy_(x))
        return torch.relu(a) * 2

    model = traced(f, torch.rand(4, 1, 4))
    relu = next(op for op in model.graph.ops if op.kind == "aten.relu.default")
    assert relu.overwrites == (("relu", relu.inputs[0]),)


@pytest.mark.parametrize("kind", ["Add", "Mul", "Sub", "Max"])
def test_onnx_operands_in_another_shape_of_the_same_bytes(kind: str) -> None:
    """A reshaped view of the operand is read in another order than it is written."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "relu"),
        helper.make_node("Reshape", ["a", "shape"], ["b"], "reshape"),
        helper.make_node(kind, ["a", "b"], ["y"], "op"),
        helper.make_node("Neg", ["y"], ["z"], "neg"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [value("x", TensorProto.FLOAT, [1, 16])],
        [value("z", TensorProto.FLOAT, None)],
        [helper.make_tensor("shape", TensorProto.INT64, [2], [16, 1])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model = model_from_proto(onnx.shape_inference.infer_shapes(proto), "net", ".", {})
    op = next(op for op in model.graph.ops if op.name == "op")
    assert op.overwrites == ()
    plan = memplan.plan(model, objective="peak", inplace=True)
    assert "y" not in plan.overwritten and memplan.run(model, plan).identical


def returned_input() -> Model:
    """Outputs: an input that an op reads too, one that nobody reads, a view of a third, and a value."""
    value = helper.make_tensor_value_info
    shapes = {name: [2, 8] for name in ("x", "idle", "seen", "y")} | {"flat": [16]}
    nodes = [
        helper.make_node("Reshape", ["seen", "shape"], ["flat"], "flatten"),
        helper.make_node("Relu", ["x"], ["a"], "relu"),
        helper.make_node("Sin", ["a"], ["y"], "sin"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [value(name, TensorProto.FLOAT, shapes[name]) for name in ("x", "idle", "seen")],
        [value(name, TensorProto.FLOAT, shapes[name]) for name in ("x", "idle", "flat", "y")],
        [helper.make_tensor("shape", TensorProto.INT64, [1], [16])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    return model_from_proto(proto, "net", ".", {})


@pytest.mark.parametrize("through_json", [False, True])
def test_a_returned_input_lives_to_the_end(through_json: bool) -> None:
    model = returned_input()
    if through_json:
        from memplan.io.graph_json import graph_from_dict

        assert graph_from_dict(model.graph.to_dict(), "net") == model.graph
    assert model.graph.outputs == ("x", "idle", "flat", "y")
    for inplace in (False, True):
        plan = memplan.plan(model, objective="peak", io="resident", inplace=inplace)
        assert (plan.status, plan.value) == (Status.OPTIMAL, (5 - inplace) * 64)
        spans = {r.tensor: (r.start, r.stop) for r in plan.residencies}
        assert spans["x"] == spans["idle"] == spans["seen"] == (0, 3)
        report = memplan.run(
            model, plan, {n: np.random.rand(2, 8).astype("f4") for n in ("x", "idle", "seen")}
        )
        assert report.identical and [o.name for o in report.outputs] == ["x", "idle", "flat", "y"]
    for name in ("x", "idle", "seen"):
        with pytest.raises(OptionError, match=f"'{name}' cannot be donated: 'net' returns it"):
            memplan.plan(model, donate=[name])
    short = replace(
        plan, residencies=tuple(r._replace(stop=2) if r.tensor == "x" else r for r in plan.residencies)
    )
    assert any(v.rule == "io" for v in memplan.check(model, short))


def test_torch_compares_what_it_returns_of_its_inputs() -> None:
    def f(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x, y.view(16), torch.relu(x)

    x, y = torch.rand(4, 4), torch.rand(4, 4)
    model = memplan.from_fx(make_fx(f)(x, y), [x, y])
    assert len(model.graph.outputs) == 3
    plan = memplan.plan(model, objective="peak", io="resident", inplace=True)
    assert plan.value == 3 * 64 and len(memplan.run(model, plan).outputs) == 3
    with pytest.raises(OptionError, match="returns it"):
        memplan.plan(model, donate=[model.graph.outputs[0]])


def test_a_graph_refuses_what_its_tensors_do_not_bear_out() -> None:
    t = memplan.Tensor
    x, a = t("x", 8, "input"), t("a", 8)
    with pytest.raises(GraphError, match="differ in bytes"):
        Graph("g", (x, t("b", 4)), (Op("p", "F", ("x",), ("b",), overwrites=(("b", "x"),)),))
    with pytest.raises(GraphError, match="is a constant"):
        constant = t("x", 8, "constant")
        Graph("g", (constant, a), (Op("p", "F", ("x",), ("a",), overwrites=(("a", "x"),)),))
    with pytest.raises(GraphError, match="nobody reads a workspace"):
        ops = (Op("p", "F", ("x",), ("a", "w"), workspace="w"), Op("q", "F", ("w",), ("b",)))
        Graph("g", (x, a, t("w", 3, "workspace"), t("b", 8)), ops)
    with pytest.raises(GraphError, match="names the workspace None"):
        Graph("g", (x, a, t("w", 3, "workspace")), (Op("p", "F", ("x",), ("a", "w")),))
    with pytest.raises(GraphError, match="cannot be an output"):
        Graph("g", (x, a), (Op("p", "F", ("x",), ("a",)),), ("c",))
    with pytest.raises(GraphError, match="only the outputs of views have a place"):
        Graph("g", (x, t("a", 8, place=("x", 0))), (Op("p", "F", ("x",), ("a",)),))


def test_a_workspace_cannot_be_pinned_to_host() -> None:
    tensors = (memplan.Tensor("x", 8, "input"), memplan.Tensor("y", 8), memplan.Tensor("w", 3, "workspace"))
    graph = Graph("g", tensors, (Op("p", "F", ("x",), ("y", "w"), workspace="w"),), ("y",))
    with pytest.raises(OptionError, match="workspace 'w' cannot be pinned to host"):
        memplan.plan(graph, "ethos-u65", objective="peak", pins={"w": "host"})
    assert memplan.plan(graph, objective="peak").value == 19


def test_reports_tell_outputs_and_workspaces_apart() -> None:
    from memplan.views.boxes import scene_of
    from memplan.views.report_data import graph_facts

    tensors = (memplan.Tensor("x", 8, "input"), memplan.Tensor("y", 8), memplan.Tensor("w", 3, "workspace"))
    graph = Graph("g", tensors, (Op("p", "F", ("x",), ("y", "w"), workspace="w"),), ("y",))
    assert [graph_facts(graph)["tensors"]["name"][t] for t in graph_facts(graph)["outputs"]] == ["y"]
    scene = scene_of(graph, memplan.plan(graph))
    assert {box.tensor: scene.role(box.tensor) for box in scene.boxes} == {
        "x": "input",
        "y": "output",
        "w": "workspace",
    }
