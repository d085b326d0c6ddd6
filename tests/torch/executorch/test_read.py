"""Edge programs and .pt2 files as models of what ExecuTorch executes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import memplan
from memplan.base.errors import DimensionError, GraphError
from memplan.torch.executorch.read import from_edge
from tests.torch.executorch.nets import IMAGE, Cell, delegated, exported, model_of, net


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "cell.pt2"
    torch.export.save(exported(Cell(), IMAGE), path)
    return path


def test_a_file_is_read_as_the_runtime_executes_it(file: Path) -> None:
    model = memplan.load(file, runtime="executorch")
    assert model.runtime == "executorch" and "aten.convolution.out" in {op.kind for op in model.graph.ops}
    assert model.graph.name == model.stem == "cell"
    with pytest.raises(DimensionError, match="upper bounds"):
        memplan.load(file, {"x:0": 2}, runtime="executorch")


def test_a_program_is_left_as_it_is() -> None:
    program = net("cell")
    before = str(program.exported_program())
    assert from_edge(program).graph == model_of("cell").graph
    assert str(program.exported_program()) == before


def test_a_method_that_is_not_there_is_named() -> None:
    with pytest.raises(GraphError, match="no method 'forwards'"):
        from_edge(net("cell"), method="forwards")


def test_dynamic_sizes_are_planned_at_their_upper_bounds() -> None:
    from executorch.exir import to_edge

    class Sums(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.sin() + x).reshape(-1)

    n = torch.export.Dim("n", max=100)
    program = torch.export.export(Sums(), (torch.zeros(10, 4),), dynamic_shapes=({0: n},))
    graph = from_edge(to_edge(program)).graph
    assert {t.nbytes for t in graph.tensors if t.kind == "input"} == {1600}


@pytest.mark.slow(reason="a backend takes seconds to load")
def test_a_delegate_is_one_op_and_a_note_says_so() -> None:
    model = from_edge(delegated())
    (note,) = model.notes
    assert "no plan reaches inside" in note and len(model.graph.ops) == 1


def test_a_model_read_without_the_runtime_is_not_planned_for_it(file: Path) -> None:
    with pytest.raises(memplan.OptionError, match="was not read as executorch executes it"):
        memplan.plan(memplan.load(file), runtime="executorch")
