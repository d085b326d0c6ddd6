"""ExecuTorch's own count of what memplan plans, by the command and as the documentation shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from executorch.exir.passes import MemoryPlanningPass

import memplan
from memplan.base.errors import ExecutionError
from memplan.runtimes.executorch.invoke import invoke
from memplan.torch.executorch.packing import packed
from memplan.torch.executorch.read import from_edge
from memplan.torch.executorch.source import algorithm_suite
from tests.cli.program import memplan as program_run
from tests.torch.executorch.nets import IMAGE, Cell, Stateful, edge, exported
from tests.torch.executorch.test_planning import TWO


@pytest.mark.slow(reason="starts several programs")
def test_the_runtime_obeys_plans_for_one_arena_and_for_two() -> None:
    model = from_edge(edge(Cell))
    one = memplan.measure(model, memplan.plan(model, solver="greedy"), on="executorch")
    assert one.obeys and one.measured < one.own == one.ways["greedy"] and one.outputs == 3
    plan = memplan.plan(model, TWO, objective="traffic", solver="greedy", time_limit_s=5)
    two = memplan.measure(model, plan, on="executorch")
    assert two.obeys and two.measured == plan.value and set(two.ways) == {"banked_greedy"}


def test_a_run_in_one_alignment_less_is_refused_by_the_runtime() -> None:
    model = from_edge(edge(Stateful, (torch.zeros(2, 8, 2, 4),)))

    def program(missing: int) -> bytes:
        def algorithm(alignment: int, specs: Any, module: Any, _: Any, padding: int) -> Any:
            return packed(alignment, specs, module.input_mem_buffer_sizes, padding - missing, {})

        return bytes(model.source.lowered(MemoryPlanningPass(algorithm_suite(algorithm))).buffer)  # type: ignore[attr-defined]

    assert invoke(program(0)).digests
    with pytest.raises(ExecutionError, match="ExecuTorch does not run the program"):
        invoke(program(16))


@pytest.mark.slow(reason="starts several programs")
def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    torch.export.save(exported(Cell(), IMAGE), file)
    done = program_run(
        "plan", file, "--runtime", "executorch", "--solver", "greedy", "--emit", "json,pte", "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "net.plan.json").read_text())["runtime"] == "executorch"
    assert invoke((tmp_path / "net.memplan.pte").read_bytes()).digests
    done = program_run("measure", file, tmp_path / "net.plan.json", "--on", "executorch", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["obeys"] is True


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[3] / "docs" / "executorch.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"network": Cell().eval(), "inputs": IMAGE}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, space)
    assert (tmp_path / "model.pte").is_file()
