"""Forward and backward planned together: eager's bits, and no more memory than the plan says, by the profiler's count."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed
from torch.nn import functional as F

import memplan
from memplan import Model, Plan
from memplan.torch.allocations import allocated
from tests.forced import forced_plan


class Net(nn.Module):
    """Layers whose activations are much larger than their weights, with a norm that keeps statistics, and dropout."""

    def __init__(self, layers: int = 2, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, 4 * width),
                nn.BatchNorm1d(4 * width),
                nn.GELU(),
                nn.Linear(4 * width, width),
                nn.Dropout(0.2),
            )
            for _ in range(layers)
        )
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return F.mse_loss(self.norm(x), y)


def step(call: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Forward and backward, random numbers drawn from a fixed seed."""
    torch.manual_seed(7)
    loss = call(*inputs)
    loss.backward()
    return loss


def trained(net: nn.Module, *inputs: Tensor, backend: Any = None) -> tuple[list[Tensor], int]:
    """Loss, gradients and buffers of a step of a copy of the net, and the most bytes allocated; compiled beforehand."""
    net = copy.deepcopy(net)
    before = copy.deepcopy(net.state_dict())
    call = net if backend is None else torch.compile(net, backend=backend, dynamic=False)
    step(call, *inputs)
    net.load_state_dict(before)
    for value in (*net.parameters(), *inputs):
        value.grad = None
    loss, seen = allocated(lambda: step(call, *inputs))
    grads = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    torch._dynamo.reset()
    return [loss.detach(), *grads, *net.buffers()], seen.peak


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return len(found) == len(expected) and all(map(torch.equal, found, expected))


PLANS = {
    "order": {"objective": "peak", "solver": "peak"},
    "executed again": {"objective": "compute", "recompute": "any", "scratchpad": "0.7MP"},
    "stored on the host": {"objective": "traffic", "scratchpad": "0.7MP", "solver": "greedy"},
}


@pytest.mark.parametrize(
    "way",
    [
        "order",
        pytest.param("executed again", marks=pytest.mark.slow(reason="traces many programs")),
        "stored on the host",
    ],
)
def test_a_step_has_eagers_bits_and_takes_what_the_plan_says(way: str) -> None:
    torch.manual_seed(0)
    net, x, y = Net(), torch.randn(64, 16), torch.randn(64, 16)
    seen: list[tuple[Model, Plan]] = []
    backend = memplan.torch_backend(planned=lambda *pair: seen.append(pair), time_limit_s=2, **PLANS[way])  # type: ignore[arg-type]
    expected, eager = trained(net, x, y)
    found, peak = trained(net, x, y, backend=backend)
    assert same(found, expected)
    ((model, plan),) = seen
    assert memplan.check(model, plan) == []
    assert peak <= plan.metrics.live_peak < eager
    again = len(plan.schedule) - len(model.graph.ops)
    assert (again > 0, bool(plan.moves)) == (way == "executed again", way == "stored on the host")
    drawn = {op.name for op in model.graph.ops if op.kind == "aten.native_dropout.default"}
    assert len(drawn) == 2 and sum(name in drawn for name in plan.schedule) == 2


def test_whatever_is_executed_again_has_eagers_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a normalisation, too, whose statistics the caller overwrites between forward and backward."""
    seeds, again = iter(range(2)), set[str]()

    def forced(model: Model, target: str, **options: Any) -> Plan:
        plan = forced_plan(
            model, next(seeds), memplan.load_target(target), "resident", "traffic", weights="ignore", inplace=False, join=False
        )  # fmt: skip
        again.update(name for t, name in enumerate(plan.schedule) if name in plan.schedule[:t])
        return replace(plan, runtime="torch")

    monkeypatch.setattr("memplan.torch.backend.solve", forced)
    torch.manual_seed(0)
    net, x, y = Net(), torch.randn(16, 16), torch.randn(16, 16)
    expected = trained(net, x, y)[0]
    for _ in range(2):
        assert same(trained(net, x, y, backend=memplan.torch_backend())[0], expected)
    assert len(again) > 5 and any("batch_norm_legit" in name for name in again)


def test_statistics_are_copied_for_whom_the_backward_asks_again() -> None:
    seen: list[Model] = []
    net, x, y = Net(1), torch.randn(8, 16), torch.randn(8, 16)
    trained(net, x, y, backend=memplan.torch_backend(solver="greedy", planned=lambda m, plan: seen.append(m)))
    graph = seen[0].graph
    ends = next(op for op in graph.ops if op.kind == "handed_over")
    copied = [op for op in graph.ops if op.name in ends.after]
    assert len(copied) == 6 and all(op.once for op in copied)  # a mean, a variance and a count each
    norm = next(op for op in graph.ops if "batch_norm_legit" in op.kind)
    assert {x for op in copied for x in op.outputs} & set(norm.inputs) and not norm.once


def test_what_needs_no_gradients_is_planned_alone() -> None:
    net, x, y = Net().eval(), torch.randn(8, 16), torch.randn(8, 16)
    seen: list[Plan] = []
    backend = memplan.torch_backend(planned=lambda model, plan: seen.append(plan), solver="greedy")
    with torch.no_grad():
        assert torch.equal(torch.compile(net, backend=backend, dynamic=False)(x, y), net(x, y))
    assert len(seen) == 1
    torch._dynamo.reset()


def test_inputs_that_require_gradients_get_them_and_outputs_say_so() -> None:
    def f(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a = (x @ y).relu()
        return a.t(), a.sum(), y * 2

    x, y = torch.randn(4, 5, requires_grad=True), torch.randn(5, 6)
    expected = f(x, y)
    wanted = torch.autograd.grad(expected[0].sum() + expected[1], x)
    found = torch.compile(f, backend=memplan.torch_backend(solver="peak"), dynamic=False)(x, y)
    assert [z.requires_grad for z in found] == [True, True, False]
    assert all(map(torch.equal, found, expected))
    assert torch.equal(torch.autograd.grad(found[0].sum() + found[1], x)[0], wanted[0])
    torch._dynamo.reset()


def test_two_backwards_through_one_graph() -> None:
    net, x, y = Net(1), torch.randn(8, 16), torch.randn(8, 16)
    call = torch.compile(net, backend=memplan.torch_backend(solver="peak"), dynamic=False)
    torch.manual_seed(1)
    loss = call(x, y)
    parameters = list(net.parameters())
    first = torch.autograd.grad(loss, parameters, retain_graph=True)
    assert same(list(torch.autograd.grad(loss, parameters)), list(first))
    torch._dynamo.reset()


def test_free_sizes_run_without_a_plan() -> None:
    net = nn.Linear(4, 3)
    call = torch.compile(net, backend=memplan.torch_backend(solver="peak"), dynamic=True)
    x = torch.randn(5, 4)
    with pytest.warns(UserWarning, match="runs without a plan"):
        call(x).sum().backward()
    found = net.weight.grad
    net.weight.grad = None
    net(x).sum().backward()
    assert found is not None and torch.allclose(found, net.weight.grad)
    torch._dynamo.reset()


def test_a_backend_says_why_there_is_no_plan() -> None:
    net, x = nn.Linear(64, 64), torch.randn(64, 64)
    with pytest.raises(BackendCompilerFailed, match="MemplanError: .* bytes are missing"):
        torch.compile(net, backend=memplan.torch_backend(scratchpad=16, solver="peak"), dynamic=False)(x)
    torch._dynamo.reset()
