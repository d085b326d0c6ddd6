"""Costs: hand-computed cases, and an independent slow reference of the timed model."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest

import memplan
from memplan.io.plan_json import plan_dict, plan_from_dict
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.cost import accesses_cost
from memplan.judge.simulate import plan_value, simulate
from memplan.judge.timeline import timeline
from memplan.machine.parts import Compute, Memory
from memplan.machine.two_level import two_level
from memplan.problem.options import CHOICES, Options
from memplan.problem.plan import Move, Plan, Residency, Status
from memplan.views.text import plan_summary
from tests.edition1 import races
from tests.generate import random_graph, random_plan, timed
from tests.generate_wide import wide_graph, wide_plan
from tests.graphs import graph_of
from tests.naive_cost import NaiveCost
from tests.plans import load, row, store


def _tensor(name: str, nbytes: int, kind: str = "activation") -> Tensor:
    return Tensor(name, nbytes, kind, "int8", (nbytes,))


GRAPH = graph_of(
    "g",
    (_tensor("x", 100, "input"), _tensor("a", 200), _tensor("b", 50), _tensor("y", 10, "output")),
    (
        Op("p", "Conv", ("x",), ("a",), 1000),
        Op("q", "Conv", ("a",), ("b",), 0),
        Op("r", "Add", ("a", "b"), ("y",)),
    ),
)
TARGET = two_level(
    "t",
    Memory("scratchpad", bandwidth=100.0),
    Memory("host", bandwidth=10.0),
    direct=True,
    compute=Compute(100.0, {}, 0.5),
)


def _plan(residencies: list[Residency], moves: list[Move], objective: str = "traffic") -> Plan:
    return Plan(
        "g",
        GRAPH.sha256,
        TARGET,
        Options(objective),
        "hand",
        Status.FEASIBLE,
        ("p", "q", "r"),
        tuple(residencies),
        tuple(moves),
    )


def test_traffic_tells_compulsory_from_spilled() -> None:
    rows = [
        row("x", 0, 1, 0, 100),
        row("a", 0, 2, 100, 200),
        row("b", 1, 3, 0, 50),
        row("a", 2, 3, 100, 200),
        row("y", 2, 3, 300, 10),
    ]
    moves = [
        load("x", 0),
        store("a", 1),
        load("a", 2),
        store("y", 3),
    ]
    m = simulate(GRAPH, _plan(rows, moves))
    assert (m.compulsory_load, m.compulsory_store, m.spill_load, m.spill_store) == (100, 10, 200, 200)
    assert (m.live_peak, m.peak) == (300, 310)
    assert m.traffic == 400


def test_latency_by_hand() -> None:
    # All in host: op time = bytes / 10 + 0.5, but p computes 1000 / 100 = 10 s < 30 s of memory.
    assert simulate(GRAPH, _plan([], [], "latency")).latency_s == pytest.approx(30.5 + 25.5 + 26.5)
    # x loaded (10 s), everything resident: p is bound by compute (10.5 s), q 2.5 + 0.5, r 2.6 + 0.5.
    # The store of y (1 s) may start when r has ended.
    rows = [
        row("x", 0, 1, 0, 100),
        row("a", 0, 3, 100, 200),
        row("b", 1, 3, 0, 50),
        row("y", 2, 3, 300, 10),
    ]
    moves = [load("x", 0), store("y", 3, 3)]
    m = simulate(GRAPH, _plan(rows, moves, "latency"))
    assert m.latency_s == pytest.approx(10 + 10.5 + 3.0 + 3.1 + 1.0)
    assert m.latency_unlimited_s == pytest.approx(10.5 + 3.0 + 3.1)
    assert m.latency_all_host_s == pytest.approx(30.5 + 25.5 + 26.5)


def test_prefetch_overlaps_with_what_the_op_leaves_of_the_bandwidth() -> None:
    # q serves a from host: 20 of 21.0 s (0.5 resident b bytes + 0.5 overhead) keep the bus busy.
    rows = [row("b", 1, 3, 0, 50), row("a", 1, 3, 50, 200)]
    moves = [load("a", 1, 2)]
    line = timeline(GRAPH, _plan(rows, moves, "latency"))
    start, end = line.ops[1]
    assert end - start == pytest.approx(20.5 + 0.5)
    # 1 s of the copy overlaps with q, 19 remain before r.
    assert line.ops[2][0] - end == pytest.approx(20 - 1.0)
    assert line.moves[0] == pytest.approx((start, line.ops[2][0]))


class _Fluid:
    """The timed model once more, in exact fractions, one event at a time."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.g, self.p = graph, plan
        self.bandwidth = Fraction(plan.target.host.bandwidth)

    def latency(self) -> Fraction:
        plan, graph = self.p, self.g
        pad = Fraction(plan.target.scratchpad.bandwidth)
        left = [Fraction(graph.tensor[m.tensor].nbytes) for m in plan.moves]
        due = [m.due for m in plan.moves]
        queue = list(range(len(left)))
        now, last_store = Fraction(0), Fraction(0)
        steps = len(plan.schedule)
        by_name = {op.name: op for op in graph.ops}
        for t in range(steps + 1):
            wait = [i for i in queue if due[i] <= t] if t < steps else list(queue)
            while any(i in queue for i in wait):
                now, done = self._run(queue, left, t, now, None, Fraction(1))
                last_store = now if any(not plan.is_load(plan.moves[i]) for i in done) else last_store
            if t == steps:
                break
            op = by_name[plan.schedule[t]]
            fast = slow = 0
            names = set() if op.view else {graph.storage_of[x] for x in (*op.inputs, *op.outputs)}
            for name in names:
                if plan.options.weights == "ignore" and graph.tensor[name].kind == "constant":
                    continue
                inside = any(r.tensor == name and r.start <= t < r.stop for r in plan.residencies)
                fast += graph.tensor[name].nbytes * inside
                slow += graph.tensor[name].nbytes * (not inside)
            first = next(iter((*op.inputs, *op.outputs)))
            rate = Fraction(plan.target.compute.rate(graph.tensor[first].dtype))
            host_s = slow / self.bandwidth
            duration = max((op.flops or 0) / rate, fast / pad + host_s) + Fraction(
                plan.target.compute.overhead_s
            )
            end = now + duration
            share = 1 - host_s / duration if duration else Fraction(1)
            at = now
            while at < end:
                moved, done = self._run(queue, left, t, at, end, share)
                last_store = moved if any(not plan.is_load(plan.moves[i]) for i in done) else last_store
                at = moved
            now = end
        return max(now, last_store)

    def _run(self, queue, left, t, now, until, share):
        """Copy until the first head is done or `until`: (time reached, moves done)."""
        lanes = [[i for i in queue if self.p.moves[i].queue == lane] for lane in (0, 1)]
        heads = [lane[0] for lane in lanes if lane and self.p.moves[lane[0]].issue <= t]
        if not heads or share <= 0:
            return until, []
        rate = self.bandwidth * share / len(heads)
        least = min(left[i] for i in heads)
        end = now + least / rate
        if until is not None and end > until:
            for i in heads:
                left[i] -= (until - now) * rate
            return until, []
        done = [i for i in heads if left[i] == least]
        for i in heads:
            left[i] -= least
        for i in done:
            queue.remove(i)
        return end, done


@pytest.mark.slow
def test_random_plans_agree_with_the_exact_reference() -> None:
    moved = 0
    for seed in range(800):
        rng = random.Random(seed)
        graph = random_graph(rng, rng.randint(1, 8))
        plan = random_plan(rng, graph)
        pad, queues = plan.target.scratchpad, rng.choice((1, 2))
        moves = tuple(m._replace(queue=0 if plan.is_load(m) else queues - 1) for m in plan.moves)
        machine = timed(queues=queues).with_scratchpad(pad.capacity, pad.alignment)
        plan = replace(plan, target=machine, moves=moves)
        if queues == 2 and races(graph, plan):
            continue  # two queues race no longer
        expected = float(_Fluid(graph, plan).latency())
        assert simulate(graph, plan).latency_s == pytest.approx(expected, rel=1e-9), seed
        moved += bool(plan.moves)
    assert moved > 500


def test_ops_of_unknown_cost_are_named_on_latency_plans() -> None:
    tensors = Tensor("x", 64, "input"), Tensor("a", 64), Tensor("b", 64), Tensor("y", 64)
    ops = (
        Op("first", "Odd", ("x",), ("a",)),
        Op("second", "Odd", ("a",), ("b",)),
        Op("third", "Relu", ("b",), ("y",), 16),
    )
    graph = Graph("odd", tensors, ops, ("y",))
    plan = memplan.plan(graph, "tpu-v4i", objective="latency", solver="msa")
    assert plan.notes == ("2 Odd of unknown flops, timed by bytes alone: first, second",)
    assert plan.notes[0] in plan_summary(graph, plan)
    assert plan_from_dict(plan_dict(plan), "plan").notes == plan.notes
    assert memplan.plan(graph, solver="greedy").notes == ()


@pytest.mark.slow
def test_random_plans_of_any_target_agree_with_the_exact_reference() -> None:
    judged = timed = again = 0
    for seed in range(1000):
        rng = random.Random(seed)
        graph = wide_graph(rng, rng.randint(1, 7))
        plan = wide_plan(rng, graph)
        if check(graph, plan, claims=False):
            continue
        found, expected = simulate(graph, plan), NaiveCost(graph, plan)
        assert found.accessed == pytest.approx(float(expected.accessed()), abs=1e-9), seed
        if plan.target.timed:
            assert found.latency_s == pytest.approx(float(expected.latency()), rel=1e-9), seed
        assert found.peaks == expected.peaks() and found.peak == expected.peaks()["m0"], seed
        assert found.live_peak == expected.live_peak("m0"), seed
        assert found.extra_cost == pytest.approx(expected.extra_cost(), rel=1e-9, abs=1e-15), seed
        judged, timed, again = judged + 1, timed + plan.target.timed, again + (found.extra_cost != 0)
    assert judged > 650 and timed > 400 and again > 15


@pytest.mark.slow(reason="walks through many plans")
def test_the_value_alone_is_that_of_the_whole_simulation() -> None:
    """On scratchpad machines, where moves alone cost something, and on any target; the executions cost in some."""
    seen = set()
    for seed in range(400):
        rng = random.Random(seed)
        any_target = rng.random() < 0.5
        graph = (wide_graph if any_target else random_graph)(rng, rng.randint(1, 8))
        plan = (wide_plan if any_target else random_plan)(rng, graph)
        objective = plan.options.objective
        if check(graph, plan, claims=False):
            continue
        assert plan_value(graph, plan) == simulate(graph, plan).value(objective), seed
        seen.add((objective, accesses_cost(plan.target), plan.options.io, plan.options.weights == "ignore"))
    assert {("traffic", cost, io, w) for cost in (0, 1) for io in CHOICES["io"] for w in (0, 1)} <= seen
    assert {objective for objective, *_ in seen} == {"traffic", "peak", "latency", "compute"}


def test_what_an_op_reads_in_slow_memory_and_what_is_computed_again_costs() -> None:
    """x is read twice from host, 100 B each; a is made twice there. Once each is compulsory for x alone."""
    graph = replace(GRAPH, updates=())
    plan = replace(_plan([], []), options=Options("traffic", recompute=2), schedule=("p", "p", "q", "r"))
    m = simulate(graph, plan)
    assert m.accessed == 100 + 2 * 200 + 2 * 200 + 50 + 50  # x once more; a written twice, read twice; b
    assert m.extra_cost == pytest.approx(1000 / 100)
    assert m.peaks == {"scratchpad": 0} and m.spill_load == m.spill_store == 0
