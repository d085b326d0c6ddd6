"""Plans measured by their emitted host test, compiled by the system's C compiler."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest

import memplan
from memplan.base.errors import ExecutionError, InvalidPlanError, MemplanError, PlanError
from memplan.firmware.emit import c_file_names, c_files
from memplan.ir.model import Model
from memplan.judge.check.check import check
from memplan.problem.plan import Plan
from memplan.runtimes import c
from tests.cli.program import memplan as program_run
from tests.generate_wide import wide_graph, wide_plan

needs_compiler = pytest.mark.skipif(
    not any(map(which, ("cc", "gcc", "clang"))), reason="no C compiler is installed"
)


@pytest.fixture(autouse=True)
def no_compiler_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)


def planned(**options: str) -> tuple[Model, Plan]:
    model = memplan.load("resnet8_int8")
    return model, memplan.plan(model, runtime="c", solver="greedy", workers=1, **options)  # type: ignore[arg-type]


@needs_compiler
@pytest.mark.parametrize("target", ["cortex-m7", "stm32h743"])
def test_the_replay_uses_what_was_planned(target: str) -> None:
    model, plan = planned(target=target)
    assert plan.runtime == "c"
    found = memplan.measure(model, plan, on="c")
    assert found.obeys and found.measured == sum(plan.peaks.values()) > 0
    assert (found.outputs, found.different, found.ordered, found.own, found.kept) == (
        1,
        0,
        True,
        None,
        "plan",
    )
    assert "no planner of its own" in str(found)


@needs_compiler
@pytest.mark.slow
def test_random_plans_over_several_memories_are_used_to_the_byte() -> None:
    done = 0
    for seed in range(25):
        rng = random.Random(seed)
        graph = wide_graph(rng, rng.randint(1, 12))
        plan = wide_plan(rng, graph)
        if not check(graph, plan, claims=False):
            with suppress(PlanError):  # alignments that C has not
                found = c.measure(Model(graph, "net"), plan)
                assert found.obeys, (seed, str(found), found.faults)
                done += 1
    assert done > 8


@needs_compiler
def test_two_live_tensors_in_one_place_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables are those of a plan in which they overlap, as no plan that is checked has it."""
    model, plan = planned()
    add = next(op for op in model.graph.ops if len(set(op.inputs)) == 2 and op.kind == "Add")
    a, b = (next(r for r in plan.residencies if r.tensor == model.graph.storage_of[x]) for x in add.inputs)
    moved = tuple(r._replace(offset=a.offset) if r is b else r for r in plan.residencies)
    monkeypatch.setattr("memplan.firmware.emit.check", lambda *_, **__: [])
    found = c.measure(model, replace(plan, residencies=moved))
    assert not found.obeys and "violation: step" in found.faults[0]


def test_a_plan_that_breaks_a_rule_is_not_replayed() -> None:
    model, plan = planned()
    with pytest.raises(InvalidPlanError):
        memplan.measure(model, replace(plan, residencies=plan.residencies[1:]), on="c")


def test_without_a_compiler_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, plan = planned()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MemplanError, match="no C compiler is installed\nhint: install gcc or clang"):
        memplan.measure(model, plan, on="c")
    monkeypatch.setenv("CC", "absent-cc -m32")
    with pytest.raises(MemplanError, match="no C compiler"):
        memplan.measure(model, plan, on="c")


@needs_compiler
def test_what_the_compiler_refuses_is_passed_on() -> None:
    model, plan = planned()
    told, text, test = c_files(model, plan)
    with pytest.raises(ExecutionError, match="the C compiler refuses the plan: (?s:.)*nothing"):
        c.replayed((told, text + "nothing;", test), c_file_names(model.stem))


@needs_compiler
def test_the_command(tmp_path: Path) -> None:
    done = program_run("plan", "resnet8_int8", "--runtime", "c", "--target", "cortex-m7", "-o", tmp_path)
    assert done.returncode == 0
    plan = tmp_path / "resnet8_int8.plan.json"
    assert json.loads(plan.read_text())["runtime"] == "c"
    done = program_run("measure", "resnet8_int8", plan, "--on", "c", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["obeys"] and found["measured"] == found["predicted"] > 0
