"""Plans with features that no solver makes, executed bit-identically; wrong ones show or are refused.

`python -m tests.runtimes.test_arena [PREFIX]` forces them into every zoo model of less than 600 MB of weights.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

import memplan
from memplan.base.errors import ExecutionError
from memplan.base.units import format_size
from memplan.ir.model import Model
from memplan.judge.check.check import check
from memplan.library.zoo import load_zoo_model, zoo_index
from memplan.onnx.dialect import ELEMENTWISE
from memplan.onnx.values import Value, aligned
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Plan, Residency, Status
from memplan.runtimes.arena import REREADING
from memplan.runtimes.sessions import make_session, run_bound
from tests.feature_models import F32, FEATURES, load, proto
from tests.forced import STRICT, WAYS, WIDE, forced_plan
from tests.sabotage import sabotaged


def joins() -> ModelProto:
    """Concats within concats along the outermost axis, of parts that others read too and that are written over operands."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["s"], pads=[1, 1, 1, 1])]
    for i in range(4):
        nodes += [
            helper.make_node("Sigmoid" if i % 2 else "Tanh", ["s"], [f"a{i}"]),
            helper.make_node("Sqrt" if i % 2 else "Softplus", [f"a{i}"], [f"b{i}"]),
        ]
    nodes += [
        helper.make_node("Concat", ["b0", "b1"], ["c"], axis=1),
        helper.make_node("Mul", ["b1", "s"], ["m"]),
        helper.make_node("Concat", ["c", "b2", "m"], ["d"], axis=1),
        helper.make_node("Concat", ["b3", "b0"], ["e"], axis=3),
        helper.make_node("Exp", ["d"], ["f"]),
        helper.make_node("Concat", ["f", "d"], ["y"], axis=1),
        helper.make_node("ReduceMean", ["e"], ["z"]),
    ]
    weight = np.random.default_rng(3).standard_normal((8, 3, 3, 3)).astype(np.float32)
    outputs = [("y", F32, [1, 64, 9, 9]), ("z", F32, [1, 1, 1, 1])]
    return proto(nodes, [("x", F32, [1, 3, 9, 9])], outputs, {"w": weight})


MODELS = {**FEATURES, "joins": joins}


@pytest.mark.parametrize("name", MODELS)
def test_forced_features_are_bit_identical(name: str) -> None:
    model = load(MODELS[name]())
    again = copied = over = joined = 0
    for seed, (target, io, objective) in enumerate(WAYS):
        plan = forced_plan(model, seed, target, io, objective)
        report = memplan.run(model, plan)
        assert report.identical, (target.name, io, objective, str(report))
        assert report.loaded_bytes + report.stored_bytes == sum(
            model.graph.tensor[m.tensor].nbytes for m in plan.moves
        )
        assert report.peaks == plan.peaks and report.ops == len(plan.schedule)
        assert f" executions in {format_size(plan.peaks['near'])} of near and " in str(report)
        again += len(plan.schedule) - len(model.graph.ops)
        copied, over, joined = copied + len(plan.moves), over + len(plan.inplace), joined + len(plan.joined)
    assert copied
    assert name not in ("branches", "joins") or (again and over)
    assert (joined > 0) == (name == "joins")


@pytest.mark.slow(reason="executes zoo models")
@pytest.mark.parametrize("name", ["squeezenet1_1", "ds_cnn_int8", "shufflenet_v2_x1", "unet", "bert_small"])
def test_forced_features_are_bit_identical_in_zoo_models(name: str) -> None:
    model = load_zoo_model(name)
    for seed in range(3):
        plan = forced_plan(
            model, seed, *WAYS[5 * seed % len(WAYS)], weights=("tensor", "ignore", "tensor")[seed]
        )
        assert (report := memplan.run(model, plan)).identical, str(report)


@pytest.mark.parametrize("kind", sorted(ELEMENTWISE - {"Swish"}))
def test_kernels_that_write_over_an_operand_give_the_same_bits(kind: str) -> None:
    """In place is truly in place: every kernel of onnxruntime bears it but for those that are named."""
    count = (
        1
        + (kind in {"Add", "Sub", "Mul", "Div", "Pow", "PRelu"})
        + 2 * (kind in {"Max", "Mean", "Min", "Sum"})
    )
    shapes = [(2, 7, 65, 33)] * count + [(7,)] * 4 * (kind == "BatchNormalization")
    names = [f"x{i}" for i in range(len(shapes))]
    number, dtype = (TensorProto.BOOL, np.bool_) if kind == "Not" else (F32, np.float32)
    more = {"approximate": "tanh"} if kind == "Gelu" else {}
    node = helper.make_node(kind, names, ["y"], **more)
    opset = ModelProto(ir_version=10, opset_import=[helper.make_opsetid("", 21)])
    infos = [helper.make_tensor_value_info(name, number, None) for name in (*names, "y")]
    session = make_session(opset, [node], infos[:-1], infos[-1:], {}, False)
    drawn = np.random.default_rng(0)
    data = [(drawn.random(shape) + 0.25).round(2).astype(dtype) for shape in shapes]

    def run_over(k: int | None) -> bytes:
        values = [Value(number, array.shape, aligned(array.nbytes)) for array in data]
        for value, array in zip(values, data, strict=True):
            value.data[:] = np.frombuffer(array.tobytes(), np.uint8)
        out = Value(number, shapes[0], aligned(data[0].nbytes) if k is None else values[k].data)
        run_bound(session, dict(zip(names, values, strict=True)), {"y": out})
        return out.data.tobytes()

    assert all(run_over(k) == run_over(None) for k in range(count)) == (kind not in REREADING)


def in_one_memory(model: Model, rows: str, over: str = "", joined: tuple[str, ...] = ()) -> Plan:
    """A plan in program order of residencies in one memory: `a:0-3@64` is a in steps [0, 3) at byte 64."""
    graph, found = model.graph, []
    for row in rows.split():
        name, times, offset = row.replace("@", ":").split(":")
        start, stop = map(int, times.split("-"))
        found.append(Residency(name, "near", start, stop, int(offset), graph.tensor[name].nbytes))
    pairs = tuple(InPlace(int(t), b, a) for t, b, a in (pair.split(":") for pair in over.split()))
    options = Options(io="external", inplace=True, join=True)
    order = tuple(op.name for op in graph.ops)
    return Plan(
        graph.name, graph.sha256, WIDE, options, "hand", Status.FEASIBLE, order, tuple(found), (),
        graph.aliases, pairs, joined,
    )  # fmt: skip


def small_join() -> Model:
    nodes = [
        helper.make_node("Tanh", ["x"], ["a"]),
        helper.make_node("Sigmoid", ["x"], ["b"]),
        helper.make_node("Neg", ["b"], ["c"]),
        helper.make_node("Concat", ["a", "c"], ["j"], axis=0),
        helper.make_node("Exp", ["j"], ["y"]),
    ]
    return load(proto(nodes, [("x", F32, [4, 4])], [("y", F32, [8, 4])]))


def test_a_part_is_written_over_an_operand_that_lies_in_its_place() -> None:
    model = small_join()
    plan = in_one_memory(model, "j:0-5@0 b:1-3@64", "2:c:b", ("Concat:j",))
    assert check(model.graph, plan, claims=False) == []
    assert memplan.run(model, plan).identical
    with pytest.raises(ExecutionError, match="writes 'c' over 'b', which it reads"):
        memplan.run(model, replace(plan, inplace=()))


def test_a_part_bound_to_the_wrong_byte_is_seen() -> None:
    model = small_join()
    plan = in_one_memory(model, "j:0-5@0 b:1-3@128", joined=("Concat:j",))
    assert check(model.graph, plan, claims=False) == [] and memplan.run(model, plan).identical
    ops = tuple(
        replace(op, joins=(("a", 0), ("c", 32))) if op.joins else op for op in model.graph.ops
    )  # c over half of a
    object.__setattr__(model.graph, "ops", ops)
    assert not memplan.run(model, plan).identical


def shown(model: Model, plan: Plan) -> bool:
    try:
        return not memplan.run(model, plan).identical
    except ExecutionError:
        return True


def test_sabotage_is_seen() -> None:
    model = load(MODELS["joins"]())
    kinds: dict[str, int] = {}
    for seed, (io, inplace) in enumerate(product(("host", "external"), (False, True))):
        plan = forced_plan(model, seed, STRICT, io, "traffic", inplace=inplace)
        assert memplan.run(model, plan).identical
        for what, wrong in sabotaged(model, plan):
            assert shown(model, wrong), what
            kinds[what.split()[0]] = kinds.get(what.split()[0], 0) + 1
    assert kinds.keys() == {"dropped", "elsewhere", "from", "too", "cut", "not"}, kinds


def test_overlapping_storages_in_any_memory_are_seen() -> None:
    model, seen = load(MODELS["branches"]()), 0
    plan = forced_plan(model, 1, STRICT, "external", "traffic", inplace=False, recompute=1)
    for a, b in product(plan.residencies, plan.residencies):
        if a.tensor != b.tensor and a.memory == b.memory and a.start < b.start < a.stop < b.stop:
            rows = tuple(r._replace(offset=a.offset) if r is b else r for r in plan.residencies)
            assert shown(model, replace(plan, residencies=rows)), (a, b)
            seen += 1
    assert seen


def test_a_memory_that_the_op_cannot_use_is_refused() -> None:
    model = load(MODELS["chain"]())
    plan = forced_plan(model, 0, WIDE, "external", "traffic", recompute=1)
    narrow = replace(WIDE, operands={"default": ("near",), "constants": ("near", "flash")})
    assert check(model.graph, replace(plan, target=narrow), claims=False)
    with pytest.raises(ExecutionError, match="which is not in near|has no place in near"):
        memplan.run(model, replace(plan, target=narrow))


def test_a_move_that_is_due_too_late_is_refused() -> None:
    """What it reads, or what it fills, is gone by then, or an op asks for it while it is under way."""
    model, seen = load(MODELS["branches"]()), 0
    plan = forced_plan(model, 3, WIDE, "host", "latency")
    for m in plan.moves:
        late = m._replace(due=min(m.due + 2, len(plan.schedule)))
        wrong = replace(plan, moves=tuple(late if x is m else x for x in plan.moves))
        if check(model.graph, wrong, claims=False):
            assert shown(model, wrong), late
            seen += 1
    assert seen


def main(prefixes: tuple[str, ...]) -> None:
    """A line a model: what was forced into it, and whether the outputs are bit-identical."""
    for entry in zoo_index():
        name, runs = entry["name"], entry["file"].endswith(".onnx.gz") or entry["name"].startswith("torch_")
        if not runs or not name.startswith(prefixes) or entry["weight_bytes"] >= 600_000_000:
            continue
        model = load_zoo_model(name)
        for seed, way in enumerate((WAYS[0], WAYS[WAYS.index((STRICT, "external", "traffic"))], WAYS[-1])):
            plan = forced_plan(model, seed, *way)
            report = memplan.run(model, plan)
            print(
                f"{name:30} {way[0].name:7} {way[1]:9} {way[2]:8} ops {len(model.graph.ops):5} executions {len(plan.schedule):5} "
                f"moves {len(plan.moves):5} joined {len(plan.joined):3} in place {len(plan.inplace):4} "
                f"{'identical' if report.identical else 'DIFFERENT: ' + str(report)}",
                flush=True,
            )


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or ("",))
