"""Files in tiles, run by the interpreter: the outputs' bits, and the head of the arena as planned."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memplan
from memplan.base.errors import PlanError
from memplan.runtimes.tflm import measure
from memplan.tflite.emit import METADATA, planned_tflite
from memplan.tflite.program import parse
from memplan.tflite.scratch import ALIGNMENT
from memplan.tiling.record import Region
from tests.tflite.test_read import loaded
from tests.tflite_models import SAME, VALID, Sub, conditional, sliding, tflite


def filtered(sub: Sub, x: int, rng: random.Random, dtype: str, depthwise: bool) -> int:
    """A convolution of random window, stride, dilation and padding after x; of int8 elements with a scale for each channel."""
    _, height, width, old = sub.tensors[x][0]
    kernel, strides, padding = (
        (rng.choice((1, 3, 5)), rng.choice((1, 2, 3))),
        (rng.choice((1, 1, 2)), 1),
        SAME,
    )
    dilation = rng.choice((1, 2)) if strides == (1, 1) else 1
    if rng.random() < 0.3 and min(height, width) > 2 * kernel[0] + 6:
        padding = VALID
    new = old if depthwise else rng.choice((2, 4, 8))
    covered = [
        size - (k - 1) * dilation * (padding == VALID)
        for size, k in zip((height, width), kernel, strict=True)
    ]
    shape = (1, *(-(-size // stride) for size, stride in zip(covered, strides, strict=True)), new)
    values = np.random.default_rng(rng.randrange(1000))
    held = (1, *kernel, old) if depthwise else (new, *kernel, old)
    if dtype == "int8":
        weights = sub.constant(values.integers(-127, 128, held, np.int8), scale=0.01)
        bias = sub.constant(values.integers(-500, 500, new, np.int32), scale=0.001)
    else:
        weights = sub.constant(values.uniform(-1, 1, held).astype(np.float32))
        bias = sub.constant(values.uniform(-1, 1, new).astype(np.float32))
    at = 5 if depthwise else 4
    more = {at: ("i", dilation), at + 1: ("i", dilation)} | ({3: ("i", 1)} if depthwise else {})
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    return sub.op(kind, [x, weights, bias], shape, sliding(padding, strides, more), dtype, **scaled(dtype))


def scaled(dtype: str) -> dict[str, Any]:
    return {"scale": 0.1} if dtype == "int8" else {}


def chain(seed: int) -> bytes:
    """A chain of convolutions, pools and activations of random windows, with a sum over a part of it."""
    rng, sub = random.Random(seed), Sub()
    dtype = rng.choice(("float32", "int8"))
    x = sub.input((1, rng.choice((12, 17, 24)), 10, 3), dtype, **scaled(dtype))
    for step in range(rng.randint(3, 6)):
        kind = rng.choice(("conv", "depthwise", "depthwise", "pool", "sum"))
        _, height, width, channels = shape = sub.tensors[x][0]
        if kind == "pool" and step:
            options = sliding(rng.choice((SAME, VALID)), (1, 1), {3: ("i", 2), 4: ("i", 3)})
            small = (1, height - 2, width - 1, channels) if options[0] == ("b", VALID) else shape
            name = rng.choice(("MAX_POOL_2D", "AVERAGE_POOL_2D"))
            x = sub.op(name, [x], small, options, dtype, **scaled(dtype))
        elif kind == "sum":
            x = sub.op("ADD", [x, x], shape, None, dtype, **scaled(dtype))
        else:
            x = filtered(sub, x, rng, dtype, kind == "depthwise" or not step)
    sub.outputs.append(x)
    return tflite(sub)


def in_rows(model: memplan.Model, rows: int, cache: bool) -> memplan.Plan:
    """A plan with all ops in tiles of so many rows, halos kept or computed again."""
    ops = model.graph.ops
    region = Region((ops[0].name, ops[-1].name), (1,), (rows,), 1 if cache else None)
    return memplan.plan(model, runtime="tflm", solver="greedy", tiling=[region])


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 16))]
)
def test_the_interpreter_runs_tiles(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="the extra [tflm] is not installed")
    model = loaded(chain(seed), tmp_path)
    plan = in_rows(model, 1 + seed % 3, seed % 2 == 0)
    found = measure(model, plan)
    assert found.obeys and found.measured == found.predicted and found.different == 0
    assert found.predicted < plan.metrics.peak + ALIGNMENT


def test_what_is_written_once_is_shared_and_all_else_stays(tmp_path: Path) -> None:
    made = chain(16)
    model = loaded(made, tmp_path)
    before, after = parse(made, "x"), parse(planned_tflite(model, in_rows(model, 1, cache=True)), "x")
    main, tiled = before.subgraphs[0], after.subgraphs[0]
    assert (tiled.inputs, tiled.outputs) == (main.inputs, main.outputs)
    assert [after.held(v) for v in tiled.tensors[: len(main.tensors)] if v.constant] == [
        before.held(v) for v in main.tensors if v.constant
    ]
    chunked = {i for op in main.operators for i in op.outputs} - set(main.outputs)
    assert all((v.nbytes == 0) == (i in chunked) for i, v in enumerate(tiled.tensors[: len(main.tensors)]))
    kinds = {op.kind for op in tiled.operators}
    assert kinds == {op.kind for op in main.operators} | {"CONCATENATION"}
    rows = main.tensors[main.outputs[0]].shape[1]
    assert sum(op.kind == "CONCATENATION" for op in tiled.operators) <= 3 * rows * len(main.operators)
    held = [after.held(v) for v in tiled.tensors[len(main.tensors) :] if v.constant]
    assert held and len(set(held)) == len(held)
    assert [name for name, _ in after.metadata] == [METADATA]


def test_tiles_that_are_no_operators_are_refused(tmp_path: Path) -> None:
    sub = Sub()
    x = sub.op("RELU", [sub.input((1, 8, 6, 4))], (1, 8, 6, 4))
    y = filtered(sub, x, random.Random(1), "float32", depthwise=True)
    sub.outputs.append(sub.op("PAD", [y, sub.constant(np.zeros((4, 2), np.int32))], sub.tensors[y][0]))
    model = loaded(tflite(sub), tmp_path)
    for axis, first, last in ((3, 0, 1), (2, 0, 1), (1, 1, 2)):
        region = Region((model.graph.ops[first].name, model.graph.ops[last].name), (axis,), (2,))
        plan = memplan.plan(model, runtime="tflm", solver="greedy", tiling=[region])
        assert memplan.check(model, plan) == []
        with pytest.raises(PlanError, match="no operator on rows"):
            planned_tflite(model, plan)


def test_a_file_that_calls_subgraphs_is_refused(tmp_path: Path) -> None:
    model = loaded(conditional(), tmp_path)
    region = Region((model.graph.ops[2].name, model.graph.ops[2].name), (1,), (2,))
    plan = memplan.plan(model, runtime="tflm", solver="greedy", tiling=[region])
    with pytest.raises(PlanError, match="calls subgraphs"):
        planned_tflite(model, plan)


def test_regions_are_found(tmp_path: Path) -> None:
    """A wide depthwise convolution between narrow ones: all of it is never there at once."""
    sub = Sub()
    narrow = sub.conv(sub.input((1, 16, 8, 4)), 4)
    wide = sub.conv(narrow, 32, 1)
    kernel, bias = np.ones((1, 3, 3, 32), np.float32), np.zeros(32, np.float32)
    filtered_wide = sub.op(
        "DEPTHWISE_CONV_2D", [wide, sub.constant(kernel), sub.constant(bias)], (1, 16, 8, 32),
        sliding(SAME, (1, 1), {3: ("i", 1)}),
    )  # fmt: skip
    sub.outputs.append(sub.op("ADD", [narrow, sub.conv(filtered_wide, 4, 2)], (1, 16, 8, 4)))
    model = loaded(tflite(sub), tmp_path)
    whole = memplan.plan(model, runtime="tflm", solver="greedy")
    regions = memplan.tile(model, runtime="tflm", time_limit_s=5)
    tiled = memplan.plan(model, runtime="tflm", solver="greedy", tiling=regions)
    assert regions and tiled.metrics.peak < whole.metrics.peak / 2
    assert memplan.check(model, tiled) == [] and planned_tflite(model, tiled)


def test_columns_that_no_window_reaches_are_no_gaps(tmp_path: Path) -> None:
    """Every other pixel of both axes is read, the last column is not."""
    sub = Sub()
    x = sub.input((1, 12, 8, 2))
    weights = sub.constant(np.array([[[[1, 2]]], [[[3, -1]]]], np.float32))
    sub.outputs.append(sub.op("CONV_2D", [x, weights], (1, 6, 4, 2), sliding(SAME, (2, 2))))
    model = loaded(tflite(sub), tmp_path)
    plan = in_rows(model, 2, cache=False)
    tiled = parse(planned_tflite(model, plan), "x").subgraphs[0]
    assert {op.kind for op in tiled.operators} == {"CONV_2D"}
    pytest.importorskip("tflite_micro", reason="the extra [tflm] is not installed")
    assert measure(model, plan).obeys
