"""Problems that a solver does not plan for: what it lacks, who has it, and hints that work when followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import memplan
from memplan.base.errors import OptionError
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving import refusals
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.refusals import able, refuse
from memplan.solving.registry import parse_spec, registry
from memplan.solving.solver import Solver
from tests.programs import problem, program

DIRECT = two_level(
    "npu", Memory("pad", bandwidth=2.0), Memory("dram", bandwidth=1.0), direct=True, compute=Compute(1.0)
)


@dataclass(frozen=True)
class Anywhere(Solver):
    """Plans for every target, but only in the program's order."""

    name: ClassVar[str] = "anywhere"
    summary: ClassVar[str] = "for tests"
    supports: ClassVar[Capabilities] = Capabilities(
        ("traffic",), memories="any", queues=None, orders=("program",), accesses=True
    )

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        return self.no_answer(problem, limits, Status.UNKNOWN, "asked")


def refused(
    solver: str | Solver, model: object, target: str | Target = "scratchpad", **options: Any
) -> OptionError:
    with pytest.raises(OptionError) as caught:
        memplan.plan(model, target, solver=solver, workers=1, **options)  # type: ignore[arg-type]
    return caught.value


def test_a_solver_says_what_it_lacks_and_who_has_it() -> None:
    error = refused("pytorch", program("x>a a>y"), objective="peak", pins={"a": "@0"})
    assert error.message == "solver 'pytorch' does not plan for pins to an offset in the first memory"
    names = error.hint.removeprefix("use --solver, one of ").split(", ")
    assert names == ["greedy", "ilp", "peak", "portfolio"] and error.exit_status == 2
    for name in names:  # the hint, followed
        assert memplan.plan(
            program("x>a a>y"), objective="peak", pins={"a": "@0"}, solver=name, workers=1
        ).schedule


def test_where_no_solver_has_it_options_are_named_with_which_one_has() -> None:
    wide = Target("wide", (Memory("a"), Memory("b"), Memory("c")), {"default": ("a", "b")})
    error = refused("portfolio", program("x>a a>y"), wide, objective="peak")
    what = "objective peak on target 'wide', where ops need not write to 'a' but may to b"
    assert error.message == f"solver 'portfolio' does not plan for {what}"
    hint = "no installed solver does; use --objective traffic or use --target scratchpad --alignment 1"
    assert error.hint == hint
    assert memplan.plan(program("x>a a>y"), wide, objective="traffic", workers=1, time_limit_s=2.0).schedule
    assert memplan.plan(program("x>a a>y"), "scratchpad", alignment=1, objective="peak", workers=1).schedule


@pytest.mark.parametrize("preset", ["stm32h743", "imxrt1060"])
def test_the_peak_of_one_memory_of_several_is_refused_with_hints_that_work(preset: str) -> None:
    model = program("x>a a>y")
    error = refused("portfolio", model, preset, objective="peak")
    assert "where ops need not write to 'dtcm' but may to" in error.message
    assert error.hint.endswith("use --objective traffic or use --target scratchpad --alignment 16")
    assert memplan.plan(model, preset, objective="traffic", workers=1, time_limit_s=2.0).schedule
    assert memplan.plan(model, "scratchpad", alignment=16, objective="peak", workers=1).schedule


def test_what_need_not_lie_in_the_first_memory_is_named_and_the_hint_works() -> None:
    first = Target("first", (Memory("a"), Memory("b"), Memory("c")))
    model = program("x>a a>y")
    error = refused("portfolio", model, first, objective="peak", weights="tensor")
    assert "where constants are placed" in error.message and "use --weights ignore" in error.hint
    assert memplan.plan(model, first, objective="peak", weights="ignore", workers=1).schedule


def test_an_added_solver_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "registry", lambda: {"search": registry()["search"], "anywhere": Anywhere})
    wide = Target("wide", (Memory("a"), Memory("b"), Memory("c")))
    error = refused("search", program("x>a a>y"), wide, order="program")
    assert "'search' does not plan for target 'wide' with 3 memories (a, b, c)" in error.message
    assert error.hint == "use --solver anywhere"
    assert memplan.plan(program("x>a a>y"), wide, order="program", solver=Anywhere()).reason == "asked"
    assert refused("search", program("x>a a>y"), wide).hint == "no installed solver does; use --order program"


def test_what_is_planned_for_is_not_refused() -> None:
    asked = problem("x>a a>y")
    assert {"greedy", "portfolio", "search"} <= set(able(asked)) and "anneal" not in able(asked)
    for name in able(asked):
        refuse(parse_spec(name), asked)
