"""The numbers that a plan carries, and those that nobody can recompute."""

from __future__ import annotations

from dataclasses import replace
from math import nextafter

import pytest

from memplan.judge.check.check import check
from memplan.judge.check.claims import claims, need, proved_status, unverified
from memplan.judge.copies import Copies
from memplan.judge.evaluate import evaluate
from memplan.judge.plan_view import PlanView
from memplan.judge.simulate import simulate
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from tests.generate import TIMED
from tests.plans import load, row, store
from tests.programs import program

GRAPH = program("x,w>a a>y", {"x": 4, "w": 3, "a": 6, "y": 6}, inplace="op1")


def plan_of(**options: object) -> Plan:
    rows = (row("x", 0, 1, 0, 4), row("a", 0, 2, 4, 6), row("y", 1, 2, 10, 6))
    moves = (load("x", 0), store("y", 2))
    asked = Options(**options)  # type: ignore[arg-type]
    plan = Plan(
        GRAPH.name, GRAPH.sha256, Target().with_scratchpad(16), asked, "t", Status.OPTIMAL, ("op0", "op1"), rows, moves
    )  # fmt: skip
    metrics = simulate(GRAPH, plan)
    value = metrics.value(asked.objective)
    return replace(plan, metrics=metrics, value=value, bound=value)


def test_what_recomputes_is_no_violation() -> None:
    plan = plan_of(objective="peak")
    assert claims(Copies(PlanView(GRAPH, plan))) == [] and plan.value == 16
    assert claims(Copies(PlanView(GRAPH, replace(plan, bound=15, status=Status.FEASIBLE)))) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"graph": "other"}, "graph is claimed as other, it is program"), ({"value": 15.0}, "value is claimed as 15.0, it is 16"),
     ({"bound": 17}, "the bound 17 is above the value 16"), ({"bound": 15}, "status is claimed as optimal, it is feasible"),
     ({"status": Status.FEASIBLE}, "status is claimed as feasible, it is optimal")],
)  # fmt: skip
def test_each_claim_that_does_not_is_named(wrong: dict[str, object], words: str) -> None:
    plan = replace(plan_of(objective="peak"), **wrong)  # type: ignore[arg-type]
    found = claims(Copies(PlanView(GRAPH, plan)))
    assert [(v.rule, v.message) for v in found] == [("claims", words)]


def test_bounds_on_bytes_are_exact_and_those_on_seconds_but_for_rounding() -> None:
    assert proved_status(10**10, 10**10 - 1) is Status.FEASIBLE
    moves = (load("x", 0), store("y", 2, 2))
    timed = replace(plan_of(), target=TIMED, options=Options("latency"), moves=moves)
    least = simulate(GRAPH, timed).latency_s
    for bound, status in ((nextafter(least, 0), Status.OPTIMAL), (0.99 * least, Status.FEASIBLE)):
        plan = evaluate(GRAPH, replace(timed, bound=bound))
        assert plan.status is status and check(GRAPH, plan) == []


def test_each_metric_is_looked_at() -> None:
    plan = plan_of(objective="peak")
    for name, value in plan.metrics._asdict().items():
        wrong = {"scratchpad": 1} if name == "peaks" else (value or 0) + 1
        other = replace(plan, metrics=plan.metrics._replace(**{name: wrong}))
        assert [v.message.split()[0] for v in claims(Copies(PlanView(GRAPH, other)))] == [name]


def test_what_an_op_needs_under_the_plan_s_options() -> None:
    first, second = GRAPH.ops
    assert need(plan_of(), GRAPH, first) == 10 and need(plan_of(weights="tensor"), GRAPH, first) == 13
    assert need(plan_of(), GRAPH, second) == 12 and need(plan_of(inplace=True), GRAPH, second) == 6
    assert need(plan_of(pins={"a": "host"}), GRAPH, second) == 6
    aligned = replace(plan_of(), target=Target().with_scratchpad(16, 4))
    assert need(aligned, GRAPH, second) == 16
    assert need(replace(plan_of(), target=two_level(direct=True)), GRAPH, second) == 0
    assert need(plan_of(), GRAPH, replace(second, view=True, overwrites=())) == 0


def test_only_what_no_op_bears_out_is_unverified() -> None:
    nothing = replace(plan_of(objective="peak"), status=Status.INFEASIBLE, reason="too little")
    assert unverified(GRAPH, nothing) == ["no plan exists: too little"]  # 16 bytes hold every op
    tight = replace(nothing, target=Target().with_scratchpad(11))
    assert unverified(GRAPH, tight) == []  # op1 needs 12
    peak = plan_of(objective="peak")
    assert unverified(GRAPH, replace(peak, bound=12)) == []
    assert unverified(GRAPH, replace(peak, bound=13)) == ["no plan has a smaller peak than 13"]
    assert unverified(GRAPH, replace(plan_of(), bound=0)) == []
    assert unverified(GRAPH, replace(plan_of(), bound=1)) == ["no plan has a smaller traffic than 1"]
