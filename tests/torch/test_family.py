"""Ranges of sizes of torch programs: one plan for all of them, and what does not hold for all of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memplan_solvers  # noqa: F401  (its solvers)
import pytest
import torch
from torch import nn
from torch.export import Dim, export

import memplan
from memplan.base.errors import GraphError, OptionError
from memplan.judge.sizing import at_sizes


class Attention(nn.Module):
    """A block over [batch, seq, width] with positions cut from a table; `reshape` copies, but at one position."""

    def __init__(self, width: int = 16, heads: int = 2, most: int = 64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.qkv, self.out, self.norm = (
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
            nn.LayerNorm(width),
        )
        self.register_buffer("where", torch.randn(most, width))
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, seq, width = x.shape
        x = x + self.where[:seq]
        split = self.qkv(self.norm(x)).view(batch, seq, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        scores = ((q @ k.transpose(-1, -2)) * 0.3).softmax(-1) @ v
        return x + self.out(scores.transpose(1, 2).reshape(batch, seq, width))


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *x: torch.Tensor) -> Any:
        return self.function(*x)


def exported(function: Callable[..., Any], *shapes: tuple[int, ...], axes: Any) -> Any:
    """The program of a function of tensors of these shapes, of which `axes` are dynamic."""
    return export(Of(function).eval(), tuple(torch.zeros(shape) for shape in shapes), dynamic_shapes=(axes,))


def op(model: memplan.Model, kind: str) -> Any:
    return next(op for op in model.graph.ops if kind in op.kind)


SEQ, SHORT = Dim("seq", max=64), Dim("seq", min=4, max=60)


@pytest.fixture(scope="module")
def attention() -> Any:
    return export(
        Attention().eval(), (torch.zeros(3, 5, 16),), dynamic_shapes=({0: Dim("batch", max=8), 1: SEQ},)
    )


@pytest.mark.slow(reason="runs a net at many sizes")
def test_an_attention_planned_for_ranges_runs_at_every_size_in_them(attention: Any) -> None:
    model = memplan.from_exported(attention, {"x:0": (1, 4), "x:1": (1, 32)})
    assert model.dims == {"x:0": (1, 4), "x:1": (1, 32)} and model.graph.tensor["softmax"].shape == (
        4,
        2,
        32,
        32,
    )
    plan = memplan.plan(model, scratchpad="MR", inplace=True, solver="greedy")
    assert memplan.check(model, plan) == [] and plan.inplace
    rng = random.Random(0)
    for batch, seq in ((1, 1), (4, 32), (2, 1), (1, 17), (rng.randint(2, 4), rng.randint(2, 32))):
        sizes = {"x:0": batch, "x:1": seq}
        assert memplan.run(model, plan, dims=sizes).identical
        member, smaller = at_sizes(model, plan, sizes)
        assert memplan.check(member, smaller) == [] and smaller.schedule == plan.schedule
        assert [r.offset for r in smaller.residencies] == [r.offset for r in plan.residencies]
    with pytest.raises(OptionError, match="'x:1' = 33 lies outside of 1..32"):
        memplan.run(model, plan, dims={"x:1": 33})
    with pytest.raises(OptionError, match="the export allows 0 to 64"):
        memplan.from_exported(attention, {"x:0": 1, "x:1": (1, 65)})


@pytest.mark.slow(reason="exports many programs")
def test_a_range_is_recorded_and_kept_by_files(attention: Any, tmp_path: Path) -> None:
    torch.export.save(attention, tmp_path / "net.pt2")
    model = memplan.load(tmp_path / "net.pt2", {"x:0": 2, "x:1": (1, 32)})
    plan = memplan.plan(model, solver="greedy")
    memplan.emit(model, plan, "json", tmp_path)
    again = memplan.read_plan(tmp_path / "net.plan.json")
    assert again.options.dims == {"x:0": 2, "x:1": (1, 32)}
    assert memplan.run(
        memplan.load(tmp_path / "net.pt2", again.options.dims), again, dims={"x:1": 7}
    ).identical


def test_a_tensor_that_grows_as_the_size_shrinks_is_refused_by_name() -> None:
    program = exported(lambda x: torch.zeros(64 - x.shape[0]) + 1, (5,), axes=({0: SHORT},))
    with pytest.raises(
        GraphError,
        match=r"tensor 'zeros' of the program grows as a dimension shrinks: it has 132 bytes at x_0:0=31, and 128 bytes at x_0:0=32",
    ):
        memplan.from_exported(program, {"x_0:0": (4, 32)})
    assert memplan.from_exported(program, {"x_0:0": 9}).graph.tensor["zeros"].shape == (55,)  # the way out
    table = torch.arange(64.0)
    cut = exported(lambda x: table[x.shape[0] :] * 2, (5,), axes=({0: SHORT},))
    with pytest.raises(GraphError, match=r"tensor '\w+' of op '\w+' \(aten\.(slice|mul).*grows"):
        memplan.from_exported(cut, {"x_0:0": (4, 32)})


def test_padding_to_a_fixed_size_grows_nothing() -> None:
    program = exported(lambda x: nn.functional.pad(x * 2, (0, 64 - x.shape[0])), (5,), axes=({0: SEQ},))
    model = memplan.from_exported(program, {"x_0:0": (1, 32)})
    plan = memplan.plan(model, solver="greedy")
    assert all(memplan.run(model, plan, dims={"x_0:0": size}).identical for size in (1, 9, 32))


def test_joins_whose_parts_begin_elsewhere_at_other_sizes_are_left_out() -> None:
    for order, expected in (((0, 1), 0), ((1, 0), 2)):
        program = exported(
            lambda x, c, order=order: torch.cat([(x * 2, c * 2)[i] for i in order]),
            (5, 4),
            (3, 4),
            axes=({0: SEQ}, {}),
        )
        assert len(op(memplan.from_exported(program, {"x_0:0": 7}), "cat").joins) == 2
        assert len(op(memplan.from_exported(program, {"x_0:0": (2, 7)}), "cat").joins) == expected


@pytest.mark.slow(reason="asks for every size")
def test_overwriting_holds_where_layouts_agree_at_every_size() -> None:
    """A transposed operand is row-major at size 1 alone, a cut table is as long as the input at the upper end alone."""
    program = exported(
        lambda x: (x * 2) + (x * 3).transpose(0, 1).contiguous().transpose(0, 1), (5, 4), axes=({0: SEQ},)
    )
    single, ranged = (memplan.from_exported(program, {"x_0:0": size}) for size in (1, (1, 8)))
    assert op(single, "add").overwrites != op(ranged, "add").overwrites
    alone = memplan.from_exported(program, {"x_0:0": 8})
    assert op(ranged, "add").overwrites == op(alone, "add").overwrites
    plan = memplan.plan(ranged, solver="greedy", inplace=True)
    assert all(memplan.run(ranged, plan, dims={"x_0:0": size}).identical for size in (1, 2, 8))


@pytest.mark.slow(reason="asks for every size")
def test_sizes_follow_from_expressions_at_every_size() -> None:
    """The twin: the program at each single size."""
    program = exported(
        lambda x: (nn.functional.avg_pool1d(x[None], 2, 2), x[:, ::3] * 2, x.flatten() * 2),
        (2, 9),
        axes=({1: SHORT},),
    )
    model = memplan.from_exported(program, {"x_0:1": (4, 20)})
    for size in range(4, 21):
        assert model.at is not None
        member, alone = model.at({"x_0:1": size}), memplan.from_exported(program, {"x_0:1": size})
        assert {t.name: t.shape for t in member.graph.tensors} == {
            t.name: t.shape for t in alone.graph.tensors
        }
