"""What the torch recipes share: tracing without weights, inference by torch.export, training steps by make_fx."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TorchRecipe:
    """One zoo graph from torch: `build` makes its ExportedProgram or GraphModule, without weights."""

    name: str
    family: str
    dtype: str
    paper: str
    summary: str
    build: Callable[[], Any]


def ids(*shape: int) -> Tensor:
    """Meta int64 indices."""
    return torch.empty(shape, dtype=torch.int64, device="meta")


def floats(*shape: int) -> Tensor:
    """Meta float32 values."""
    return torch.empty(shape, device="meta")


def exported(make: Callable[[], nn.Module], *inputs: Tensor) -> Any:
    """The ExportedProgram of a module in evaluation mode, on meta tensors."""
    with torch.device("meta"):
        return torch.export.export(make().eval(), inputs)


Update = Callable[[list[Tensor], list[Tensor], list[list[Tensor]]], None]
"""An optimizer: changes parameters in place, given gradients and, per slot, its state."""


def training_step(
    make: Callable[[], nn.Module],
    loss: Callable[[Tensor, Tensor], Tensor],
    update: Update,
    slots: int,
    x: Tensor,
    y: Tensor,
) -> Any:
    """The GraphModule of one training step: forward, backward and optimizer.

    It is called with parameters, buffers, `slots` lists of optimizer state like the parameters, inputs and
    targets, updates the first three in place and returns the loss.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    mode = FakeTensorMode()
    with mode, torch.device("cpu"):
        module = make().train()
        names = [name for name, _ in module.named_parameters()]
        buffers = [name for name, _ in module.named_buffers()]
        parameters = [p.detach() for p in module.parameters()]
        state = [torch.zeros_like(p) for _ in range(slots) for p in parameters]
        given = [*parameters, *module.buffers(), *state]
        given += [torch.empty(t.shape, dtype=t.dtype) for t in (x, y)]

        def step(*values: Tensor) -> Tensor:
            n, m = len(names), len(buffers)
            weights = [p.requires_grad_() for p in (v.detach() for v in values[:n])]
            held = dict(zip([*names, *buffers], [*weights, *values[n : n + m]], strict=True))
            cost = loss(torch.func.functional_call(module, held, (values[-2],)), values[-1])
            gradients = torch.autograd.grad(cost, weights)
            with torch.no_grad():
                rest = values[n + m : -2]
                update(
                    list(values[:n]), list(gradients), [list(rest[i * n : i * n + n]) for i in range(slots)]
                )
            return cost.detach()

        graph = make_fx(step)(*given)
    labels = [*names, *buffers, *(f"state{i}.{name}" for i in range(slots) for name in names), "x", "y"]
    _name_inputs(graph, labels)
    return graph


def _name_inputs(graph: Any, labels: Sequence[str]) -> None:
    for node, label in zip([n for n in graph.graph.nodes if n.op == "placeholder"], labels, strict=True):
        node.target = label.replace(".", "_")
        node._rename(node.target)
    graph.recompile()


def sgd(rate: float = 0.1, momentum: float = 0.9) -> Update:
    """Stochastic gradient descent with momentum (Sutskever et al. 2013); one slot."""

    def update(parameters: list[Tensor], gradients: list[Tensor], state: list[list[Tensor]]) -> None:
        for p, g, velocity in zip(parameters, gradients, state[0], strict=True):
            velocity.mul_(momentum).add_(g)
            p.sub_(velocity * rate)

    return update


def adam(rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Update:
    """Adam without bias correction (Kingma & Ba 2015, section 2, last paragraph); two slots."""

    def update(parameters: list[Tensor], gradients: list[Tensor], state: list[list[Tensor]]) -> None:
        for p, g, first, second in zip(parameters, gradients, *state, strict=True):
            first.mul_(beta1).add_(g * (1 - beta1))
            second.mul_(beta2).add_(g * g * (1 - beta2))
            p.sub_(first * rate / (second.sqrt() + eps))

    return update
