"""What bodies of control flow hold counts as scratch of their op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import memplan
from memplan.base.errors import GraphError
from memplan.onnx.read import model_from_bytes
from tests.onnx_models import model, value, weight

node = helper.make_node
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL
KIB = 1024


def load(proto: Any, **bounds: tuple[int, ...]) -> memplan.Model:
    return model_from_bytes(proto.SerializeToString(), "net", ".", {}, bounds)


def body(name: str, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: list[Any] = []) -> Any:  # noqa: B006
    return helper.make_graph(nodes, name, inputs, outputs, weights)


def workspaces(loaded: memplan.Model) -> dict[str, int]:
    """Bytes of the workspace of each op that has one."""
    graph = loaded.graph
    return {op.name: graph.tensor[op.workspace].nbytes for op in graph.ops if op.workspace}


def grown(prefix: str, rows: str, kind: str) -> Any:
    """A branch that expands x [1, 256] (a KiB) to as many rows as a captured constant says, and takes a maximum."""
    nodes = [
        node("Expand", ["x", rows], [f"{prefix}e"]),
        node(kind, [f"{prefix}e"], [f"{prefix}k"]),
        node("ReduceMax", [f"{prefix}k"], [f"{prefix}o"], axes=[0], keepdims=1),
    ]
    return body(prefix, nodes, [], [value(f"{prefix}o", None)])


def test_the_hungriest_branch_is_the_workspace_and_the_model_runs() -> None:
    choose = node("If", ["c"], ["z"], name="choose", then_branch=grown("t", "few", "Relu"),
                  else_branch=grown("e", "many", "Neg"))  # fmt: skip
    proto = model(
        [choose, node("Add", ["z", "x"], ["y"])],
        [value("c", [], BOOL), value("x", [1, 256])],
        [value("y", None)],
        [weight("few", np.array([4, 256])), weight("many", np.array([16, 256]))],
    )
    loaded = load(proto)
    assert workspaces(loaded) == {"choose": 2 * 16 * KIB}
    plan = memplan.plan(loaded, objective="peak")
    assert plan.value == 2 * 16 * KIB + 2 * KIB + 1 and plan.status == "optimal"  # with c, x and z
    assert memplan.run(loaded, plan).identical
    assert memplan.run(loaded, memplan.plan(loaded, scratchpad="MR")).identical


def test_a_branch_that_no_run_takes_does_not_count() -> None:
    """The condition follows from a shape alone; the other branch would fail."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "first"], ["rows"]),
        node("Equal", ["rows", "one"], ["c"]),
        node("If", ["c"], ["z"], name="choose", then_branch=grown("t", "few", "Relu"),
             else_branch=body("e", [node("Squeeze", ["x", "second"], ["eo"])], [], [value("eo", None)])),
    ]  # fmt: skip
    numbers = {"first": 0, "one": 1, "second": [1], "few": [4, 256]}
    weights = [weight(name, np.array(n, np.int64)) for name, n in numbers.items()]
    loaded = load(model(nodes, [value("x", [1, 256])], [value("z", None)], weights))
    assert workspaces(loaded) == {"choose": 2 * 4 * KIB}
    assert loaded.graph.tensor["z"].shape == (1, 256)


def failing(prefix: str, rows: str) -> Any:
    """A branch that grows x, and then cannot leave out an axis that is not 1."""
    inside = grown(prefix, rows, "Relu")
    inside.node.append(node("Squeeze", [f"{prefix}k", "last"], [f"{prefix}s"], name="squeeze"))
    inside.node.append(node("Neg", [f"{prefix}s"], [f"{prefix}n"]))
    del inside.output[:]
    inside.output.append(value(f"{prefix}n", None))
    return inside


@pytest.mark.slow(reason="reads many models")
def test_a_branch_that_fails_at_these_sizes_counts_as_far_as_it_comes() -> None:
    """Though no run that takes it comes to its end, it holds its tensors until then; within a branch as well."""
    runs, fails = grown("t", "few", "Neg"), failing("e", "many")
    inner = node("If", ["c"], ["i"], name="inner", then_branch=grown("u", "few", "Exp"), else_branch=fails)
    steps = [node("Exp", ["x"], ["kept"]), inner, node("Add", ["i", "kept"], ["no"])]
    nested = body("n", steps, [], [value("no", None)])
    weights = [
        weight("few", np.array([4, 256])),
        weight("many", np.array([16, 256])),
        weight("last", np.array([1])),
    ]
    inputs = [value("c", [], BOOL), value("x", [1, 256])]
    deep = (2 + 2 * 16) * KIB  # beside kept and i
    for then, otherwise, nbytes in ((runs, fails, 2 * 16 * KIB), (nested, runs, deep)):
        choose = node("If", ["c"], ["z"], name="choose", then_branch=then, else_branch=otherwise)
        loaded = load(model([choose], inputs, [value("z", None)], weights))
        assert workspaces(loaded) == {"choose": nbytes}
        assert loaded.graph.tensor["z"].shape == (1, 256)
        assert any("branch 'e'" in note and "fails at op 'squeeze'" in note for note in loaded.notes)


@pytest.mark.parametrize("switch", ["c", "d"])
@pytest.mark.slow(reason="starts programs that measure")
def test_an_op_whose_branches_fail_ends_the_branch_that_it_is_in(switch: str) -> None:
    """Data decide `c`, so both may be taken; `d` follows from a shape, so that the first one is."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "first"], ["rows"]),
        node("Equal", ["rows", "one"], ["d"]),
    ]
    inner = node(
        "If", [switch], ["i"], name="inner", then_branch=failing("f", "many"), else_branch=failing("g", "few")
    )
    outer = body(
        "o",
        [node("Exp", ["x"], ["kept"]), inner, node("Add", ["i", "kept"], ["oo"])],
        [],
        [value("oo", None)],
    )
    choose = node("If", ["c"], ["z"], name="choose", then_branch=outer, else_branch=grown("t", "few", "Neg"))
    numbers = {"first": 0, "one": 1, "few": [4, 256], "many": [16, 256], "last": [1]}
    weights = [weight(name, np.array(number)) for name, number in numbers.items()]
    inputs = [value("c", [], BOOL), value("x", [1, 256])]
    loaded = load(model([*nodes, choose], inputs, [value("z", None)], weights))
    assert workspaces(loaded) == {"choose": (1 + 2 * 16) * KIB}
    assert any("branch 'o'" in note and "fails at op 'inner'" in note for note in loaded.notes)
    with pytest.raises(GraphError, match=r"'i' is unknown.*squeeze.*\n.*do the sizes that are given fit"):
        load(model([*nodes, inner], inputs, [value("i", None)], weights))


def test_a_branch_with_an_op_that_nobody_can_run_is_refused_and_the_hint_works() -> None:
    """Such an op may run for its user, so what it writes is not left out."""
    strange = body("t", [node("Strange", ["x"], ["odd"], domain="elsewhere"), node("Relu", ["odd"], ["r"]),
                         node("ReduceMax", ["r"], ["to"], axes=[0, 1], keepdims=1)], [], [value("to", None)])  # fmt: skip
    strange.value_info.append(helper.make_tensor_value_info("odd", TensorProto.FLOAT, ["rows", 256]))
    other = body("e", [node("ReduceMax", ["x"], ["eo"], axes=[0, 1], keepdims=1)], [], [value("eo", None)])
    choose = node("If", ["c"], ["y"], name="choose", then_branch=strange, else_branch=other)
    proto = model([choose], [value("c", [], BOOL), value("x", [1, 256])], [value("y", None)])
    proto.opset_import.append(helper.make_opsetid("elsewhere", 1))
    with pytest.raises(
        GraphError, match="'odd' in the body of op 'choose' is unknown and the model does not"
    ) as caught:
        load(proto)
    assert "--bound odd=100,256 " in caught.value.hint
    assert workspaces(load(proto, odd=(100, 256))) == {"choose": 2 * 100 * KIB}


def loop(turns: str, carried: list[Any], go_on: str = "keep") -> Any:
    """A loop that carries `v`; its body's nodes are `carried`, which write `v_next`, and it collects `v_next`."""
    nodes = [node("Identity", ["going"], ["keep"]), *carried]
    inputs = [value("turn", [], INT64), value("going", [], BOOL), value("v", None)]
    outputs = [value(go_on, [], BOOL), value("v_next", None), value("all", None)]
    nodes.append(node("Identity", ["v_next"], ["all"]))
    return node(
        "Loop", [turns, "", "x"], ["last", "seen"], name="loop", body=body("b", nodes, inputs, outputs)
    )


@pytest.mark.slow(reason="reads many models")
def test_a_loop_holds_its_carried_values_twice() -> None:
    step = [node("Exp", ["v"], ["e"]), node("Neg", ["e"], ["v_next"])]
    proto = model(
        [loop("five", step)],
        [value("x", [1, 256])],
        [value("last", None), value("seen", None)],
        [weight("five", np.array(5))],
    )
    loaded = load(proto)
    assert loaded.graph.tensor["seen"].shape == (5, 1, 256)
    assert (
        3 * KIB <= workspaces(loaded)["loop"] <= 3 * KIB + 16
    )  # v, e and v_next; turn number and conditions
    assert memplan.run(loaded, memplan.plan(loaded)).identical


def test_how_often_a_loop_turns_decides_what_it_collects() -> None:
    step = [node("Neg", ["v"], ["v_next"])]
    inputs = [value("x", [1, 256]), value("n", [], INT64)]
    proto = model([loop("n", step)], inputs, [value("last", None), value("seen", None)])
    with pytest.raises(GraphError, match=r"op 'loop' \(Loop\).*input 'n'\n.*--bound seen=") as caught:
        load(proto)
    assert "last" not in caught.value.hint.split("--bound", 1)[1]  # which keeps its size
    loaded = load(proto, seen=(7, 1, 256))
    assert loaded.graph.tensor["last"].shape == (1, 256) and loaded.graph.tensor["seen"].nbytes == 7 * KIB


def test_a_loop_that_stops_by_its_values_is_decided_by_them() -> None:
    step = [node("Neg", ["v"], ["v_next"]), node("ReduceSum", ["v"], ["sum"], keepdims=0),
            node("Less", ["sum", "limit"], ["less"])]  # fmt: skip
    weights = [weight("limit", np.array(1, np.float32)), weight("five", np.array(5))]
    outputs = [value("last", None), value("seen", None)]
    with pytest.raises(GraphError, match=r"op 'loop' \(Loop\).*'v' in the body.*\n.*--bound seen="):
        load(model([loop("five", step, "less")], [value("x", [1, 256])], outputs, weights))


def test_a_growing_carried_value_counts_at_its_last_size() -> None:
    step = [node("Concat", ["v", "x"], ["v_next"], axis=0)]
    inner = loop("three", step)
    inner.attribute[0].g.output.pop()
    inner.output.pop()
    proto = model([inner], [value("x", [1, 256])], [value("last", None)], [weight("three", np.array(3))])
    loaded = load(proto)
    assert loaded.graph.tensor["last"].shape == (4, 256)
    assert workspaces(loaded)["loop"] >= 2 * 4 * KIB


def test_a_scan_holds_a_slice_of_what_it_scans() -> None:
    nodes = [
        node("Add", ["v", "row"], ["a"]),
        node("Neg", ["a"], ["v_next"]),
        node("Identity", ["v_next"], ["out"]),
    ]
    inside = body(
        "b", nodes, [value("v", [256]), value("row", [256])], [value("v_next", [256]), value("out", [256])]
    )
    scan = node("Scan", ["h", "x"], ["last", "rows"], name="scan", body=inside, num_scan_inputs=1)
    proto = model(
        [scan], [value("h", [256]), value("x", [8, 256])], [value("last", None), value("rows", None)]
    )
    loaded = load(proto)
    assert loaded.graph.tensor["rows"].shape == (8, 256)
    assert workspaces(loaded) == {"scan": 4 * KIB}  # v, row, a, v_next
    assert memplan.run(loaded, memplan.plan(loaded)).identical


def test_nested_bodies_count_and_constants_of_a_body_do_not() -> None:
    big = weight("big", np.ones((64, 256), np.float32))
    inner = node("If", ["c"], ["z"], name="inner", then_branch=grown("t", "few", "Relu"),
                 else_branch=grown("e", "few", "Neg"))  # fmt: skip
    outer = body("o", [node("Neg", ["x"], ["n"]), inner, node("Add", ["z", "n"], ["s"]),
                       node("ReduceMax", ["big"], ["m"], axes=[0], keepdims=1), node("Add", ["s", "m"], ["oo"])],
                 [], [value("oo", None)], [big])  # fmt: skip
    other = body("p", [node("Identity", ["x"], ["po"])], [], [value("po", None)])
    proto = model(
        [node("If", ["c"], ["y"], name="outer", then_branch=outer, else_branch=other)],
        [value("c", [], BOOL), value("x", [1, 256])],
        [value("y", None)],
        [weight("few", np.array([4, 256]))],
    )
    loaded = load(proto)
    assert workspaces(loaded) == {"outer": (2 * 4 + 2) * KIB}  # inside the inner branch, beside n and z
    assert memplan.run(loaded, memplan.plan(loaded)).identical


def test_bodies_that_are_missing_are_refused() -> None:
    whole = loop("five", [node("Neg", ["v"], ["v_next"])])
    outputs, weights = [value("last", None), value("seen", None)], [weight("five", np.array(5))]
    headless = node("Loop", ["five", "", "x"], ["last", "seen"], name="loop")
    whole.attribute[0].g.input.pop()
    for broken in (headless, whole):
        with pytest.raises(GraphError, match="bodies of Loop 'loop' are missing"):
            load(model([broken], [value("x", [1, 256])], outputs, weights))


def test_an_op_of_a_body_whose_size_data_decide_is_named() -> None:
    pick = body("t", [node("TopK", ["x", "k"], ["r", ""], name="pick"), node("ReduceMax", ["r"], ["to"], keepdims=0)],
                [], [value("to", [])])  # fmt: skip
    other = body("e", [node("ReduceMax", ["x"], ["eo"], keepdims=0)], [], [value("eo", [])])
    proto = model(
        [node("If", ["c"], ["y"], name="choose", then_branch=pick, else_branch=other)],
        [value("c", [], BOOL), value("x", [1, 256]), value("k", [1], INT64)],
        [value("y", [])],
    )
    with pytest.raises(GraphError, match=r"op 'pick' \(TopK\).*input 'k'\n.*--bound r="):
        load(proto)
    assert workspaces(load(proto, r=(1, 9))) == {"choose": 9 * 4}
