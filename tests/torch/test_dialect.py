"""What torch ops join, which must not be repeated, where they came from, and what a user declares of an op of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

import memplan
from memplan.base.errors import GraphError
from memplan.ir import declarations
from memplan.ir.parts import Op

ROWS, LAST = torch.rand(2, 3), torch.rand(1, 4, 5, 5).to(memory_format=torch.channels_last)


@torch.library.custom_op("memplan_test::scaled_add", mutates_args=())
def scaled_add(x: Tensor, factor: float, bias: Tensor | None, y: Tensor) -> Tensor:
    return x * factor + y


@scaled_add.register_fake
def _(x: Tensor, factor: float, bias: Tensor | None, y: Tensor) -> Tensor:
    return torch.empty_like(x)


SCALED = "memplan_test.scaled_add.default"


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declarations, "_DECLARED", {})


def traced(function: Any, *inputs: Tensor) -> memplan.Model:
    return memplan.from_fx(make_fx(function)(*inputs), inputs)


def last(model: memplan.Model) -> Op:
    return model.graph.ops[-1]


@pytest.mark.parametrize(
    ("function", "x", "joins"),
    [
        (lambda a, b: torch.cat([a, b]), ROWS, True),
        (lambda a, b: torch.cat([a, b], dim=-2), ROWS, True),
        (lambda a, b: torch.cat([a, b], dim=1), ROWS, False),
        (lambda a, b: torch.stack([a, b]), ROWS, True),
        (lambda a, b: torch.stack([a, b], 1), ROWS, False),
        (lambda a, b: torch.cat([a, b], 1), torch.rand(1, 4, 5, 5), True),
        (lambda a, b: torch.cat([a, b], 1), LAST, False),
        (lambda a, b: torch.cat([a, b], 2), LAST, True),
        (lambda a, b: torch.cat([a, b.double()]), ROWS, False),
        (lambda a, b: torch.cat([a, a]), ROWS, False),
        (lambda a, b: torch.cat([a, b[:1]]), ROWS, False),
        (lambda a, b: torch.cat([a.t().clone(), b.t()]), ROWS, False),
        (lambda a, b: torch.cat([a, b, a.flatten()[:0]], 1), torch.rand(1, 4, 5), False),
    ],
)
def test_what_lies_side_by_side_in_the_result_is_joined(function: Any, x: Tensor, joins: bool) -> None:
    model = traced(lambda x: function(torch.relu(x), torch.sin(x)), x)
    op = last(model)
    assert op.kind in ("aten.cat.default", "aten.stack.default")
    starts = [(name, k * x.numel() * 4) for k, name in enumerate(op.inputs)]
    assert op.joins == (tuple(starts) if joins else ())


def test_joined_bytes_are_the_results() -> None:
    """Each part's bytes stand in the result's from its first byte on, whatever the layout."""
    for x in (ROWS, LAST, torch.rand(2, 2, 3)):
        for axis in range(x.dim()):
            operands = torch.relu(x), torch.sin(x)
            model = traced(lambda x: torch.cat([torch.relu(x), torch.sin(x)], axis), x)  # noqa: B023 (called at once)
            y = torch.cat(operands, axis)
            flat = torch.as_strided(y, (y.numel(),), (1,))
            whole = [torch.as_strided(t, (t.numel(),), (1,)) for t in operands]
            beside = torch.equal(flat, torch.cat(whole))
            assert bool(last(model).joins) == beside, (x.shape, axis)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = self.body(x)
        attended = nn.functional.scaled_dot_product_attention(y, y, y)
        drawn = torch.cond(y.sum() > 0, lambda z: z * torch.rand(3, 4), lambda z: z + 1, (y,))
        return attended, drawn, y + torch.rand(3, 4)


def test_what_draws_is_executed_once_and_knows_its_module() -> None:
    program = torch.export.export(Net().train(), (torch.rand(3, 4),))
    ops = {op.kind: op for op in memplan.from_exported(program).graph.ops}
    once = {kind for kind, op in ops.items() if op.once}
    assert once == {"aten.native_dropout.default", "aten.rand.default", "cond"}
    assert ops["aten.linear.default"].source == ("body.0",)
    assert ops["aten.native_dropout.default"].source == ("body.1",) and ops["aten.add.Tensor"].source == ()


def use(x: Tensor) -> Tensor:
    a = torch.relu(x)
    b = torch.ops.memplan_test.scaled_add(a, 2.0, None, x)
    return b * 2


def test_an_op_of_ones_own_is_planned_as_declared() -> None:
    x = torch.rand(8, 4)
    assert next(op for op in traced(use, x).graph.ops if op.kind == SCALED).once  # its cost is unknown
    memplan.declare_op(
        SCALED, overwrites=[0, 1, 2], workspace={"input_bytes": 1}, flops={"output_elements": 2}
    )
    model = traced(use, x)
    op = next(op for op in model.graph.ops if op.kind == SCALED)
    assert op.overwrites == ((op.outputs[0], "relu"), (op.outputs[0], op.inputs[1])) and op.flops == 64
    assert op.workspace and model.graph.tensor[op.workspace].nbytes == 2 * 128 and not op.once
    plan = memplan.plan(model, objective="peak", inplace=True)
    assert memplan.check(model, plan) == [] and plan.overwritten[op.outputs[0]] == "relu"
    assert memplan.run(model, plan).identical


def test_a_declared_view_lies_in_its_operand_and_what_the_layout_forbids_is_left_out() -> None:
    memplan.declare_op(SCALED, view=True)
    model = traced(use, torch.rand(8, 4))
    view = next(op.outputs[0] for op in model.graph.ops if op.view)
    assert model.graph.aliases == {view: "relu"} and model.graph.tensor[view].place == ("relu", 0)
    memplan.declare_op("aten.mul.Tensor", view=True)
    rows = traced(lambda x: torch.sin((torch.relu(x)[2:] * 2)[1:]) + 1, torch.rand(8, 4))
    assert [t.place for t in rows.graph.tensors if t.place] == [("relu", 32), ("relu", 32), ("relu", 48)]
    plan = memplan.plan(rows, objective="peak")
    assert memplan.check(rows, plan) == [] and memplan.run(rows, plan).identical
    memplan.declare_op("aten.mul.Tensor")
    memplan.declare_op("aten.t.default", view=False)
    with pytest.raises(GraphError, match="is declared no view, yet its result lies in the bytes of"):
        traced(lambda x: torch.relu(x).t() + 1, torch.rand(4, 4))
    memplan.declare_op("aten.t.default")
    memplan.declare_op(SCALED, overwrites=[0, 2], joins=True)
    turned = traced(
        lambda x: torch.ops.memplan_test.scaled_add(torch.relu(x), 1.0, None, x.t()), torch.rand(4, 4)
    )
    assert last(turned).overwrites == ((last(turned).outputs[0], "relu"),) and last(turned).joins == ()
