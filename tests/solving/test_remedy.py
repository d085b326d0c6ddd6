"""Hints of infeasible problems, followed: each alternative that they name leaves a plan."""

from __future__ import annotations

import re
from typing import Any

import pytest

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.remedy import remedy

MENDED: dict[str, dict[str, Any]] = {
    "--scratchpad max": {"scratchpad": "max"},
    "--scratchpad MR": {"scratchpad": "MR"},
    "--objective traffic": {"objective": "traffic"},
    "--io host": {"io": "host"},
    "without --pin": {"pins": {}},
}


def _skip() -> Graph:
    """A chain with a skip connection around it: 200 bytes at an op, 300 where nothing leaves."""
    tensors = [Tensor("x", 100, "input"), *(Tensor(n, 100) for n in "abcd"), Tensor("e", 50), Tensor("y", 50)]
    ops = [
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("a",), ("b",)),
        Op("r", "Conv", ("b",), ("c",)),
        Op("s", "Conv", ("c",), ("d",)),
        Op("t", "Conv", ("d",), ("e",)),
        Op("u", "Conv", ("a", "e"), ("y",)),
    ]
    return Graph("skip", tuple(tensors), tuple(ops), ("y",))


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "peak", "scratchpad": 299},
        {"objective": "peak", "scratchpad": 150},
        {"objective": "traffic", "scratchpad": 1},
        {"objective": "traffic", "scratchpad": 150, "alignment": 64},
        {"objective": "peak", "scratchpad": 299, "io": "resident"},
        {"objective": "traffic", "scratchpad": 90, "io": "resident"},
        {"objective": "traffic", "scratchpad": 350, "pins": {"a": "keep", "b": "keep", "x": "@900"}},
        {"objective": "traffic", "scratchpad": 299, "pins": {"a": "keep"}},
        {"objective": "traffic", "scratchpad": 1000, "pins": {"a": "@0", "b": "@64"}},
        {"objective": "peak", "scratchpad": 100, "pins": {"a": "@0", "b": "@64"}},
        {"objective": "peak", "scratchpad": 150, "io": "resident", "pins": {"a": "keep@100"}},
    ],
)
def test_each_alternative_of_the_hint_leaves_a_plan(options: dict[str, Any]) -> None:
    graph = _skip()
    plan = memplan.plan(graph, **options, workers=1, time_limit_s=5)
    assert plan.status is Status.INFEASIBLE
    hint = remedy(Problem(graph, plan.target, plan.options))
    for alternative in re.split(r", or ", hint):
        changes: dict[str, Any] = {}
        for word, change in MENDED.items():
            changes |= change if word in alternative else {}
        if changes:
            mended = memplan.plan(graph, **(options | changes), workers=1, time_limit_s=5)
            assert mended.status in (Status.OPTIMAL, Status.FEASIBLE), (hint, alternative, mended.reason)
    assert any(word in hint for word in MENDED)


THREE = (Memory("fast", 90), Memory("middle", 90), Memory("slow"))
ANYWHERE = {"default": ("fast", "middle", "slow")}


@pytest.mark.parametrize(
    ("target", "io"),
    [
        (Target("board", (Memory("fast", 150),), queues=0), "resident"),
        (Target("board", THREE, ANYWHERE), "resident"),
        (Target("board", THREE, ANYWHERE | {"activations": ("middle",)}, queues=0), "external"),
    ],
)
def test_hints_on_targets_of_any_memories_leave_a_plan(target: Target, io: str) -> None:
    plan = memplan.plan(_skip(), target, io=io, workers=1)
    assert plan.status is Status.INFEASIBLE
    hint = remedy(Problem(_skip(), plan.target, plan.options))
    lifted = re.findall(r"--capacity (\w+)=max", hint)
    scratchpad = "max" if "--scratchpad max" in hint else None
    assert lifted or scratchpad
    capacities = dict.fromkeys(lifted, "max")
    mended = memplan.plan(_skip(), target, io=io, workers=1, scratchpad=scratchpad, capacities=capacities)
    assert mended.status in (Status.OPTIMAL, Status.FEASIBLE), (hint, mended.reason)


def test_the_hint_names_what_no_memory_serves() -> None:
    target = Target("board", THREE, ANYWHERE | {"inputs": ("slow",)}, queues=0)
    plan = memplan.plan(_skip(), target, scratchpad="max", io="resident", workers=1)
    assert plan.status is Status.INFEASIBLE
    hint = remedy(Problem(_skip(), plan.target, plan.options))
    assert hint.startswith("set [operands] or [home] of target 'board' so that one memory serves 'x'")


@pytest.mark.parametrize("preset", ["stm32h743", "imxrt1060"])
def test_where_inputs_are_too_large_for_the_first_memory_they_may_be_the_callers(preset: str) -> None:
    tensors = (Tensor("x", 300_000, "input"), Tensor("a", 200_000), Tensor("y", 100))
    graph = Graph(
        "large input", tensors, (Op("p", "Conv", ("x",), ("a",)), Op("q", "Conv", ("a",), ("y",))), ("y",)
    )
    plan = memplan.plan(graph, preset, io="resident", workers=1, time_limit_s=5)
    assert plan.status is Status.INFEASIBLE
    hint = remedy(memplan.make_problem(graph, preset, io="resident"))
    assert hint == "give --scratchpad max, or do without resident inputs and outputs (use --io external)"
    for mended in ({"io": "resident", "scratchpad": "max"}, {"io": "external"}):
        assert memplan.plan(graph, preset, workers=1, time_limit_s=5, **mended).status in (
            Status.OPTIMAL,
            Status.FEASIBLE,
        )
