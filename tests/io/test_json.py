"""Graph and plan JSON: round trips, and one clear error for whatever is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import memplan
from memplan.base.errors import MemplanError
from memplan.io.graph_json import graph_from_dict, graph_text, read_graph
from memplan.io.plan_json import plan_from_dict, plan_text, read_plan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.machine.target_file import target_dict
from memplan.problem.pins import read_pins
from memplan.problem.plan import Plan, without_times
from tests.generate import random_graph, random_plan
from tests.generate_wide import wide_graph, wide_plan

GOOD: dict[str, Any] = {
    "format": "memplan-graph", "version": 1, "name": "net",
    "tensors": [{"name": "x", "dtype": "int8", "shape": [4], "nbytes": 4, "kind": "input"},
                {"name": "a", "nbytes": 4, "kind": "activation"},
                {"name": "y", "nbytes": 2, "kind": "output"}],
    "ops": [{"name": "p", "kind": "Relu", "inputs": ["x"], "outputs": ["a"], "flops": 4},
            {"name": "q", "kind": "Conv", "inputs": ["a"], "outputs": ["y"]}],
}  # fmt: skip


def test_round_trips() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        graph = random_graph(rng, rng.randint(1, 9))
        again = graph_from_dict(json.loads(graph_text(graph)), "test")
        assert again == graph and again.sha256 == graph.sha256
        plan = random_plan(rng, graph)
        capacity = plan.target.scratchpad.capacity or max(plan.metrics.peak, plan.target.scratchpad.alignment)
        back = plan_from_dict(json.loads(plan_text(plan)), "test")
        assert back.target.scratchpad.capacity == capacity
        assert back.schedule == plan.schedule and back.residencies == plan.residencies
        assert back.moves == plan.moves and back.metrics == plan.metrics and back.options == plan.options
        assert memplan.check(graph, back) == []
        assert plan_text(back) == plan_text(plan)


def test_all_that_is_said_of_ops_and_tensors_comes_back() -> None:
    tensors = (Tensor("x", 4, "input", alignment=8), Tensor("a", 4, strides=(1,), shape=(4,)), Tensor("y", 4))
    ops = (
        Op("p", "Any", ("x",), ("a",), once=True, source=("net", "net.layer")),
        Op("q", "Pile", ("a",), ("y",), joins=(("a", 0),), after=("p",)),
    )
    graph = Graph("g", tensors, ops, ("y",))
    again = graph_from_dict(json.loads(graph_text(graph)), "test")
    assert again == graph and again.ops[0].source == ("net", "net.layer") and again.ops[1].source == ()


def test_what_version_1_knows_no_cost_of_or_calls_random_is_executed_once() -> None:
    ops = graph_from_dict(GOOD, "test").ops
    assert [op.once for op in ops] == [False, True]  # the second one has no flops
    drawn = json.loads(json.dumps(GOOD))
    drawn["ops"][0]["kind"] = "Dropout"
    assert graph_from_dict(drawn, "test").ops[0].once


def test_same_plan_same_text() -> None:
    graph = graph_from_dict(GOOD, "test")
    first, second = (without_times(memplan.plan(graph, scratchpad="MR")) for _ in range(2))
    assert plan_text(first) == plan_text(second)


def _set(*path: Any) -> Callable[[Any], None]:
    *keys, last, new = path

    def change(d: Any) -> None:
        for key in keys:
            d = d[key]
        if new is None:
            del d[last]
        else:
            d[last] = new

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("format", "other"), "format is 'other'"),
        (_set("version", 3), "version 3 of memplan-graph is not known"),
        (_set("version", True), "version True"),
        (_set("name", None), "'name' is missing"),
        (_set("tensors", "many"), "'tensors' is 'many'"),
        (_set("tensors", 0, "nbytes", None), r"tensors\[0\]: 'nbytes' is missing"),
        (_set("tensors", 0, "nbytes", -4), r"'nbytes' is -4"),
        (_set("tensors", 0, "nbytes", 1.5), r"'nbytes' is 1.5"),
        (_set("tensors", 0, "nbytes", 2**70), "x' has 1180591620717411303424 bytes"),
        (_set("tensors", 0, "nbytes", True), r"'nbytes' is True"),
        (_set("tensors", 0, "kind", "weight"), "'x' has kind 'weight'"),
        (_set("tensors", 0, "shape", [-1]), r"'shape' is -1"),
        (_set("tensors", 1, "name", "x"), "two tensors are named 'x'"),
        (_set("tensors", 1, "name", ""), "a tensor has no name"),
        (_set("tensors", 1, "name", 7), r"tensors\[1\]: 'name' is 7"),
        (_set("tensors", 1, "kind", "constant"), "constant 'a' is written by an op"),
        (_set("ops", 1, "name", "p"), "two ops are named 'p'"),
        (_set("ops", 1, "name", ""), "an op has no name"),
        (_set("ops", 0, "inputs", ["y"]), "form a cycle or are out of order"),
        (_set("ops", 0, "inputs", ["z"]), "undeclared tensor 'z'"),
        (_set("ops", 0, "outputs", ["z"]), "undeclared tensor 'z'"),
        (_set("ops", 1, "outputs", ["a"]), "'a' is written twice"),
        (_set("ops", 1, None), "activation 'y' has no producer"),
        (_set("ops", 0, "flops", -1), "'flops' is -1"),
        (_set("ops", 0, 3), r"ops\[0\] is not a JSON object"),
    ],
)
def test_bad_graphs(change: Callable[[Any], None], message: str) -> None:
    data = json.loads(json.dumps(GOOD))
    change(data)
    with pytest.raises(MemplanError, match=message) as caught:
        graph_from_dict(data, "test")
    assert caught.value.hint and caught.value.exit_status == 2


def test_files_that_are_not_json(tmp_path: Path) -> None:
    text = json.dumps(GOOD)
    for content in (
        "",
        text[:-20],
        "[" * 100_000,
        "\ud800".encode("utf-8", "surrogatepass"),
        b"\xff\xfe\x00",
    ):
        path = tmp_path / "net.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(MemplanError, match="hint"):
            memplan.load(path)


def test_a_plan_from_the_future_is_refused() -> None:
    graph = graph_from_dict(GOOD, "test")
    data = json.loads(plan_text(memplan.plan(graph)))
    with pytest.raises(MemplanError, match="version 9 of memplan-plan is not known"):
        plan_from_dict(data | {"version": 9}, "test")
    for field in ("schedule", "target", "options", "value", "metrics", "status", "residencies"):
        with pytest.raises(MemplanError, match=f"'{field}' is missing"):
            plan_from_dict({k: v for k, v in data.items() if k != field}, "test")
    with pytest.raises(MemplanError, match="'value' is"):
        plan_from_dict(data | {"value": float("nan")}, "test")


def test_every_field_of_a_plan_comes_back() -> None:
    graph = graph_from_dict(GOOD, "test")
    regions = (memplan.Region(("a", "b"), (1, 2), (3, 4), 2), memplan.Region(("c", "c"), (0,), (1,)))
    plan = memplan.plan(graph, scratchpad="MP")
    plan = replace(plan, reason="found by hand", budget_proved=True, tiling=regions)
    again = plan_from_dict(json.loads(plan_text(plan)), "test")
    for field in fields(Plan):
        if field.name not in ("seconds", "total_seconds", "target"):
            assert getattr(again, field.name) == getattr(plan, field.name), field.name
    assert target_dict(again.target) == target_dict(plan.target)


def test_a_tiling_that_is_none_is_refused() -> None:
    data = json.loads(plan_text(memplan.plan(graph_from_dict(GOOD, "test"), scratchpad="MP")))
    region = {"ops": ["a", "b"], "axes": [1], "tile": [3], "cache": None}
    for key, value, message in (
        ("ops", ["a"], "'ops' names 1 ops"),
        ("axes", [1, 2], "is cut along the axes"),
        ("tile", ["3"], "'tile' is"),
        ("cache", 2, "keeps what it made along axis 2"),
        ("chace", 1, "unknown key 'chace'"),
    ):
        with pytest.raises(MemplanError, match=message):
            plan_from_dict(data | {"tiling": [region | {key: value}]}, "test")


def test_unknown_keys_are_refused_with_the_nearest_known_one() -> None:
    graph = graph_from_dict(GOOD, "test")
    second = json.loads(graph_text(graph))
    plan = json.loads(plan_text(memplan.plan(graph, scratchpad="MR")))
    assert plan["residencies"] and plan["moves"]
    cases: list[tuple[Callable[[Any, str], Any], Any, tuple[Any, ...], str, str]] = [
        (graph_from_dict, GOOD, ("opps", []), "opps", "ops"),
        (graph_from_dict, GOOD, ("tensors", 0, "nbites", 4), "nbites", "nbytes"),
        (graph_from_dict, GOOD, ("ops", 0, "flop", 4), "flop", "flops"),
        (graph_from_dict, second, ("output", []), "output", "outputs"),
        (graph_from_dict, second, ("tensors", 0, "stride", [1]), "stride", "strides"),
        (graph_from_dict, second, ("ops", 0, "overwrite", []), "overwrite", "overwrites"),
        (plan_from_dict, plan, ("inplaces", {}), "inplaces", "inplace"),
        (plan_from_dict, plan, ("options", "donates", []), "donates", "donate"),
        (plan_from_dict, plan, ("metrics", "peeks", 0), "peeks", "peaks"),
        (plan_from_dict, plan, ("residencies", 0, "ofset", 0), "ofset", "offset"),
        (plan_from_dict, plan, ("moves", 0, "issued", 0), "issued", "issue"),
    ]
    for read, good, change, unknown, known in cases:
        data = json.loads(json.dumps(good))
        _set(*change)(data)
        with pytest.raises(MemplanError, match=f"unknown key '{unknown}'") as caught:
            read(data, "test")
        assert caught.value.hint == f"did you mean '{known}'?" and caught.value.exit_status == 2


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.json"
    graph = graph_from_dict(GOOD, "test")
    for text, key in ((graph_text(graph), '"name": "net"'), (plan_text(memplan.plan(graph)), '"bound": 0')):
        assert text.count(key) == 1
        path.write_text(text.replace(key, f"{key}, {key}"))
        with pytest.raises(MemplanError, match="stands twice"):
            (read_plan if "bound" in key else read_graph)(path)
    path.write_text('{"x": "keep", "x": "@0"}')
    with pytest.raises(MemplanError, match="'x' stands twice"):
        read_pins(path)


def test_plans_of_any_target_come_back_with_their_claims() -> None:
    kept = 0
    for seed in range(80):
        rng = random.Random(seed)
        graph = wide_graph(rng, rng.randint(1, 7))
        plan = wide_plan(rng, graph)
        if not check(graph, plan, claims=False):
            plan = evaluate(graph, plan)
            again = plan_from_dict(json.loads(plan_text(plan)), "again")
            assert memplan.check(graph, again) == [], seed
            for field in ("schedule", "residencies", "moves", "inplace", "joined", "options", "metrics"):
                assert getattr(again, field) == getattr(plan, field), (seed, field)
            kept += 1
    assert kept > 40
