"""The compiled evaluator against the simulator, and the simulator's speed."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import numpy as np
import pytest
from memplan_solvers.latency.arrays import RESIDENCY, make_arrays, no_stores
from memplan_solvers.latency.layout import make_layout

from memplan.ir.graph import Graph
from memplan.judge.simulate import simulate
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.testing import TIMED, chain
from tests.generate import random_graph, random_plan


def _in_program_order(graph: Graph, plan: Plan) -> Graph:
    by_name = {op.name: op for op in graph.ops}
    return replace(graph, ops=tuple(by_name[name] for name in plan.schedule))


def _due_later(rng: random.Random, graph: Graph, plan: Plan) -> Plan:
    """The plan with some loads due at a later touch of their residency: host serves the touches before; not of what is kept."""
    root, moves = graph.storage_of, []
    touched = [{root[x] for x in (*op.inputs, *op.outputs)} if not op.view else set() for op in graph.ops]
    for m in plan.moves:
        stop = max(
            (r.stop for r in plan.residencies if (r.tensor, r.start) == (m.tensor, m.issue)), default=0
        )
        loaded = plan.is_load(m) and "keep" not in plan.options.pins.get(m.tensor, "")
        dues = [t for t in range(m.due, stop) if m.tensor in touched[t]] if loaded else []
        moves.append(m._replace(due=rng.choice(dues)) if dues else m)
    return replace(plan, moves=tuple(moves))


@pytest.mark.slow
def test_compiled_latency_is_the_simulators() -> None:
    compared = moved = two = beside = 0
    for seed in range(4000):
        rng = random.Random(seed)
        graph = random_graph(rng, rng.randint(1, 10))
        plan = random_plan(rng, graph)
        if plan.options.objective != "latency":
            continue
        graph = _in_program_order(graph, plan)
        later = _due_later(rng, graph, plan)
        beside += later != plan
        plan = replace(later, target=replace(plan.target, operands={"default": ("scratchpad", "host")}))
        problem = Problem(graph, plan.target, plan.options)
        timed = make_arrays(problem, Limits(1.0))
        if timed is None:
            continue
        # Each row ends at its storage's last step there, so joined residencies are one row already.
        rows = [(problem.number[r.tensor], r.start, r.stop, r.offset) for r in plan.residencies]
        order = {(m.tensor, m.issue): k for k, m in enumerate(plan.moves) if plan.is_load(m)}
        rows.sort(key=lambda r: order.get((problem.storages[r[0]].name, r[1]), -1))
        loads = [order.get((problem.storages[s].name, start)) for s, start, _, _ in rows]
        dues = np.array([-1 if k is None else plan.moves[k].due for k in loads], np.int64)
        stores = no_stores(timed)
        listed = [m for m in plan.moves if not plan.is_load(m)]
        if [m.tensor for m in sorted(listed, key=lambda m: (m.issue, problem.number[m.tensor]))] != [
            m.tensor for m in sorted(listed, key=lambda m: m.issue)
        ]:
            continue  # a tie in the file that the compiled twin breaks by number
        for m in listed:
            stores[problem.number[m.tensor]] = m.issue - 1, m.due
        found = make_layout(timed, np.array(rows, RESIDENCY), stores, dues).seconds
        assert found == pytest.approx(simulate(graph, plan).latency_s, rel=1e-9), seed
        compared += 1
        moved += bool(plan.moves)
        two += plan.target.queues == 2 and len(plan.moves) > 1
    assert compared > 1000 and moved > 600 and two > 200 and beside > 100


def test_simulator_takes_milliseconds_for_a_thousand_ops() -> None:
    from memplan.solving.planning import plan as solve

    graph = chain(1000)
    plan = solve(
        graph, TIMED, scratchpad=4000, objective="latency", solver="greedy", order="program", time_limit_s=0.2
    )
    begin = time.process_time()
    for _ in range(5):
        simulate(graph, plan)
    assert (time.process_time() - begin) / 5 < 0.1
