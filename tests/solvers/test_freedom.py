"""Who may do more does no worse: in place, donated inputs, any order."""

from __future__ import annotations

import random

import pytest

import memplan
from memplan.ir.graph import Graph
from memplan.problem.plan import Status
from memplan.solving.testing import TIMED
from tests.generate import random_graph

NONE: dict[str, object] = {"inplace": False, "order": "program"}
FREER: tuple[dict[str, object], ...] = ({"inplace": True}, {"order": "free"}, {"donate": "*"})


def cost(graph: Graph, objective: str, solver: str, capacity: int | str, options: dict[str, object]) -> float:
    target = TIMED if objective == "latency" else "scratchpad"
    plan = memplan.plan(
        graph, target, scratchpad=capacity, objective=objective, solver=solver, time_limit_s=20, **options
    )  # type: ignore[arg-type]
    return float("inf") if plan.status in (Status.INFEASIBLE, Status.UNKNOWN) else float(plan.value or 0)


def compared(graph: Graph, objective: str, solver: str, capacity: int | str) -> int:
    """How often more freedom cost less; AssertionError where it cost more."""
    returned, gains = graph.output_storages, 0
    inputs = [t.name for t in graph.tensors if t.kind == "input" and t.name not in returned]
    least = cost(graph, objective, solver, capacity, NONE)
    for more in FREER:
        options = NONE | more | ({"donate": inputs} if "donate" in more else {})
        found = cost(graph, objective, solver, capacity, options)
        assert found <= least * (1 + 1e-9), (graph.name, objective, solver, more, found, least)
        gains += found < least
    return gains


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["traffic", "peak", "latency"])
@pytest.mark.parametrize("solver", ["greedy", "portfolio{skip=malloc_game+ilp+fixed_order}"])
def test_more_freedom_is_never_worse_on_random_graphs(objective: str, solver: str) -> None:
    gains = 0
    few = solver != "greedy"
    for seed in range(4 if few else 40):
        graph = random_graph(random.Random(seed), 7 if few else 12)
        gains += compared(graph, objective, solver, "max" if objective == "peak" else "MR")
    assert gains


@pytest.mark.parametrize("name", ["resnet8_int8", "ds_cnn_int8"])
@pytest.mark.parametrize("objective", ["traffic", "peak", "latency"])
def test_more_freedom_is_never_worse_on_nets(name: str, objective: str) -> None:
    compared(memplan.load(name).graph, objective, "greedy", "max" if objective == "peak" else "MR")
