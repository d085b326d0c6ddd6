"""Torch's own profiler counts what a planned program allocates, and it is what the plan says, to the byte."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from memplan_models.recipes import torch_cnns, torch_training, torch_transformers
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

import memplan
from memplan import Model, Plan
from memplan.base.errors import DimensionError, MemplanError, OptionError, PlanError
from memplan.runtimes.torch_measure import in_order
from memplan.torch.allocations import allocated
from tests.cli.program import memplan as program_run
from tests.pages import walk


class Branches(nn.Module):
    """Wide branches one after another, each narrow at its end: their order decides the peak."""

    def __init__(self, branches: int = 4) -> None:
        super().__init__()
        self.wide = nn.ModuleList(nn.Linear(8, 64 * (i + 1)) for i in range(branches))
        self.narrow = nn.ModuleList(nn.Linear(64 * (i + 1), 4) for i in range(branches))

    def forward(self, x: Tensor) -> Tensor:
        wide = [layer(x).relu() for layer in self.wide]
        return torch.cat([layer(y) for layer, y in zip(self.narrow, wide, strict=True)], -1)


def branching() -> Model:
    torch.manual_seed(0)
    program = torch.export.export(Branches().eval(), (torch.randn(16, 8),))
    return memplan.from_exported(program, name="branches", runtime="torch")


@cache
def step(name: str) -> Model:
    """Recipes of the zoo, shrunk."""
    if name == "unet":
        return memplan.from_exported(torch_cnns.unet(32), name=name, runtime="torch")
    if name == "bert":
        return memplan.from_exported(
            torch_transformers.bert_base(1, 32, 4, 100, 16), name=name, runtime="torch"
        )
    if name == "cnn step":
        return memplan.from_fx(torch_training.small_cnn_step(2, 16), name=name, runtime="torch")
    return memplan.from_fx(torch_training.tiny_gpt_step(1, 16, 2, 2, 8), name=name, runtime="torch")


@pytest.mark.parametrize(
    "name", ["unet", "bert", "cnn step", pytest.param("gpt step", marks=pytest.mark.slow)]
)
def test_torch_takes_what_the_plan_says(name: str) -> None:
    model = step(name)
    found = memplan.measure(model, memplan.plan(model, objective="peak", solver="peak"), "torch")
    assert found.obeys and found.measured == found.predicted <= found.own, str(found)
    assert found.kept == "plan" and found.outputs > 0 and found.ordered


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "traffic", "scratchpad": "MH", "solver": "greedy"},
        pytest.param(
            {"objective": "compute", "scratchpad": "0.9MP", "recompute": "any", "time_limit_s": 1},
            marks=pytest.mark.slow(reason="executes many nets"),
        ),
    ],
)
def test_what_is_stored_or_executed_again_takes_no_more(options: dict[str, Any]) -> None:
    model = step("unet")
    plan = memplan.plan(model, **options)
    assert plan.moves or len(plan.schedule) > len(model.graph.ops)
    found = memplan.measure(model, plan, "torch")
    assert found.obeys and found.ordered and found.measured < found.own, str(found)


def test_each_order_takes_its_own_bytes() -> None:
    model = branching()
    seen = {}
    for order in ("program", "free"):
        plan = memplan.plan(model, objective="peak", order=order, solver="peak")
        found = memplan.measure(model, plan, "torch")
        assert found.obeys
        seen[order] = found.measured
    assert seen["free"] < seen["program"] == found.own


def test_ops_in_another_order_are_seen() -> None:
    model = branching()
    plan = memplan.plan(model, objective="peak", solver="peak")
    called = ["aten::linear", "aten::relu"] * 4
    assert in_order(model.graph, plan, [*called, *["aten::linear"] * 4, "aten::cat"]) is False
    first, *rest = model.graph.ops
    bodied = replace(model.graph, ops=(replace(first, kind="cond"), *rest))
    assert in_order(bodied, plan, called) is None


@pytest.mark.slow(reason="measures several steps of training")
def test_bodies_of_control_flow_take_no_more_than_is_planned() -> None:
    class Conditional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.cond(x.sum() > 0, lambda z: (z + 1).exp(), lambda z: (z * 2).sin(), [x])
            return y.relu() + x

    program = torch.export.export(Conditional(), (torch.randn(8, 8),))
    model = memplan.from_exported(program, runtime="torch")
    found = memplan.measure(model, memplan.plan(model, objective="peak", solver="peak"), "torch")
    assert found.obeys and found.at_most and found.ordered is None and found.measured < found.predicted


def test_a_plan_that_claims_less_is_not_obeyed() -> None:
    model = branching()
    plan = memplan.plan(model, objective="peak", solver="peak")
    lying = replace(plan, metrics=plan.metrics._replace(live_peak=plan.metrics.live_peak - 4))
    assert not memplan.measure(model, lying, "torch").obeys


def test_two_live_tensors_in_one_place_change_the_outputs() -> None:
    model = memplan.from_exported(torch.export.export(Branches().eval(), (torch.randn(16, 8),)))
    plan = memplan.plan(model, solver="greedy", alignment=64)
    assert memplan.run(model, plan).identical
    rows = [r for r in plan.residencies if r.tensor in {x for op in model.graph.ops[-1:] for x in op.inputs}]
    assert len(rows) > 1  # the parts of the concatenation, all live when it runs
    moved = tuple(r._replace(offset=rows[0].offset) if r is rows[1] else r for r in plan.residencies)
    assert not memplan.run(model, replace(plan, residencies=moved)).identical


def test_random_numbers_are_drawn_once_and_in_the_programs_order() -> None:
    def f(x: Tensor) -> Tensor:
        a, b = torch.nn.functional.dropout(x * 2), torch.nn.functional.dropout(x * 3)
        return b.sum(0) + a.sum(0)

    x = torch.randn(32, 4)
    model = memplan.from_fx(make_fx(f)(x), [x], runtime="torch")
    drawn = [op.name for op in model.graph.ops if op.once]
    assert len(drawn) == 2
    plan = memplan.plan(model, objective="peak", solver="peak")
    assert [name for name in plan.schedule if name in drawn] == drawn
    found = memplan.measure(model, plan, "torch")
    assert found.obeys, str(found)


def test_kernels_are_asked_what_they_take() -> None:
    x = torch.randn(64, 16)
    model = memplan.from_fx(
        make_fx(lambda x: torch.nn.functional.mse_loss(x, x * 2))(x), [x], runtime="torch"
    )
    loss = model.graph.tensor["mse_loss"]
    assert (
        loss.shape == () and loss.nbytes == x.nbytes
    )  # its kernel sums up in the storage of the differences
    drawing = make_fx(lambda x: torch.nn.functional.dropout(x))(x)
    state = torch.get_rng_state()
    memplan.from_fx(drawing, [x], runtime="torch")
    assert torch.equal(state, torch.get_rng_state())
    _, seen = allocated(lambda: [x + 1, (x + 2).sum()][1])
    assert seen.held == 4 and seen.peak >= 2 * x.nbytes


def test_what_torch_does_not_do_is_refused() -> None:
    model = branching()
    plan = memplan.plan(model, objective="peak", solver="peak")
    with pytest.raises(MemplanError, match="not read as torch executes it"):
        memplan.measure(replace(model, runtime=None), plan, "torch")
    with pytest.raises(PlanError, match="io host"):
        memplan.measure(model, memplan.plan(model, io="host", solver="greedy"), "torch")
    with pytest.raises(OptionError, match="was not read as torch executes it"):
        memplan.plan(replace(model, runtime=None), runtime="torch")
    with pytest.raises(OptionError, match="'tc_resnet8' was not read as torch executes it"):
        memplan.plan(memplan.load("tc_resnet8", runtime="torch"), runtime="torch")
    batch = {"x": {0: torch.export.Dim("batch", max=64)}}
    ranged = torch.export.export(Branches(), (torch.randn(16, 8),), dynamic_shapes=batch)
    with pytest.raises(DimensionError, match="a range cannot be planned"):
        memplan.from_exported(ranged, {"x:0": (2, 16)}, runtime="torch")


@pytest.mark.slow(reason="starts several programs")
def test_the_commands_of_the_page(tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(Branches().eval(), (torch.randn(16, 8),)), file)
    assert walk("torch.md", tmp_path) == 2
    plan = tmp_path / "out" / "net.plan.json"
    assert json.loads(plan.read_text())["runtime"] == "torch"
    done = program_run("measure", file, plan, "--on", "torch", "--json")
    assert json.loads(done.stdout)["obeys"] is True
    assert program_run("run", file, plan).returncode == 0


def test_a_kernel_that_takes_more_is_no_obedience(monkeypatch: pytest.MonkeyPatch) -> None:
    model = step("unet")
    graph = model.graph
    lean = replace(
        graph, tensors=tuple(replace(t, nbytes=0) if t.kind == "workspace" else t for t in graph.tensors)
    )
    assert lean != graph
    plan: Plan = memplan.plan(replace(model, graph=lean), objective="peak", solver="peak")
    found = memplan.measure(replace(model, graph=lean), plan, "torch")
    assert not found.obeys and not found.different
