"""Plans in tiles executed in a real arena: the bits of the whole model, unless something is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

import memplan
from memplan import Region
from memplan.base.errors import ExecutionError
from memplan.ir.model import Model
from memplan.onnx.read import model_from_proto
from memplan.problem.plan import Plan
from memplan.runtimes import arena
from memplan.tiling.calls import Call, calls
from memplan.tiling.derive import derive
from tests.cli.program import memplan as program
from tests.pages import blocks, walk
from tests.tiling import models
from tests.tiling.drawn import drawn, tiling_of
from tests.tiling.models import loaded
from tests.tiling.test_derive import TILINGS

MODELS = (models.attention, models.mlp, models.residual_cnn, models.hourglass, models.quantized, models.qdq)
ROWS = (Region(("conv1", "relu6"), (2,), (2,), 2),)
"""Rows of a convolutional net, of which halos are kept."""


def planned(model: Model, tiling: tuple[Region, ...], **options: Any) -> Plan:
    asked = {"scratchpad": "max", "solver": "greedy", "workers": 1, "time_limit_s": 30} | options
    plan = memplan.plan(model, tiling=tiling, **asked)
    assert plan.schedule, plan.reason
    return plan


@pytest.mark.slow(reason="executes many programs")
@pytest.mark.parametrize(("make", "tiling"), TILINGS)
def test_tiles_give_the_bits_of_the_whole(make: Callable[[], ModelProto], tiling: list[Region]) -> None:
    model = loaded(make)
    for inplace in (False, True):
        report = memplan.run(model, planned(model, tuple(tiling), inplace=inplace))
        assert report.identical, str(report)
        assert f"executions of tiles (exact: {report.exact}) in" in str(report)


def execute_random(model: Model, rng: random.Random, count: int) -> set[str]:
    """So many random tilings, each planned in a way of its own; how exact they said that they are."""
    said = set[str]()
    for _ in range(count):
        tiling = tiling_of(model.graph, rng)
        way = {"inplace": rng.random() < 0.5, "alignment": rng.choice((1, 64))}
        way |= {"scratchpad": rng.choice(("max", "MR")), "weights": rng.choice(("ignore", "tensor"))}
        report = memplan.run(model, planned(model, tiling, **way))
        level, _, _ = (report.exact or "by type").partition(",")  # without regions nothing is in tiles
        assert report.identical or level == "no", (tiling, way, str(report))
        assert all(output.max_abs_difference < 1e-3 for output in report.outputs), (tiling, way, str(report))
        said.add(level)
    return said


@pytest.mark.parametrize("make", MODELS)
def test_random_tilings_are_as_exact_as_they_say(make: Callable[[], ModelProto]) -> None:
    assert execute_random(loaded(make), random.Random(3), 4)


@pytest.mark.slow(reason="executes many programs")
def test_random_models_are_as_exact_as_they_say() -> None:
    said = [
        execute_random(model_from_proto(drawn(rng), "net", ".", {}), rng, 1)
        for rng in map(random.Random, range(12))
    ]
    assert set[str]().union(*said) >= {"by type", "by rule", "no"}


@pytest.mark.slow(reason="executes many tilings")
@pytest.mark.parametrize("make", MODELS)
def test_many_random_tilings_are_as_exact_as_they_say(make: Callable[[], ModelProto]) -> None:
    assert "by rule" in execute_random(loaded(make), random.Random(4), 15)


@pytest.mark.slow(reason="executes many tilings")
def test_many_random_models_are_as_exact_as_they_say() -> None:
    for rng in map(random.Random, range(100, 160)):
        execute_random(model_from_proto(drawn(rng), "net", ".", {}), rng, 1)


def shown(model: Model, plan: Plan) -> bool:
    try:
        return not memplan.run(model, plan).identical
    except ExecutionError:
        return True


def test_wrong_padding_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(models.residual_cnn)
    plan = planned(model, ROWS)
    derived = derive(model.graph, ROWS)
    right = calls(model.graph, derived)

    def shifted(call: Call) -> Call:
        """A row of padding in front instead of behind, or the other way round."""
        image = call.operands[0]
        rows = image.pads[2][::-1]
        pads = (*image.pads[:2], rows, *image.pads[3:])
        return call._replace(operands=(image._replace(pads=pads), *call.operands[1:]))

    seen = 0
    for name, call in right.items():
        if call.op.kind == "Conv" and call.operands[0].pads[2] != call.operands[0].pads[2][::-1]:
            wrong = {**right, name: shifted(call)}
            monkeypatch.setattr(arena, "calls", lambda *_, wrong=wrong: wrong)
            assert shown(model, plan), name
            seen += 1
    assert seen


def test_chunks_that_overlap_are_seen() -> None:
    model = loaded(models.residual_cnn)
    plan = planned(model, ROWS, inplace=False)
    graph = derive(model.graph, ROWS)
    chunks = [r for r in plan.residencies if graph.tensor[r.tensor].part is not None]
    pairs = [
        (a, b) for a, b in product(chunks, chunks) if a.start < b.start < a.stop - 1 and b.stop > b.start + 1
    ]
    assert pairs
    for a, b in random.Random(0).sample(pairs, min(len(pairs), 6)):
        rows = tuple(r._replace(offset=a.offset) if r is b else r for r in plan.residencies)
        assert shown(model, replace(plan, residencies=rows)), (a, b)


def test_a_chunk_that_is_gone_too_early_is_missed() -> None:
    model = loaded(models.attention)
    tiling = (Region(("scores", "mixed"), (2,), (5,)),)
    plan = planned(model, tiling)
    r = next(r for r in plan.residencies if r.tensor.startswith("p[") and r.stop > r.start + 1)
    short = tuple(x._replace(stop=r.stop - 1) if x is r else x for x in plan.residencies)
    with pytest.raises(ExecutionError, match="which is not in"):
        memplan.run(model, replace(plan, residencies=short))


def test_what_is_gathered_lies_in_the_plan_s_workspace_and_is_poisoned_after_the_op() -> None:
    """A tensor that lies where a workspace is reads what was gathered there, then poison."""
    model = loaded(models.attention)
    tiling = (Region(("scores", "scores"), (2,), (2,)),)
    plan = planned(model, tiling)
    assert memplan.run(model, plan).identical
    space = next(r for r in plan.residencies if r.tensor.endswith(".workspace"))
    op = next(op for op in derive(model.graph, tiling).ops if space.tensor in op.outputs)
    others = (r for r in plan.residencies if r.tensor not in op.inputs)
    hit = next(r for r in others if r.start < space.start and r.stop > space.stop and r.size >= space.size)
    rows = tuple(r._replace(offset=hit.offset) if r is space else r for r in plan.residencies)
    report = memplan.run(model, replace(plan, residencies=rows))
    assert not report.identical
    assert report.outputs[0].max_abs_difference == np.inf  # poison is NaN


def test_a_state_that_is_not_written_over_is_copied() -> None:
    """Without pairs in place each tile's state of the whole tensor lies elsewhere than the one before."""
    model = loaded(models.attention)
    tiling = (Region(("norm2", "residual2"), (1,), (5,)),)
    plan = planned(model, tiling, inplace=False)
    states = [r for r in plan.residencies if r.tensor.startswith("y")]
    assert len({(r.tensor, r.offset) for r in states}) == 3 and not plan.inplace
    assert memplan.run(model, plan).identical


@pytest.mark.slow(reason="executes many programs")
def test_the_walk_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,), (printed,) = blocks("tiles.md", "python"), blocks("tiles.md", "text")
    exec(compile(code, "docs/tiles.md", "exec"), {})
    assert capsys.readouterr().out == printed
    assert walk("tiles.md", tmp_path) == 3


@pytest.mark.slow(reason="executes many programs")
def test_the_program_says_how_exact_tiles_are(tmp_path: Path) -> None:
    onnx.save(models.hourglass(), tmp_path / "net.onnx")
    asked = (
        "net.onnx",
        "--scratchpad",
        "max",
        "--objective",
        "peak",
        "--order",
        "program",
        "--time-limit",
        "5",
    )
    done = program("plan", *asked, "--tile", "exact", "--emit", "json,onnx", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0 and "(exact: by rule)" in done.stderr, done.stderr
    done = program("run", "net.onnx", "out/net.plan.json", cwd=tmp_path)
    assert done.returncode == 0 and "of tiles (exact: by rule) in" in done.stdout, done.stderr
