"""Graphs of .tflite files."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import pytest

import memplan
from memplan.base.errors import BoundError, DimensionError, GraphError
from tests.tflite_models import Sub, branching, conditional, halved, random_net, stateful, tflite


def loaded(made: bytes, folder: Path) -> memplan.Model:
    file = folder / "net.tflite"
    file.write_bytes(made)
    return memplan.load(file)


def test_sizes_kinds_and_names(tmp_path: Path) -> None:
    main = Sub()
    x = main.input((1, 2, 2, 3), "int8", name="image")
    y = main.op("RELU", [x], (1, 2, 2, 3), dtype="int8", name="image")
    main.outputs.append(main.op("RELU", [y], (1, 2, 2, 3), dtype="int8", name=""))
    graph = loaded(tflite(main), tmp_path).graph
    assert [(t.name, t.kind, t.nbytes, t.dtype) for t in graph.tensors] == [
        ("image", "input", 12, "int8"),
        ("image#1", "activation", 12, "int8"),
        ("tensor_2", "activation", 12, "int8"),
    ]
    assert graph.outputs == ("tensor_2",) and [op.name for op in graph.ops] == ["relu_0", "relu_1"]
    assert graph.ops[0].overwrites == (("image#1", "image"),) and graph.ops[0].source == ("operator 0",)


def test_a_reshape_is_a_view_but_of_a_constant(tmp_path: Path) -> None:
    main = Sub()
    x, shape = main.input((2, 8)), main.constant(np.array([16], np.int32))
    main.outputs.append(main.op("RESHAPE", [x, shape], (16,)))
    main.outputs.append(main.op("RESHAPE", [main.constant(np.zeros((2, 8), np.float32)), shape], (16,)))
    graph = loaded(tflite(main), tmp_path).graph
    assert [op.view for op in graph.ops] == [True, False]
    assert graph.tensor["t2"].place == ("t0", 0)


def test_a_smaller_operand_is_not_overwritten(tmp_path: Path) -> None:
    main = Sub()
    x, y = main.input((4, 8)), main.input((8,))
    main.outputs.append(main.op("ADD", [main.op("ABS", [y], (8,)), main.op("ABS", [x], (4, 8))], (4, 8)))
    op = loaded(tflite(main), tmp_path).graph.ops[2]
    assert op.overwrites == ((op.outputs[0], op.inputs[1]),)


def test_a_called_subgraph_is_a_workspace(tmp_path: Path) -> None:
    graph = loaded(conditional(), tmp_path).graph
    assert graph.ops[1].kind == "IF" and graph.ops[1].workspace == "if_1.workspace"
    assert graph.tensor["if_1.workspace"].nbytes == 4 * 4 * 36 * 4


def test_variables_order_ops_and_take_no_bytes(tmp_path: Path) -> None:
    graph = loaded(stateful(), tmp_path).graph
    ops = {op.name: op for op in graph.ops}
    assert ops["assign_variable_4"].after == ("call_once_0", "read_variable_2")
    assert ops["read_variable_5"].after == ("assign_variable_4",) and ops["read_variable_5"].once
    assert graph.tensor["t0"].nbytes == 64 and graph.tensor["t1"].nbytes == 0


def test_a_variable_tensor_is_the_runtimes(tmp_path: Path) -> None:
    main = Sub()
    x, state = main.input((1, 8)), main.tensor((1, 12), variable=True)
    weights = main.constant(np.zeros((6, 8), np.float32))
    time = main.constant(np.zeros((6, 2), np.float32))
    for _ in range(2):
        x = main.op("SVDF", [x, weights, time, -1, state], (1, 6))
    main.outputs.append(x)
    graph = loaded(tflite(main), tmp_path).graph
    assert "t1" not in graph.tensor and graph.ops[0].inputs == ("t0", "t2", "t3")
    assert graph.ops[1].after == ("svdf_0",) and graph.ops[0].once


def test_folding_is_told(tmp_path: Path) -> None:
    model = loaded(halved(), tmp_path)
    assert len(model.graph.ops) == 1 and "only unpack constants" in model.notes[0]


def test_sizes_are_fixed(tmp_path: Path) -> None:
    file = tmp_path / "net.tflite"
    file.write_bytes(branching())
    with pytest.raises(DimensionError, match="are fixed"):
        memplan.load(file, {"batch": 4})
    with pytest.raises(BoundError):
        memplan.load(file, bounds={"t0": (1,)})
    with pytest.raises(GraphError, match="cannot read"):
        memplan.load(tmp_path / "absent.tflite")


def test_what_nobody_writes_is_refused(tmp_path: Path) -> None:
    main = Sub()
    main.outputs.append(main.op("RELU", [main.tensor((4,))], (4,)))
    with pytest.raises(GraphError, match="nothing writes it"):
        loaded(tflite(main), tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_a_model_or_one_error(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    made = [conditional(), stateful(), halved(), random_net(seed)][seed]
    for _ in range(150):
        damaged = bytearray(made)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        with contextlib.suppress(memplan.MemplanError):
            loaded(bytes(damaged), tmp_path)


@pytest.mark.parametrize("seed", range(10))
def test_plans_of_random_networks_are_valid(seed: int, tmp_path: Path) -> None:
    model = loaded(random_net(seed), tmp_path)
    plan = memplan.plan(model, runtime="tflm", solver="greedy")
    assert plan.schedule and memplan.check(model, plan) == []
