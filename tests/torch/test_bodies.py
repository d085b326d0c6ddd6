"""Control flow of torch: one op with its hungriest body's peak as workspace, planned and executed as one call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.map import map as torch_map
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.attention.flex_attention import flex_attention

import memplan
from memplan.base.errors import GraphError
from memplan.torch.pickled import packed, unpacked

MATRIX = 4 * 8 * 4
"""Bytes of the matrices that the branches work on."""

SCORES = 2 * 16 * 16 * 4
"""Bytes of the scores of two heads, 16 queries and 16 keys, which eager torch computes in float32 at least."""


class Cond(nn.Module):
    """A branch that captures a layer and holds two matrices at a time, and one that holds one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Any:
        return torch.cond(x.sum() > 0, lambda y: self.layer(y).relu().sin(), torch.cos, (x,)) + 1


class Nested(nn.Module):
    """Beside the matrix that the outer branch keeps, the inner one holds two."""

    def forward(self, x: Tensor) -> Any:
        def outer(y: Tensor) -> Any:
            kept = y.sin()
            return torch.cond(y.max() > 1, lambda z: z.cos().exp(), torch.neg, (y,)) + kept

        return torch.cond(x.sum() > 0, outer, torch.cos, (x,)) + 1


class Map(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        return torch_map(lambda a, b: (a * b).sin() + 1, x, y) * 2  # type: ignore[arg-type]


class Scan(nn.Module):
    def forward(self, first: Tensor, x: Tensor) -> Any:
        def turn(carried: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
            following = (carried + row).sin()
            return following, following * 2

        return scan(turn, first, x)


class While(nn.Module):
    def forward(self, i: Tensor, x: Tensor) -> Any:
        return while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, (x * 2).sin()), (i, x))  # type: ignore[no-untyped-call]


class Flex(nn.Module):
    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return flex_attention(q, k, v, score_mod=lambda score, b, h, i, j: score + (i - j)) * 2


@torch.library.custom_op("memplan_tests::increase", mutates_args={"x"})
def increase(x: Tensor) -> None:
    x.add_(1)


class Custom(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        increase(y)
        return y + 1


CASES: dict[str, tuple[nn.Module, tuple[Tensor, ...], int]] = {
    # two matrices: an operand of a step and its result
    "cond": (Cond(), (torch.randn(4, 8),), 2 * MATRIX),
    # what the outer branch keeps, the inner result, and the inner op's own two matrices
    "nested": (Nested(), (torch.randn(4, 8),), 4 * MATRIX + 1),
    "map": (Map(), (torch.randn(3, 4), torch.randn(4)), 2 * 16),
    "scan": (Scan(), (torch.randn(4), torch.randn(5, 4)), 16 + 2 * 16),
    # the carried number and vector, then the next number beside two vectors
    "while_loop": (While(), (torch.tensor(0), torch.randn(4)), (8 + 16) + (8 + 2 * 16)),
    # the scores before and after, the differences of 64-bit indices, the values' copy for each head, and a mask of one byte
    "flex_attention": (Flex(), tuple(torch.randn(1, 2, 16, 8) for _ in range(3)),
                       2 * SCORES + 16 * 16 * 8 + 2 * 16 * 8 * 4 + 1),
    "memplan_tests.increase.default": (Custom(), (torch.randn(4),), 0),
}  # fmt: skip


def imported(module: nn.Module, inputs: tuple[Tensor, ...]) -> memplan.Model:
    with torch.no_grad():
        return memplan.from_exported(torch.export.export(module, inputs))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow(reason="exports many programs")
def test_control_flow_is_one_op_with_its_bodies_peak(name: str) -> None:
    module, inputs, nbytes = CASES[name]
    model = imported(module, inputs)
    [op] = [op for op in model.graph.ops if op.kind == ("cond" if name == "nested" else name)]
    assert (0 if op.workspace is None else model.graph.tensor[op.workspace].nbytes) == nbytes
    for scratchpad, objective in (("MR", "traffic"), (None, "peak")):
        plan = memplan.plan(model, scratchpad=scratchpad, objective=objective, solver="greedy", workers=1)
        assert plan.schedule and memplan.check(model, plan) == []
        assert memplan.run(model, plan).identical


@pytest.mark.slow(reason="traces many programs")
@pytest.mark.parametrize("name", CASES)
def test_packed_it_is_the_same_program(name: str) -> None:
    """A model that goes to another process keeps its bodies."""
    module, inputs, _ = CASES[name]
    model = imported(module, inputs)
    copy = replace(model, source=unpacked(packed(model.source)))
    plan = memplan.plan(model, solver="greedy", workers=1)
    reports = [memplan.run(m, plan) for m in (model, copy)]
    assert len({tuple(output.sha256 for output in report.outputs) for report in reports}) == 1


@pytest.mark.parametrize("name", ["cond", "map", "scan", "while_loop"])
@pytest.mark.slow(reason="exports many programs")
def test_a_traced_module_and_a_file_give_the_same_graph(name: str, tmp_path: Path) -> None:
    module, inputs, _ = CASES[name]
    with torch.no_grad():
        exported = torch.export.export(module, inputs)
    torch.export.save(exported, tmp_path / "m.pt2")
    ops = memplan.from_exported(exported).graph.ops
    assert memplan.load(tmp_path / "m.pt2").graph.ops == ops
    traced = exported.module(check_guards=False)  # its linear layers are calls of torch functions yet
    model = memplan.from_fx(traced, list(inputs))
    assert [op.kind for op in model.graph.ops if op.workspace] == [op.kind for op in ops if op.workspace]
    assert memplan.run(model, memplan.plan(model, solver="greedy", workers=1)).identical


@pytest.mark.parametrize("length", [16, 32])
@pytest.mark.slow(reason="exports many programs")
def test_attention_counts_whole_matrices_of_scores(length: int) -> None:
    """At its peak the eager kernel holds what it makes of the scores beside them; in half precision it computes in single."""
    model = imported(Flex(), tuple(torch.randn(1, 2, length, 8, dtype=torch.float16) for _ in range(3)))
    [op] = [op for op in model.graph.ops if op.kind == "flex_attention"]
    scores = SCORES * (length // 16) ** 2
    assert 2 * scores < model.graph.tensor[str(op.workspace)].nbytes < 4 * scores


def test_bodies_that_work_in_place_are_made_functional() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return torch.cond(x.sum() > 0, lambda y: y.sin().mul_(2), lambda y: y.cos().add_(1), (x,))

    with torch.no_grad():
        traced = torch.export.export(InPlace(), (torch.randn(4),)).module(check_guards=False)
    model = memplan.from_fx(traced, [torch.randn(4)])
    assert model.graph.tensor[str(model.graph.ops[-1].workspace)].nbytes == 2 * 16
    assert memplan.run(model, memplan.plan(model, solver="greedy", workers=1)).identical


def test_a_fault_names_the_op_that_the_user_wrote() -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    body = graph.get_attr("body")
    graph.output(graph.call_function(torch.ops.higher_order.tag_activation_checkpoint, (body, x)))
    module = torch.fx.GraphModule({"body": torch.fx.symbolic_trace(lambda y: y + 1)}, graph)
    with pytest.raises(GraphError, match="tag_activation_checkpoint"):
        memplan.from_fx(module, [torch.randn(4)])


def test_control_flow_nests() -> None:
    """A loop in a branch needs its own scratch memory and its results, the number and the vector."""

    class Loop(nn.Module):
        def forward(self, i: Tensor, x: Tensor) -> Any:
            return torch.cond(x.sum() > 0, lambda i, x: While()(i, x)[1], lambda i, x: x.cos(), (i, x))

    model = imported(Loop(), (torch.tensor(0), torch.randn(4)))
    assert model.graph.tensor[str(model.graph.ops[-1].workspace)].nbytes == 64 + 24
    assert memplan.run(model, memplan.plan(model, solver="greedy", workers=1)).identical
