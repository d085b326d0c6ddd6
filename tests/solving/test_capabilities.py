"""What solvers say that they can do: each word of it decides about a problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import PLAIN, two_level
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.registry import registry
from memplan.solving.testing import machine
from tests.programs import program

ONE = Target("one", (Memory("pad"),))
DIRECT = two_level(
    "npu", Memory("pad", bandwidth=2.0), Memory("dram", bandwidth=1.0), direct=True, compute=Compute(1.0)
)


def problem(target: Target = PLAIN, **options: Any) -> Problem:
    return Problem(program("x>a a>b b>y"), target, Options(**options))


@pytest.mark.parametrize(("can", "asked", "words"), [
    ({"objectives": ("peak",)}, problem(), "objective traffic"),
    ({}, problem(DIRECT, objective="latency"), "objective latency"),
    ({}, problem(ONE, io="resident"), "target 'one' with one memory alone ('pad')"),
    ({"memories": "any", "queues": (0,)}, problem(), "target 'scratchpad' with 1 copying queues"),
    ({"operands": ("scratchpad",)}, problem(DIRECT, objective="peak"), "ops that use 'dram' directly"),
    ({"operands": ("direct",)}, problem(), "operands that must all be in 'scratchpad'"),
    ({}, problem(DIRECT), "objective traffic where ops use 'dram' directly"),
    ({"orders": ("free",)}, problem(order="program"), "order program"),
    ({"io": ("host",)}, problem(io="external"), "io external"),
    ({"pins": ("keep",)}, problem(pins={"a": "keep@8"}), "pins to an offset in the first memory"),
    ({"pins": ("offset",)}, problem(pins={"a": "keep@8"}), "pins to keep"),
    ({}, problem(pins={"a": "keep axi"}), "pins to a memory by its name"),
])  # fmt: skip
def test_each_word_is_needed_for_a_problem(can: dict[str, Any], asked: Problem, words: str) -> None:
    few, all_ = (
        Capabilities(**can),
        Capabilities(("traffic", "peak", "latency"), "any", accesses=True, queues=None),
    )
    assert few.lacks(asked) == [words]
    assert replace(all_, pins=("keep", "host", "offset", "memory")).lacks(asked) == []


def test_what_is_lacking_is_listed_whole() -> None:
    found = Capabilities(("latency",), operands=("direct",), io=("host",)).lacks(problem(io="resident"))
    assert found == ["objective traffic", "operands that must all be in 'scratchpad'", "io resident"]


def test_freedoms_are_no_reason_to_refuse() -> None:
    assert Capabilities(inplace=False).lacks(problem(inplace=True, join=True, recompute=None)) == []


@pytest.mark.parametrize("name", sorted(registry()))
def test_every_solver_plans_for_something(name: str) -> None:
    solver = registry()[name]()
    for objective in solver.supports.objectives:
        assert solver.lacks(problem(machine(solver, objective), objective=objective)) == []


def test_the_portfolio_can_do_what_its_parts_can() -> None:
    parts = [cls.supports for name, cls in registry().items() if name != "portfolio"]
    whole = registry()["portfolio"].supports
    assert {*whole.objectives} == {x for part in parts for x in part.objectives}
    assert {*whole.io} == {x for part in parts for x in part.io}
    assert {*whole.pins} == {x for part in parts for x in part.pins}
