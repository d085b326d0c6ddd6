"""Chrome traces: lanes without overlap, the simulator's times, counters that are the live bytes."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from memplan.ir.graph import Graph
from memplan.judge.live import live_bytes
from memplan.judge.timeline import timeline
from memplan.problem.plan import Plan
from memplan.views.trace import COMPUTE, queue_lanes, trace_text
from tests.generate import random_graph, random_plan
from tests.spread import blocks, spread_plan, wide_plans


def traced(seed: int) -> tuple[Graph, Plan, list[dict[str, Any]]]:
    rng = random.Random(seed)
    graph = random_graph(rng, rng.randint(2, 30))
    plan = random_plan(rng, graph)
    return graph, plan, json.loads(trace_text(graph, plan))["traceEvents"]


def slices(events: list[dict[str, Any]], lane: int) -> list[dict[str, Any]]:
    return sorted(
        (e for e in events if e["ph"] == "X" and e["tid"] == lane), key=lambda e: (e["ts"], e["dur"])
    )


@pytest.mark.parametrize("seed", range(40))
def test_every_op_and_move_has_its_time(seed: int) -> None:
    graph, plan, events = traced(seed)
    ops = [e for e in slices(events, COMPUTE) if e["cat"] != "stall"]
    assert [e["name"] for e in sorted(ops, key=lambda e: e["args"]["step"])] == list(plan.schedule)
    moves = [
        (e["args"]["issue"], e["name"]) for lane in queue_lanes(plan).values() for e in slices(events, lane)
    ]
    assert sorted(moves) == sorted(
        (m.issue, f"{'load' if plan.is_load(m) else 'store'} {m.tensor}") for m in plan.moves
    )
    if plan.target.timed:
        expected = timeline(graph, plan)
        for e in ops:
            start, end = expected.ops[e["args"]["step"]]
            assert e["ts"] == pytest.approx(1e6 * start, abs=2e-6)
            assert e["ts"] + e["dur"] == pytest.approx(1e6 * end, abs=2e-6)
    else:
        assert [(e["ts"], e["dur"]) for e in ops] == [(t, 1) for t in range(len(plan.schedule))]


@pytest.mark.parametrize("seed", range(40))
def test_nothing_in_a_lane_overlaps(seed: int) -> None:
    _, plan, events = traced(seed)
    assert len(slices(events, COMPUTE)) >= len(plan.schedule) > 0  # waits among them
    for lane in (COMPUTE, *queue_lanes(plan).values()):
        end = 0.0
        for e in slices(events, lane):
            assert e["ts"] >= end - 1e-5, e
            end = max(end, e["ts"] + e["dur"])


@pytest.mark.parametrize("seed", range(20))
def test_counters_are_the_live_bytes(seed: int) -> None:
    _, plan, events = traced(seed)
    counted = [e["args"] for e in events if e["ph"] == "C"]
    assert [c["resident"] for c in counted] == [*live_bytes(plan), 0]
    if plan.target.scratchpad.capacity is not None:
        assert {c["resident"] + c["free"] for c in counted} == {plan.target.scratchpad.capacity}


def test_arrows_lead_from_a_move_to_those_that_copy_on() -> None:
    found = 0
    for seed in range(40):
        _, plan, events = traced(seed)
        starts = {e["id"]: e for e in events if e["ph"] == "s"}
        for end in (e for e in events if e["ph"] == "f"):
            found += 1
            start = starts.pop(end["id"])
            assert start["name"] == end["name"] and start["ts"] <= end["ts"]
            inside = [
                e["args"]
                for e in slices(events, start["tid"])
                if e["ts"] <= start["ts"] <= e["ts"] + e["dur"]
            ]
            after = [
                e["args"] for e in slices(events, end["tid"]) if e["ts"] <= end["ts"] <= e["ts"] + e["dur"]
            ]
            assert any(
                a["tensor"] == b["tensor"] == end["name"] and a["to"] == b["from"]
                for a in inside
                for b in after
            )
        assert not starts
    assert found > 20


def test_same_plan_same_text() -> None:
    rng = random.Random(1)
    graph = random_graph(rng, 20)
    plan = random_plan(rng, graph)
    assert trace_text(graph, plan) == trace_text(graph, plan)


def test_queues_are_lanes_and_memories_are_counters() -> None:
    graph = blocks(4)
    for plan in (spread_plan(graph), spread_plan(graph, timed=True)):
        events = json.loads(trace_text(graph, plan))["traceEvents"]
        names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
        assert names == {COMPUTE: "compute", 2: "copies, queue 0", 3: "copies, queue 1"}
        for queue, lane in queue_lanes(plan).items():
            told = [e["args"] for e in slices(events, lane)]
            moves = [m for m in plan.moves if m.queue == queue]
            assert sorted((a["tensor"], a["from"], a["to"], a["issue"], a["due"]) for a in told) == sorted(
                m[:5] for m in moves
            )
        for memory in plan.target.addressed:
            counted = [e["args"] for e in events if e["name"] == f"{memory.name} bytes"]
            assert [c["resident"] for c in counted] == [*live_bytes(plan, memory.name), 0]
        ops = [e["args"] for e in slices(events, COMPUTE) if e["cat"] != "stall"]
        assert [a.get("execution", 1) for a in ops] == [
            plan.schedule[: t + 1].count(name) for t, name in enumerate(plan.schedule)
        ]
        assert {t: a["over"] for t, a in enumerate(ops) if "over" in a} == {
            pair.step: {pair.output: pair.operand} for pair in plan.inplace
        }
        assert sum(a.get("joined", False) for a in ops) == len(plan.joined) > 0


def test_traces_of_any_plan_have_lanes_without_overlap_and_arrows_forwards() -> None:
    arrows = 0
    for graph, plan in wide_plans(80):
        events = json.loads(trace_text(graph, plan))["traceEvents"]
        assert sum(len(slices(events, lane)) for lane in queue_lanes(plan).values()) == len(plan.moves)
        for lane in (COMPUTE, *queue_lanes(plan).values()):
            end = 0.0
            for e in slices(events, lane):
                assert e["ts"] >= end - 1e-5, e
                end = max(end, e["ts"] + e["dur"])
        starts = {e["id"]: e["ts"] for e in events if e["ph"] == "s"}
        for e in (e for e in events if e["ph"] == "f"):
            assert starts[e["id"]] <= e["ts"] + 1e-5
            arrows += 1
    assert arrows > 10
