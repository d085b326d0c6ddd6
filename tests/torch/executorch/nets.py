"""Small networks as edge programs, one for each thing that a lowered method can hold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

import torch
from executorch.exir import (
    EdgeProgramManager,
    ExecutorchProgramManager,
    to_edge,
    to_edge_transform_and_lower,
)
from executorch.runtime import Runtime
from torch import Tensor, nn
from torch.nn import functional as F

from memplan import Model
from memplan.torch.executorch.planning import source_of
from memplan.torch.executorch.read import from_edge

IMAGE = (torch.zeros(1, 4, 8, 8),)


class Cell(nn.Module):
    """Branches that widen and are reduced again: all of them at once take more than one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.ModuleList(nn.Conv2d(4, 16, 3, padding=1) for _ in range(3))
        self.thin = nn.ModuleList(nn.Conv2d(16, 2, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        wide = [F.relu(conv(x)) for conv in self.wide]
        return torch.cat([conv(y) for conv, y in zip(self.thin, wide, strict=True)], 1)


class Stateful(nn.Module):
    """A buffer that every run changes, read before and after; several results of one op; a view."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 8)
        self.register_buffer("total", torch.zeros(2, 8))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        left, right = x.chunk(2, 1)
        y = self.linear((left * right).reshape(2, 32))
        before = self.total * 0.5
        self.total.copy_(before + y)
        return y - before, self.total + y


class Conditional(nn.Module):
    """Bodies of control flow, which ExecuTorch plans apart."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cond(x.sum() > 0, lambda z: (z + 1).exp(), lambda z: (z * 2).sin(), [x])
        return y.relu() + x


class Deaf(nn.Module):
    """Reads one of its inputs alone."""

    def forward(self, x: Tensor, unread: Tensor) -> Tensor:
        return x.sin().cos() + x


NETS: dict[str, tuple[type[nn.Module], tuple[Tensor, ...]]] = {
    "cell": (Cell, IMAGE),
    "stateful": (Stateful, (torch.zeros(2, 8, 2, 4),)),
    "conditional": (Conditional, IMAGE),
    "deaf": (Deaf, (torch.zeros(4), torch.zeros(100))),
}


def exported(module: nn.Module, inputs: Sequence[Tensor]) -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    with torch.no_grad():
        return torch.export.export(module.eval(), tuple(inputs))


def edge(make: type[nn.Module], inputs: Sequence[Tensor] = IMAGE) -> EdgeProgramManager:
    torch.manual_seed(0)
    with torch.no_grad():
        return to_edge(exported(make(), inputs))


@cache
def net(name: str) -> EdgeProgramManager:
    """One of the networks, to be lowered in a copy."""
    return edge(*NETS[name])


@cache
def model_of(name: str) -> Model:
    """One of the networks as a model."""
    return from_edge(net(name))


@cache
def unplanned(name: str) -> ExecutorchProgramManager:
    """One of the networks as ExecuTorch plans it itself."""
    return source_of(model_of(name)).lowered()


def outputs(program: ExecutorchProgramManager, inputs: Sequence[Tensor], runs: int = 2) -> list[Tensor]:
    """What a program computes, run after run, in this process."""
    loaded = Runtime.get().load_program(bytes(program.buffer))
    method = loaded.load_method("forward")
    return [x.clone() for _ in range(runs) for x in method.execute(inputs)]


def delegated() -> EdgeProgramManager:
    """The cell, handed over to a backend as a whole."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return to_edge_transform_and_lower(exported(Cell(), IMAGE), partitioner=[XnnpackPartitioner()])
