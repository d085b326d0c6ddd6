"""What a plan says of itself, and which graph it is of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memplan.base.errors import PlanError
from memplan.ir.graph import digest_1
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Metrics, Plan, Status, graph_mismatch, refuse_mismatch, relative_gap
from tests.programs import program


def test_the_gap_is_relative_to_the_value() -> None:
    assert relative_gap(8, 6) == 0.25 and relative_gap(0, 0) == 0 and relative_gap(None, 3) is None
    plan = Plan("g", "", Target(), Options(), "none", Status.FEASIBLE, value=10, bound=9)
    assert plan.gap == 0.1


def test_each_objective_has_its_metric() -> None:
    metrics = Metrics(3, 5, 100, 200, 7, 11, 0.5, accessed=9, extra_cost=2.5)
    objectives = ("traffic", "peak", "latency", "compute")
    assert [metrics.value(objective) for objective in objectives] == [9, 11, 0.5, 2.5]
    assert metrics._replace(accessed=None).value("traffic") == 8  # an older file's


def test_a_plan_is_of_the_graph_whose_digest_it_has_of_either_version() -> None:
    graph, other = program("x>a a>y"), program("x>a a>y", {"a": 2})
    for digest in (graph.sha256, digest_1(graph)):
        plan = Plan(graph.name, digest, Target(), Options(), "none", Status.UNKNOWN)
        refuse_mismatch(graph, plan)
        assert graph_mismatch(graph, plan) == "" and graph_mismatch(other, plan)
        with pytest.raises(PlanError, match="another graph than 'program'\nhint: name the model"):
            refuse_mismatch(other, plan)
    sized = replace(plan, options=Options(dims={"N": 4, "S": (1, 8)}, bounds={"boxes": (100, 4)}))
    with pytest.raises(
        PlanError, match=r"with --dim N=4 --dim S=1\.\.8 --bound boxes=100,4, and the same --ops if"
    ):
        refuse_mismatch(other, sized)
