"""Machines without a backing memory: their peaks are those of a scratchpad machine."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

import memplan
from memplan.machine.parts import Channel, Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.posed import posed
from tests.generate import random_graph

ALONE = Target("alone", (Memory("sram", alignment=4),))
FLASH = Target(
    "flash",
    (Memory("sram"), Memory("rom", readonly=True)),
    operands={"constants": ("rom",)},
    home={"constants": "rom"},
)


@pytest.mark.parametrize("target", [ALONE, FLASH])
@pytest.mark.parametrize("io", ["resident", "external"])
@pytest.mark.parametrize("inplace", [False, True])
def test_the_least_peak_is_proved_and_the_plan_is_the_targets_own(
    target: Target, io: str, inplace: bool
) -> None:
    for seed in range(10):
        graph = random_graph(random.Random(seed), 7)
        asked = memplan.PlanOptions(objective="peak", weights="ignore", io=io, inplace=inplace)
        plan = memplan.plan(graph, target, solver="peak", **asked)
        simple = memplan.Target("simple", (target.scratchpad, Memory("host")))
        twin = memplan.plan(graph, simple, solver="peak", **asked)
        assert plan.target == target and memplan.check(graph, plan) == []
        assert (plan.value, plan.bound, plan.status) == (twin.value, twin.bound, twin.status)


def test_a_backing_memory_with_addresses_holds_nothing_where_nothing_comes_from_it() -> None:
    memories = Memory("sram"), Memory("dram", 64, addresses=True)
    plan = memplan.plan(
        random_graph(random.Random(0), 5),
        Target("t", memories),
        objective="peak",
        weights="ignore",
        io="resident",
    )
    assert plan.value is not None and {r.memory for r in plan.residencies} == {"sram"}


def three(**changes: object) -> Target:
    memories = Memory("sram", alignment=4), Memory("axi"), Memory("dram")
    return replace(Target("three", memories, {"constants": ("sram", "axi")}), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("io", ["host", "resident", "external"])
def test_memories_that_ops_do_not_write_change_no_peak(io: str) -> None:
    for seed in range(10):
        graph = random_graph(random.Random(seed), 7)
        asked = memplan.PlanOptions(objective="peak", weights="ignore", io=io)
        plan = memplan.plan(graph, three(), solver="peak", **asked)
        twin = memplan.plan(
            graph, Target("two", (Memory("sram", alignment=4), Memory("dram"))), solver="peak", **asked
        )
        assert plan.target == three() and memplan.check(graph, plan) == []
        assert (plan.value, plan.bound, plan.status) == (twin.value, twin.bound, twin.status)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        (ALONE, Options("traffic", io="resident")),
        (ALONE, Options("peak", io="host")),
        (ALONE, Options("peak", io="resident", weights="tensor")),
        (ALONE, Options("peak", io="resident", pins={"x": "sram"})),
        (Target(), Options("peak", io="resident")),
        (three(operands={"default": ("sram", "axi")}), Options("peak", io="resident")),
        (three(queues=0), Options("peak", io="host")),
        (three(channels=(Channel("dram", "sram"),)), Options("peak", io="host")),
    ],
)
def test_what_is_another_question_elsewhere_stays_where_it_is(target: Target, options: Options) -> None:
    problem = Problem(random_graph(random.Random(0), 5), target, options)
    assert posed(problem) is problem
