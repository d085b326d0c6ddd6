"""Plans executed in a real arena: bit-identical when valid, visibly wrong or refused when not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import memplan
from memplan.base.errors import ExecutionError, GraphError, OptionError, PlanError
from memplan.ir.model import Model
from memplan.onnx.inputs import load_inputs
from memplan.onnx.read import model_from_bytes
from memplan.onnx.values import Value, read_tensor, to_array
from memplan.onnx.weights import stored_constants
from memplan.problem.plan import Plan
from memplan.runtimes.report import RunReport
from tests.feature_models import F32, FEATURES, load, proto

TREATMENTS = [
    {"weights": weights, "io": io, "inplace": inplace}
    for weights in ("ignore", "tensor", "stream")
    for io in ("host", "resident")
    for inplace in (False, True)
]


def planned(model: Model, **options: Any) -> Plan:
    plan = memplan.plan(model, workers=1, **options)
    assert plan.schedule, plan.reason
    return plan


@pytest.mark.slow(reason="executes many programs")
@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("alignment", [1, 64])
def test_every_feature_under_every_treatment_is_bit_identical(feature: str, alignment: int) -> None:
    model = load(FEATURES[feature]())
    for options in TREATMENTS:
        for budget in (("MR", "MP") if alignment == 1 else ("MH",)) if options["io"] == "host" else ("MP",):
            plan = planned(model, scratchpad=budget, alignment=alignment, **options)
            report = memplan.run(model, plan)
            assert report.identical, (options, budget, str(report))


def test_a_spilling_plan_copies_the_bytes_it_claims() -> None:
    model = load(FEATURES["branches"]())
    plan = planned(model, scratchpad="MR")
    assert plan.metrics.traffic > 0
    report = memplan.run(model, plan, seed=3)
    assert report.identical
    assert report.loaded_bytes == plan.metrics.spill_load + plan.metrics.compulsory_load
    assert report.stored_bytes == plan.metrics.spill_store + plan.metrics.compulsory_store
    assert report.peaks == {"scratchpad": plan.metrics.peak}
    assert report.reference == "onnxruntime"


def test_operands_in_host_memory() -> None:
    model = load(FEATURES["branches"]())
    base = planned(model, scratchpad="max", weights="tensor")
    anywhere = replace(base.target, operands={"default": ("scratchpad", "host")})
    bare = replace(base, target=anywhere, residencies=(), moves=())
    report = memplan.run(model, bare)
    assert report.identical and report.peaks == {"scratchpad": 0}


@pytest.mark.slow(reason="executes many programs")
@pytest.mark.parametrize("target", ["tpu-v4i", "cortex-m7"])
def test_timed_plans(target: str) -> None:
    model = load(FEATURES["branches"]())
    for capacity in (8000, 20000):
        plan = planned(model, target=target, scratchpad=capacity, objective="latency", time_limit_s=2)
        assert memplan.run(model, plan).identical


def differs(model: Model, plan: Plan) -> bool:
    try:
        return not memplan.run(model, plan).identical
    except ExecutionError:
        return True


def test_overlapping_storages_are_seen() -> None:
    model = load(FEATURES["branches"]())
    plan = planned(model, scratchpad="max")
    at_zero = tuple(r._replace(offset=0) for r in plan.residencies)
    assert differs(model, replace(plan, residencies=at_zero))


def test_every_dropped_or_early_move_and_short_residency_is_seen() -> None:
    model = load(FEATURES["branches"]())
    plan = planned(model, scratchpad="MR")
    for i, move in enumerate(plan.moves):
        without = (*plan.moves[:i], *plan.moves[i + 1 :])
        assert differs(model, replace(plan, moves=without)), f"dropped {move}"
    ops = {op.name: op for op in model.graph.ops}
    for i, r in enumerate(plan.residencies):
        if r.stop - r.start > 1 and r.tensor in ops[plan.schedule[r.stop - 1]].inputs:
            short = (*plan.residencies[:i], r._replace(stop=r.stop - 1), *plan.residencies[i + 1 :])
            assert differs(model, replace(plan, residencies=short)), f"shortened {r}"


def test_freed_bytes_are_poisoned() -> None:
    """What lies where a residency ends reads poison, whoever wrote it."""
    model = load(FEATURES["branches"]())
    plan = planned(model, scratchpad="max", order="program")
    ended, hit = (next(r for r in plan.residencies if r.tensor == name) for name in ("m0", "s"))
    assert hit.start < ended.start and ended.stop < hit.stop
    wrong = tuple(r._replace(offset=hit.offset) if r is ended else r for r in plan.residencies)
    report = memplan.run(model, replace(plan, residencies=wrong))
    assert not report.identical
    assert report.outputs[0].max_abs_difference == np.inf  # poison is NaN


def test_an_activation_without_a_stored_copy_cannot_be_loaded() -> None:
    model = load(FEATURES["branches"]())
    plan = planned(model, scratchpad="MR")
    spilled = next(
        m for m in plan.moves if not plan.is_load(m) and model.graph.tensor[m.tensor].kind == "activation"
    )
    broken = replace(plan, moves=tuple(m for m in plan.moves if m != spilled))
    with pytest.raises(ExecutionError, match="where no copy of it is ready"):
        memplan.run(model, broken)


def test_plans_of_other_graphs_and_models_without_source_are_refused() -> None:
    model, other = load(FEATURES["chain"]()), load(FEATURES["views"]())
    plan = planned(model)
    with pytest.raises(PlanError, match="another graph"):
        memplan.run(other, plan)
    with pytest.raises(GraphError, match="without an ONNX source"):
        memplan.run(Model(model.graph, "net"), plan)


def test_a_capacity_below_the_plan_is_refused() -> None:
    model = load(FEATURES["chain"]())
    plan = planned(model)
    with pytest.raises(ExecutionError, match="scratchpad has"):
        memplan.run(model, replace(plan, target=plan.target.with_scratchpad(plan.metrics.peak - 1)))


def test_inputs_from_an_archive(tmp_path: Path) -> None:
    model = load(FEATURES["chain"]())
    plan = planned(model)
    path = tmp_path / "in.npz"
    np.savez(path, x=np.ones((7, 13), np.float32))
    first = memplan.run(model, plan, load_inputs(path))
    assert first.identical
    assert first.outputs[0].sha256 != memplan.run(model, plan).outputs[0].sha256


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "'x' is missing"),
        ({"x": np.ones((7, 13), np.float32), "xx": np.ones(1)}, "no input 'xx'"),
        ({"x": np.ones((7, 12), np.float32)}, "shape"),
        ({"x": np.ones((7, 13), np.float64)}, "dtype float64"),
        ({"x": np.full((7, 13), "a")}, "dtype"),
    ],
)
def test_wrong_inputs_are_refused(arrays: dict[str, Any], message: str) -> None:
    model = load(FEATURES["chain"]())
    with pytest.raises(OptionError, match=message):
        memplan.run(model, planned(model), arrays)


def test_an_unreadable_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.npz"
    path.write_bytes(b"not an archive")
    with pytest.raises(OptionError, match="cannot read inputs"):
        load_inputs(path)
    with pytest.raises(OptionError, match="cannot read inputs"):
        load_inputs(tmp_path / "absent.npz")


def absent(name: str, shape: tuple[int, ...], kind: int = F32) -> TensorProto:
    """An initializer whose external data is not there."""
    tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def test_absent_weights_are_seeded_and_matter(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"]),
        helper.make_node("BatchNormalization", ["a", "scale", "b", "b", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    source = proto(nodes, [("x", F32, [1, 4, 8, 8])], [("y", F32, [1, 16, 6, 6])])
    shapes = {"w": (16, 4, 3, 3), "b": (16,), "scale": (16,), "var": (16,)}
    source.graph.initializer.extend(absent(n, s) for n, s in shapes.items())
    model = load(source, folder=str(tmp_path))
    plan = planned(model, scratchpad="MR")
    reports: list[RunReport] = [memplan.run(model, plan, seed=s) for s in (0, 0, 1)]
    assert all(r.identical and r.drawn == 4 for r in reports)
    assert str(reports[0]).endswith("; 4 constants without data were drawn at random")
    digests = [r.outputs[0].sha256 for r in reports]
    assert digests[0] == digests[1] != digests[2]
    weights = {n: to_array(v) for n, v in stored_constants(model.source, str(tmp_path), 0).items()}
    assert (weights["var"] > 0.5).all() and (weights["scale"] > 0.5).all()
    assert weights["w"].std() == pytest.approx((2 / 36) ** 0.5, rel=0.2)


def test_stored_external_data_is_read(tmp_path: Path) -> None:
    data = np.arange(6, dtype=np.float32)
    (tmp_path / "weights.bin").write_bytes(data.tobytes())
    value = read_tensor(absent("w", (2, 3)), str(tmp_path))
    assert isinstance(value, Value) and (to_array(value) == data.reshape(2, 3)).all()
    with pytest.raises(memplan.MemplanError, match="too short"):
        read_tensor(absent("w", (2, 4)), str(tmp_path))
    beyond = absent("w", (2, 3))
    beyond.external_data.add(key="offset", value=str(2**70))
    with pytest.raises(memplan.MemplanError, match="cannot read the data of 'w'"):
        read_tensor(beyond, str(tmp_path))


NOT_WHOLE = (
    {"raw_data": bytes(20)}, {"raw_data": b""}, {"raw_data": bytes(28)}, {"float_data": [1.0] * 5}, {},
    {"float_data": [1.0] * 7},
)  # fmt: skip
"""Ways to store less or more than the 24 bytes of a float32[2, 3]."""


@pytest.mark.parametrize("stored", NOT_WHOLE)
def test_a_constant_that_is_not_stored_whole_is_one_clear_error(stored: dict[str, Any]) -> None:
    tensor = TensorProto(name="w", data_type=F32, dims=[2, 3], **stored)
    with pytest.raises(memplan.MemplanError, match="constant 'w' ") as caught:
        read_tensor(tensor, ".")
    assert caught.value.hint and caught.value.exit_status == 2


@pytest.mark.parametrize("stored", NOT_WHOLE)
@pytest.mark.parametrize("as_node", [False, True], ids=["initializer", "Constant"])
def test_a_constant_of_a_body_that_is_not_stored_whole_is_one_clear_error(
    stored: dict[str, Any], as_node: bool
) -> None:
    def branch(kind: str, **data: Any) -> Any:
        held = TensorProto(name="w", data_type=F32, dims=[2, 3], **data)
        made = [helper.make_node("Constant", [], ["w"], value=held)] if as_node else []
        nodes = [*made, helper.make_node(kind, ["x", "w"], [kind])]
        result = helper.make_tensor_value_info(kind, F32, [2, 3])
        return helper.make_graph(nodes, kind, [], [result], [] if as_node else [held])

    for data, sound in (({"raw_data": bytes(24)}, True), (stored, False)):
        branches = {"then_branch": branch("Add", raw_data=bytes(24)), "else_branch": branch("Sub", **data)}
        chosen = helper.make_node("If", ["c"], ["y"], **branches)
        model = load(proto([chosen], [("c", TensorProto.BOOL, []), ("x", F32, [2, 3])], [("y", F32, [2, 3])]))
        if sound:
            assert memplan.run(model, planned(model)).identical
            continue
        with pytest.raises(GraphError, match="constant 'w' ") as caught:
            memplan.run(model, planned(model))
        assert caught.value.hint and "\n" not in caught.value.message


def test_seeded_indices_are_in_range() -> None:
    nodes = [helper.make_node("Gather", ["table", "ids"], ["e"]), helper.make_node("Relu", ["e"], ["y"])]
    table = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    source = proto(nodes, [("ids", TensorProto.INT64, [40])], [("y", F32, [40, 3])], {"table": table})
    model = load(source)
    assert memplan.run(model, planned(model)).identical


def test_repeated_layers_share_sessions() -> None:
    nodes = [helper.make_node("Tanh", [f"t{i}"], [f"t{i + 1}"]) for i in range(50)]
    model = load(proto(nodes, [("t0", F32, [3, 5])], [("t50", F32, [3, 5])]))
    assert memplan.run(model, planned(model)).sessions == 1


def test_report_as_json_and_text() -> None:
    model = load(FEATURES["many_outputs"]())
    report = memplan.run(model, planned(model))
    assert report.to_dict()["identical"] is True
    assert str(report).startswith("all 4 outputs bit-identical to onnxruntime; 6 executions in ")


def test_a_size_of_minus_one_is_free() -> None:
    """Some exporters of trained models write free dimensions so."""
    source = proto([helper.make_node("Relu", ["x"], ["y"])], [("x", F32, [-1, 3])], [("y", F32, [-1, 3])])
    model = load(source)
    assert model.dims == {"x:0": 1}
    assert memplan.run(model, planned(model)).identical


def test_a_scalar_that_chooses_a_branch_takes_the_constant_it_is_compared_with() -> None:
    """A branch whose shape only a run can tell, and that is as large as said for no value of the switch."""

    def body(name: str, kind: str, reads: list[str]) -> Any:
        return helper.make_graph(
            [helper.make_node(kind, reads, [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, F32, None)],
        )

    nodes = [
        helper.make_node("Equal", ["rate", "known"], ["match"]),
        helper.make_node("Unsqueeze", ["rate", "zero"], ["length"]),
        helper.make_node(
            "If",
            ["match"],
            ["b"],
            then_branch=body("t", "Relu", ["x"]),
            else_branch=body("e", "Reshape", ["x", "length"]),
        ),
        helper.make_node("Exp", ["b"], ["y"]),
    ]
    inputs = [("x", F32, [2, 3]), ("rate", TensorProto.INT64, [])]
    source = proto(nodes, inputs, [], {"known": np.int64(16000), "zero": np.array([0])})
    source.graph.output.append(helper.make_tensor_value_info("y", F32, None))
    with pytest.raises(GraphError, match=r"'Reshape:e'.*'rate'.*\n.*--bound e=6"):
        load(source)
    model = model_from_bytes(source.SerializeToString(), "net", ".", {}, {"e": (6,), "b": (2, 3)})
    assert model.graph.tensor["b"].shape == (2, 3)
    assert memplan.run(model, planned(model)).identical
