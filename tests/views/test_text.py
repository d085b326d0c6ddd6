"""Texts of plans: each memory by name, and a line a step that tells copies, parts, pairs and repeated executions."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import memplan
from memplan.problem.plan import Plan
from memplan.views.text import plan_dump, plan_summary
from tests.spread import blocks, spread_plan, wide_plans
from tests.views.test_report import ladder


def steps_of(text: str, plan: Plan) -> list[str]:
    """The lines of the steps."""
    lines = text.split("\n\n")[1].split("\n")
    assert [int(line.split()[0]) for line in lines] == list(range(len(plan.schedule)))
    return lines


@pytest.mark.parametrize("timed", [False, True])
def test_a_dump_tells_all_that_a_plan_over_several_memories_does(timed: bool) -> None:
    graph = blocks(4)
    plan = spread_plan(graph, timed)
    lines = steps_of(plan_dump(graph, plan), plan)
    for t, (name, line) in enumerate(zip(plan.schedule, lines, strict=True)):
        assert f" {name} (" in line
        count = plan.schedule.count(name)
        told = f"execution {plan.schedule[: t + 1].count(name)} of {count}" in line
        assert told == (count > 1) and (", joined)" in line) == (name in plan.joined)
    begun = {(r.tensor, r.memory, r.start, r.offset) for r in plan.residencies}
    moved = {(m.tensor, m.destination, m.issue) for m in plan.moves}
    for tensor, memory, start, offset in begun:
        verb = "copy " if (tensor, memory, start) in moved else "+"
        assert f"  {verb}{tensor}@{memory}+{offset}" in lines[start]
    for r in plan.residencies:
        assert f"  -{r.tensor}@{r.memory}" in lines[r.stop - 1]
    for step, output, operand in plan.inplace:
        assert f"  {output} over {operand}" in lines[step]
    text = "\n".join(lines)
    assert len(re.findall(r"  copy \S+ from \S+", text)) == len(plan.moves)
    assert len(re.findall(r"  \+\S+ in \S+", text)) == sum(
        len(op.joins) for op in graph.ops if op.name in plan.joined
    )


def test_a_summary_names_the_memories_and_what_repeating_costs() -> None:
    graph = blocks(4)
    plan = spread_plan(graph)
    rows = dict(line.split(None, 1) for line in plan_summary(graph, plan).split("\n"))
    assert plan.metrics.peaks is not None and plan.metrics.extra_cost
    for memory, peak in plan.metrics.peaks.items():
        assert f"{memory} {peak:,} B (" in rows["target"] and f"{peak:,} B used in {memory}" in rows["peak"]
    assert rows["accessed"].startswith(f"{plan.metrics.accessed:,} B")
    assert f"{plan.metrics.extra_cost:,.6g} flop" in rows["again"] and "4 ops joined" in rows["graph"]


def test_a_scratchpad_machine_is_told_in_the_plain_words() -> None:
    graph = ladder(12)
    plan = memplan.plan(graph, scratchpad="MH", solver="greedy", workers=1, time_limit_s=60)
    text = plan_dump(graph, plan)
    words = Counter(re.findall(r"  (load|store|copy) ", text))
    loads = sum(plan.is_load(m) for m in plan.moves)
    assert words == {"load": loads, "store": len(plan.moves) - loads}
    assert "accessed" not in text and "again   " not in text and "scratchpad+" not in text


def test_any_plan_can_be_told() -> None:
    for graph, plan in wide_plans(100):
        assert len(steps_of(plan_dump(graph, plan), plan)) == len(plan.schedule)
