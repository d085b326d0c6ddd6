"""A lowered method as a graph: what ExecuTorch executes and places, and in which orders it may."""

from __future__ import annotations

import torch

from memplan.torch.executorch.graph import RETURN
from memplan.torch.executorch.read import from_edge
from tests.torch.executorch.nets import edge, model_of


def test_ops_are_those_that_the_runtime_executes() -> None:
    graph = model_of("stateful").graph
    kinds = {op.kind: op for op in graph.ops}
    assert kinds["view"].view and graph.tensor[kinds["view"].outputs[0]].place == (kinds["view"].inputs[0], 0)
    split = kinds["aten.split_with_sizes_copy.out"]
    assert len(split.outputs) == 2 and all(graph.tensor[name].nbytes == 256 for name in split.outputs)
    assert {t.name for t in graph.tensors if t.kind == "input"} == {"b_total", "x"}


def test_what_a_run_leaves_to_the_next_lives_throughout_and_changes_in_the_programs_order() -> None:
    graph = model_of("stateful").graph
    change = next(op for op in graph.ops if op.kind == "aten.copy_.default")
    readers = {op.name for op in graph.ops if "b_total" in op.inputs and op.name not in (change.name, RETURN)}
    assert "b_total" in graph.outputs and change.once and readers and readers <= {*change.after}
    end = graph.ops[-1]
    assert end.name == RETURN and change.name in end.after  # it places a second copy of the buffer


def test_an_input_that_nothing_reads_is_held_while_the_first_op_runs() -> None:
    graph = model_of("deaf").graph
    assert "unread" in graph.ops[0].inputs


def test_an_op_may_write_over_an_operand_of_the_same_layout() -> None:
    class Sums(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.sin()
            return y.cos() + y[:1]

    graph = from_edge(edge(Sums, (torch.zeros(4, 4),))).graph
    pairs = {op.kind: [operand for _, operand in op.overwrites] for op in graph.ops}
    assert pairs["aten.cos.out"] == ["aten_sin_default"]
    assert pairs["aten.add.out"] == ["aten_cos_default"]
    assert pairs["aten.sin.out"] == ["x"]  # which a plan may do where the input is donated
