"""Which kernels may write over their operand is asked of the installed runtime, kind by kind."""

from __future__ import annotations

from collections.abc import Callable

import torch
from executorch.exir import to_edge
from torch import Tensor
from torch.nn import functional as F

import memplan
from memplan.machine.profile import load_profile
from memplan.torch.executorch.planning import planned_program, source_of
from memplan.torch.executorch.read import from_edge
from tests.torch.executorch.nets import outputs

ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "aten._log_softmax.out": lambda x: x.log_softmax(1),
    "aten._softmax.out": lambda x: x.softmax(-1),
    "aten.clamp.out": lambda x: x.clamp(-0.5, 0.5),
    "aten.elu.out": F.elu,
    "aten.gelu.out": F.gelu,
    "aten.hardtanh.out": F.hardtanh,
    "aten.leaky_relu.out": F.leaky_relu,
    "aten.pow.Scalar_out": lambda x: 2**x,
    "aten.pow.Tensor_Scalar_out": lambda x: x**3,
}
"""Kinds whose function is not called as they are."""

TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "aten.add.out": torch.add,
    "aten.atan2.out": torch.atan2,
    "aten.div.out": torch.div,
    "aten.div.out_mode": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "aten.fmod.Tensor_out": torch.fmod,
    "aten.maximum.out": torch.maximum,
    "aten.minimum.out": torch.minimum,
    "aten.mul.out": torch.mul,
    "aten.pow.Tensor_Tensor_out": torch.pow,
    "aten.remainder.Tensor_out": torch.remainder,
    "aten.sub.out": torch.sub,
    "aten.where.self_out": lambda a, b: torch.where(a > 0, a, b),
}
"""Kinds that may write over either of two operands."""


def written_over(kind: str) -> bool:
    return bool(load_profile("executorch").kernel(kind).overwrites)


def function(kind: str) -> Callable[[Tensor], Tensor]:
    return ONE.get(kind) or getattr(torch, kind.split(".")[1])


class Kernels(torch.nn.Module):
    """Every kind on operands of its own, of two operands either one."""

    def __init__(self, kinds: list[str]) -> None:
        super().__init__()
        self.kinds = kinds

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        found = []
        for kind in self.kinds:
            if kind in TWO:
                found += [TWO[kind](x.flip(0), y), TWO[kind](x, y.flip(0))]
            else:
                found.append(function(kind)(x.flip(0)))
        return found


def test_kernels_that_write_over_an_operand_compute_the_same() -> None:
    kinds = [kind for kind in load_profile("executorch").kernels if written_over(kind)]
    shape = (3, 37, 50)
    program = torch.export.export(Kernels(kinds), (torch.zeros(shape), torch.zeros(shape)))
    model = from_edge(to_edge(program))
    plan = memplan.plan(model, solver="greedy", time_limit_s=5)
    kind = {op.name: op.kind for op in model.graph.ops}
    assert {kind[plan.schedule[pair.step]] for pair in plan.inplace} == {*kinds}
    torch.manual_seed(0)
    inputs = [2 * torch.rand(shape) - 1 for _ in range(2)]
    results = [
        [x.view(torch.int32) for x in outputs(program, inputs, runs=1)]
        for program in (planned_program(model, plan), source_of(model).lowered())
    ]
    differing = [
        i for i, (ours, theirs) in enumerate(zip(*results, strict=True)) if not torch.equal(ours, theirs)
    ]
    assert not differing
