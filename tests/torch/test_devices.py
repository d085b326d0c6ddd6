"""A torch program lies on one device, which its emitted forms keep; fake tensors stand in for a device here."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule

import memplan
from memplan.base.errors import GraphError
from memplan.cli import main

CUDA = torch.device("cuda", 0)


class Factories(nn.Module):
    """Makes tensors on its operands' device; with little memory, it has to store one."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        kept = torch.relu(x @ w + x.new_zeros(4)) + torch.arange(4, device=x.device)
        return ((kept + torch.tensor(2.0)).exp() @ w).exp() + kept + torch.ones_like(x)


def program(first: str = "cuda", second: str = "cuda", net: nn.Module | None = None, **options: Any) -> Any:
    with FakeTensorMode(allow_non_fake_inputs=True):
        operands = torch.empty(2, 4, device=first), torch.empty(4, 4, device=second)
        return torch.export.export(net or Factories(), operands, **options)


def devices(module: GraphModule) -> set[torch.device]:
    """Those that nodes state."""
    stated = [node.kwargs.get("device") for node in module.graph.nodes]
    return {device for device in stated if isinstance(device, torch.device)}


@pytest.mark.parametrize(
    ("device", "home"), [("cuda", CUDA), ("meta", torch.device("cpu")), ("cpu", torch.device("cpu"))]
)
@pytest.mark.slow(reason="exports many programs")
def test_emission_keeps_the_device_and_the_graph_is_the_same(device: str, home: torch.device) -> None:
    model = memplan.from_exported(program(device, device))
    assert model.graph == memplan.from_exported(program("cpu", "cpu")).graph
    plan = memplan.plan(model, solver="greedy")
    for moves in (False, True):
        emitted = memplan.emit_fx(model, plan, moves=moves)
        assert devices(emitted) == {home}
    assert emitted.memplan_scratchpad.device == home  # type: ignore[union-attr]
    used = max(r.offset + r.size for r in plan.residencies)
    assert emitted.memplan_scratchpad.shape == (used,)  # type: ignore[union-attr]
    values = [node.meta["val"] for node in model.source.graph.nodes if node.op != "output"]
    assert {value.device for value in values} == {home}
    fetched = [n for n in emitted.graph.nodes if n.meta.get("memplan", {}).get("move") == "fetch"]
    assert len(fetched) == (home == CUDA)  # the result, which was stored in host memory, comes back


def test_an_emitted_module_is_planned_again_for_its_device() -> None:
    model = memplan.from_exported(program())
    emitted = memplan.emit_fx(model, memplan.plan(model, solver="greedy"))
    assert devices(memplan.from_fx(emitted).source) == {CUDA}


def test_a_pickled_model_keeps_its_device() -> None:
    model = pickle.loads(pickle.dumps(memplan.from_exported(program())))
    emitted = memplan.emit_fx(model, memplan.plan(model, solver="greedy"), moves=True)
    assert emitted.memplan_scratchpad.device == CUDA  # type: ignore[union-attr]


def test_free_dimensions_keep_the_device() -> None:
    free = program(dynamic_shapes=({0: torch.export.Dim("rows", min=2, max=64)}, None))
    assert devices(memplan.from_exported(free, {"x:0": 8}).source) == {CUDA}


@pytest.mark.skipif(torch.cuda.is_available(), reason="the program runs on its own device")
def test_a_run_takes_the_cpu_where_the_device_is_not_there() -> None:
    model = memplan.from_exported(program())
    report = memplan.run(model, memplan.plan(model, solver="greedy"))
    there = memplan.from_exported(program("cpu", "cpu"))
    assert report.identical
    assert report.outputs == memplan.run(there, memplan.plan(there, solver="greedy")).outputs
    assert devices(model.source) == {CUDA}


class Apart(nn.Module):
    """Never brings its operands together."""

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return x * 2, w * 2


def test_several_devices_are_refused_with_a_tensor_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = program("cuda", "cpu", Apart())
    with pytest.raises(GraphError, match=r"several devices: 'x' on cuda:0, 'w' on cpu"):
        memplan.from_exported(mixed)
    torch.export.save(mixed, tmp_path / "mixed.pt2")
    assert main(["plan", str(tmp_path / "mixed.pt2")]) == 2
    assert "'x' on cuda:0, 'w' on cpu" in capsys.readouterr().err


def test_what_nodes_make_counts_unless_it_is_a_scalar_of_the_cpu() -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    full = graph.call_function(torch.ops.aten.full.default, ([3], 1.0))
    graph.output(graph.call_function(torch.ops.aten.add.Tensor, (x, full)))
    with FakeTensorMode():
        operand = torch.empty(3, device="cuda")
    with pytest.raises(GraphError, match=r"'x' on cuda:0, 'full_default' on cpu"):
        memplan.from_fx(GraphModule(nn.Module(), graph), [operand])
    full.args = ([], 1.0)
    assert len(memplan.from_fx(GraphModule(nn.Module(), graph), [operand]).graph.ops) == 1
