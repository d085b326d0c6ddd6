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
    assert error.message == "solver 'portfolio' does not plan for target 'wide' with 3 memories (a, b, c)"
    assert error.hint == "no installed solver does; use --objective traffic"
    assert memplan.plan(program("x>a a>y"), wide, objective="traffic", workers=1, time_limit_s=2.0).schedule


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
