"""What ONNX nodes join, which must not be repeated, and what a user declares of a domain of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

import memplan
from memplan.base.errors import GraphError
from memplan.ir import declarations
from memplan.ir.parts import Op
from memplan.onnx.read import model_from_proto
from tests import onnx_models
from tests.cli import program

node, value = helper.make_node, onnx_models.value


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declarations, "_DECLARED", {})


def imported(proto: Any) -> dict[str, Op]:
    return {op.name: op for op in model_from_proto(proto, "net", ".", {}).graph.ops}


@pytest.mark.parametrize(
    ("shapes", "axis", "joins"),
    [
        (([2, 3], [4, 3]), 0, True),
        (([2, 3], [2, 3]), 1, False),
        (([1, 3], [1, 5]), 1, True),
        (([1, 3], [1, 5]), -1, True),
        (([1, 2, 3, 3], [1, 4, 3, 3]), 1, True),
        (([2, 2, 3, 3], [2, 4, 3, 3]), -3, False),
    ],
)
def test_a_concat_joins_along_its_outermost_axis(
    shapes: tuple[list[int], ...], axis: int, joins: bool
) -> None:
    nodes = [
        node("Relu", ["x0"], ["a"], name="a"),
        node("Relu", ["x1"], ["b"], name="b"),
        node("Concat", ["a", "b"], ["y"], name="cat", axis=axis),
    ]
    inputs = [value(f"x{i}", shape) for i, shape in enumerate(shapes)]
    graph = model_from_proto(onnx_models.model(nodes, inputs, [value("y", None)]), "net", ".", {}).graph
    assert graph.ops[2].joins == ((("a", 0), ("b", graph.tensor["a"].nbytes)) if joins else ())


def test_what_lies_elsewhere_or_is_there_twice_is_not_joined() -> None:
    nodes = [
        node("Flatten", ["x"], ["v"], name="view", axis=0),
        node("Relu", ["v"], ["a"], name="relu"),
        node("Concat", ["a", "v"], ["y"], name="of a view", axis=1),
        node("Concat", ["a", "a"], ["z"], name="twice", axis=1),
        node("Concat", ["a", "u"], ["w"], name="of an input", axis=1),
    ]
    inputs, outputs = [value("x", [2, 3]), value("u", [1, 4])], [value(name, None) for name in "yzw"]
    ops = imported(onnx_models.model(nodes, inputs, outputs))
    assert ops["of a view"].joins == ops["twice"].joins == ()
    assert ops["of an input"].joins == (("a", 0), ("u", 24))  # whether a plan may join it is the plan's rule


def test_random_nodes_and_those_of_unknown_cost_are_executed_once() -> None:
    branch = helper.make_graph([node("RandomNormal", [], ["r"], shape=[4])], "then", [], [value("r", [4])])
    other = helper.make_graph([node("Sin", ["x"], ["s"])], "else", [], [value("s", [4])])
    true = onnx_models.weight("training", True)
    nodes = [
        node("RandomNormalLike", ["x"], ["n"], name="random"),
        node("Bernoulli", ["x"], ["c"], name="coin"),
        node("Dropout", ["x", "", "training"], ["d"], name="training dropout"),
        node("Dropout", ["x"], ["e"], name="dropout"),
        node("If", ["q"], ["f"], name="branch", then_branch=branch, else_branch=other),
        node("Unheard", ["x"], ["g"], name="custom", domain="acme"),
        node("Relu", ["x"], ["h"], name="relu"),
    ]
    inputs = [value("x", [4]), value("q", [], onnx.TensorProto.BOOL)]
    proto = onnx_models.model(nodes, inputs, [value(name, [4]) for name in "ncdefgh"], [true])
    proto.opset_import.append(helper.make_opsetid("acme", 1))
    once = {name: op.once for name, op in imported(proto).items()}
    assert once == {
        "random": True, "coin": True, "training dropout": True, "dropout": False, "branch": True,
        "custom": True, "relu": False,
    }  # fmt: skip


def test_a_node_that_is_called_like_another_keeps_its_name_as_its_source() -> None:
    nodes = [
        node("Relu", ["x"], ["a"], name="layer/act"),
        node("Relu", ["a"], ["b"], name="layer/act"),
        node("Relu", ["b"], ["y"]),
    ]
    ops = imported(onnx_models.model(nodes, [value("x", [4])], [value("y", [4])]))
    assert {name: op.source for name, op in ops.items()} == {
        "layer/act": (), "Relu:b": ("layer/act",), "Relu:y": (),
    }  # fmt: skip


def custom(fused_bytes: int = 16) -> Any:
    """Two ops of a domain of their own, and a third that gives bytes another name."""
    nodes = [
        node("Relu", ["x"], ["a"], name="relu"),
        node("Fused", ["a", "", "x"], ["b"], name="fused", domain="acme"),
        node("Peek", ["b"], ["v"], name="peek", domain="acme"),
        node("Relu", ["v"], ["c"], name="act"),
        node("Pile", ["b", "c"], ["y"], name="pile", domain="acme"),
    ]
    types = [value("b", [fused_bytes // 4]), value("v", [4]), value("c", [4])]
    proto = onnx_models.model(nodes, [value("x", [4])], [value("y", [8])])
    proto.graph.value_info.extend(types)
    proto.opset_import.append(helper.make_opsetid("acme", 1))
    return proto


def declare() -> None:
    flops = {"output_elements": 3}
    memplan.declare_op("acme::Fused", overwrites=[0, 1, 2], workspace=lambda i, o: len(i) * 10, flops=flops)
    memplan.declare_op("acme::Peek", view=True)
    memplan.declare_op("acme::Pile", joins=True, flops=0)


def test_a_domain_of_ones_own_is_planned_as_declared() -> None:
    plain = model_from_proto(custom(), "net", ".", {})
    assert all(
        op.once and not (op.overwrites or op.joins or op.view) for op in plain.graph.ops if "::" in op.kind
    )
    declare()
    model = model_from_proto(custom(), "net", ".", {})
    ops = {op.name: op for op in model.graph.ops}
    assert ops["fused"].overwrites == (("b", "a"), ("b", "x")) and ops["fused"].flops == 12
    assert model.graph.tensor["fused.workspace"].nbytes == 20 and not ops["fused"].once
    assert model.graph.aliases == {"v": "b"} and model.graph.tensor["v"].place == ("b", 0)
    assert ops["pile"].joins == (("b", 0), ("c", 16))
    plan = memplan.plan(model, objective="peak", inplace=True, solver="peak")
    assert memplan.check(model, plan) == [] and plan.overwritten.get("b") == "a"
    assert (
        plan.value is not None
        and plan.value < (memplan.plan(plain, objective="peak", inplace=True).value or 0) + 20
    )


def test_a_view_larger_than_its_storage_is_refused_and_an_unsound_pair_left_out() -> None:
    declare()
    with pytest.raises(GraphError, match="view op 'peek' makes 'v' larger than its storage 'b'"):
        model_from_proto(custom(fused_bytes=8), "net", ".", {})
    memplan.declare_op("RandomNormal", view=True)
    source = onnx_models.model(
        [node("RandomNormal", [], ["y"], name="none", shape=[4])], [], [value("y", [4])]
    )
    with pytest.raises(GraphError, match="view op 'none' has no input to lie in"):
        imported(source)
    memplan.declare_op("acme::Peek")
    ops = imported(custom(fused_bytes=8))
    assert ops["fused"].overwrites == () and ops["pile"].joins == ()


def test_the_command_line_takes_declarations_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(custom().SerializeToString())
    (tmp_path / "ops.toml").write_text('[ops."acme::Fused"]\nworkspace = 1024\n')
    plan = ("plan", "net.onnx", "--objective", "peak", "--ops", "ops.toml", "--json", "--solver", "greedy")
    done = program.memplan(*plan, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["value"] == 1024 + 3 * 16
    check = ("check", "net.onnx", "net.plan.json")
    assert program.memplan(*check, "--ops", "ops.toml", cwd=tmp_path).returncode == 0
    (tmp_path / "ops.toml").write_text('[ops."acme::Fused"]\nworkspaces = 1024\n')
    wrong = program.memplan(*check, "--ops", "ops.toml", cwd=tmp_path)
    assert wrong.returncode == 2 and "did you mean 'workspace'" in wrong.stderr


@pytest.mark.slow(reason="compares in processes of their own")
def test_a_comparison_and_a_sweep_plan_with_what_is_declared(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(custom().SerializeToString())
    (tmp_path / "ops.toml").write_text('[ops."acme::Fused"]\nworkspace = 1024\n')
    options = ("net.onnx", "--ops", "ops.toml", "-o", "out")
    compared = program.memplan("compare", *options, "--solvers", "greedy", "--budgets", "MR", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    record = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert record["capacity"] == 1024 + 3 * 16  # an op's operands, its result and its workspace
    swept = program.memplan("sweep", *options, "--points", "2", "--json", cwd=tmp_path)
    assert swept.returncode == 0 and "1072" in swept.stdout
