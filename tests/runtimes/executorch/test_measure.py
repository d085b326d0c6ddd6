"""ExecuTorch's own count of what memplan plans, by the command and as the documentation shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from executorch.exir import ExecutorchProgramManager
from executorch.exir.passes import MemoryPlanningPass
from executorch.runtime import Runtime

import memplan
from memplan.base.errors import ExecutionError
from memplan.runtimes.executorch.invoke import invoke
from memplan.runtimes.executorch.measure import planned_slow_bytes
from memplan.torch.executorch.packing import packed
from memplan.torch.executorch.planning import source_of
from memplan.torch.executorch.source import algorithm_suite
from tests.pages import blocks, walk
from tests.torch.executorch.nets import IMAGE, NETS, Cell, exported, model_of, outputs
from tests.torch.executorch.test_planning import FAST, SLOW, TWO


@pytest.mark.slow(reason="starts several programs")
def test_the_runtime_obeys_a_plan_for_two_arenas() -> None:
    model = model_of("cell")
    target = replace(TWO, memories=(replace(FAST, capacity=4608), SLOW))
    options = {"objective": "traffic", "solver": "greedy", "time_limit_s": 5}
    held, free = (memplan.plan(model, target, io=io, **options) for io in ("resident", "host"))
    two = memplan.measure(model, held, on="executorch")
    assert two.obeys and two.measured == held.value and set(two.ways) == {"banked_greedy"}
    # beside a planner that may put them anywhere, inputs and outputs are too large for the fast memory
    assert two.kept == "own" and "io host" in two.notes[-1] and planned_slow_bytes(model, free) < two.own


def test_a_run_in_one_alignment_less_is_refused_by_the_runtime() -> None:
    model = model_of("stateful")

    def program(missing: int) -> ExecutorchProgramManager:
        def algorithm(alignment: int, specs: Any, module: Any, _: Any, padding: int) -> Any:
            return packed(alignment, specs, module.input_mem_buffer_sizes, padding - missing, {})

        return source_of(model).lowered(MemoryPlanningPass(algorithm_suite(algorithm)))

    assert outputs(program(0), NETS["stateful"][1])
    with pytest.raises(ExecutionError, match="ExecuTorch does not run the program"):
        invoke(bytes(program(16).buffer))


@pytest.mark.slow(reason="starts several programs")
def test_the_commands_of_the_documentation_run(tmp_path: Path) -> None:
    torch.export.save(exported(Cell(), IMAGE), tmp_path / "model.pt2")
    assert walk("executorch.md", tmp_path) >= 2
    assert json.loads((tmp_path / "out" / "model.plan.json").read_text())["runtime"] == "executorch"
    loaded = Runtime.get().load_program(tmp_path / "out" / "model.memplan.pte")
    assert loaded.load_method("forward").execute(IMAGE)


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"network": Cell().eval(), "inputs": IMAGE}
    for block in blocks("executorch.md", "python"):
        exec(block, space)
    assert (tmp_path / "model.pte").is_file()
    seen = space["seen"]
    assert seen.ordered and seen.measured < seen.own == seen.ways["greedy"] and seen.outputs == 3
