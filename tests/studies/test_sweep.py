"""`memplan sweep`: monotone curves, true bounds, warm starts that pay, and the files it writes."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from memplan.api import load
from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.capacities import reference_capacities
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from memplan.solving.testing import TIMED, chain
from memplan.studies.curve import PILLAR_SLICE, SLICE
from memplan.studies.sweep import REST, WHOLE, sweep
from tests.cli.program import memplan as program
from tests.generate import random_graph
from tests.oracle import Oracle


def test_the_curve_is_monotone_checked_and_ends_at_the_peak() -> None:
    problem = make_problem(chain(30), alignment=4)
    found = sweep(problem, points=9, solver="greedy", time_limit_s=2.0, workers=1)
    known = found.reference
    capacities = [p.capacity for p in found.points]
    assert capacities[0] == known.mr and capacities[-1] == known.mp and capacities == sorted(set(capacities))
    values = [p.value for p in found.points]
    bounds = [p.bound for p in found.points]
    assert values == sorted(values, reverse=True) and bounds == sorted(bounds, reverse=True)
    assert values[-1] == 0
    for p in found.points:
        fitted = replace(p.plan, target=problem.target.with_scratchpad(p.capacity))
        assert not [v for v in check(problem.graph, fitted) if "bound" not in str(v)]
        assert p.bound <= p.value
    assert found.seconds < WHOLE * 2.0 + 1


@pytest.mark.slow(reason="sweeps several graphs")
def test_never_worse_than_the_plans_it_starts_from() -> None:
    problem = make_problem(chain(40))
    found = sweep(problem, points=6, solver="greedy", time_limit_s=5.0, workers=1)
    assert len(found.points) == 6 and found.points[0].value
    for low, high in zip(found.points, found.points[1:], strict=False):
        wide = replace(problem, target=problem.target.with_scratchpad(high.capacity))
        begun = parse_spec("greedy").solve(wide, Limits(time_limit_s=5.0, start=(low.plan,)))
        assert evaluate(problem.graph, begun).value <= low.value


def test_settled_points_are_not_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    line = chain(2)  # M_R = M_P: everything fits at once
    asked: list[Limits] = []
    greedy = type(parse_spec("greedy"))
    honest = greedy.solve

    def solve(self: Solver, problem: Problem, limits: Limits) -> Plan:
        asked.append(limits)
        return honest(self, problem, limits)

    monkeypatch.setattr(greedy, "solve", solve)
    problem = make_problem(line)
    found = sweep(problem, points=20, least="MR", most="3MP", solver="greedy", time_limit_s=1.0, workers=1)
    assert len(asked) == 2 and [p.solved for p in found.points].count(True) == 2
    assert all(p.value == p.bound == 0 for p in found.points)
    asked.clear()
    problem = make_problem(chain(40))
    sweep(problem, points=5, solver="greedy", time_limit_s=5.0, workers=1)
    assert len(asked) > 2 and not any(b.start for b in asked[:2]) and all(b.start for b in asked[2:])


@pytest.mark.slow(reason="sweeps several graphs")
def test_what_is_proved_just_below_the_peak_settles_all_it_holds_for() -> None:
    problem = make_problem(load("densenet121"))
    found = sweep(problem, time_limit_s=20.0, workers=1)
    assert found.points[-2].solved and all(p.value == p.bound for p in found.points)
    assert len({p.value for p in found.points}) == 3
    assert (
        sum(p.solved for p in found.points) <= 9
    )  # two ends, just below the peak, two steps found by halving


@pytest.mark.slow(reason="sweeps several graphs")
def test_pillars_first_then_a_share_of_what_they_took(monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = type(parse_spec("greedy"))
    honest = greedy.solve
    asked: list[tuple[int, float]] = []

    def solve(self: Solver, problem: Problem, limits: Limits) -> Plan:
        """As a solver whose time runs out before it has proved anything, but for the largest capacity."""
        asked.append((problem.byte_limit, limits.time_limit_s))
        taken = limits.time_limit_s if problem.byte_limit < peak else 1.0
        return replace(honest(self, problem, replace(limits, time_limit_s=5.0, bound=0)), seconds=taken)

    monkeypatch.setattr(greedy, "solve", solve)
    problem = make_problem(chain(40))
    peak = reference_capacities(problem).mp
    found = sweep(problem, points=17, solver="greedy", time_limit_s=8.0, workers=1)
    at = {p.capacity: i for i, p in enumerate(found.points)}
    inner, brief = PILLAR_SLICE * 8.0, SLICE * 8.0
    first = 8.0 + 1.0 + brief + 3 * inner
    order = [(0, 8.0), (16, 8.0), (15, brief), (8, inner), (12, inner), (4, inner)]
    assert [(at[room], limit) for room, limit in asked[:6]] == order
    assert len(asked) > 6 and sum(limit for _, limit in asked[6:]) == pytest.approx(
        min(REST * first, WHOLE * 8.0 - first)
    )


@pytest.mark.parametrize("seed", [0, 3, 13, 21])  # M_R is below M_P
def test_bounds_hold_against_brute_force(seed: int) -> None:
    graph = random_graph(random.Random(seed), 6)
    problem = make_problem(graph)
    found = sweep(problem, points=5, solver="portfolio", time_limit_s=1.0, workers=1)
    for p in found.points:
        oracle = Oracle(replace(problem, target=problem.target.with_scratchpad(p.capacity)))
        optimum = oracle.least_placed_traffic(oracle.least_traffic() or 0)
        assert p.value is not None and p.bound <= optimum <= p.value
    assert len(found.points) > 1 and found.points[0].value


@pytest.mark.slow(reason="sweeps several graphs")
def test_latency_falls_too() -> None:
    graph: Graph = chain(20)
    problem = make_problem(graph, TIMED, objective="latency")
    found = sweep(problem, points=5, solver="greedy", time_limit_s=1.0, workers=1)
    values = [p.value for p in found.points]
    assert values == sorted(values, reverse=True) and found.objective == "latency"
    for p in found.points:
        plan = replace(p.plan, target=problem.target.with_scratchpad(p.capacity))
        assert evaluate(graph, plan).value == p.value


def test_ends_that_make_no_sense() -> None:
    problem = make_problem(chain(10))
    with pytest.raises(OptionError, match="smaller end first"):
        sweep(problem, least="2MP", most="MP", solver="greedy")
    with pytest.raises(OptionError, match="has ends"):
        sweep(problem, most="max", solver="greedy")
    peak = make_problem(chain(10), objective="peak")
    with pytest.raises(OptionError, match="sweep of peak"):
        sweep(peak, solver="greedy")
    with pytest.raises(OptionError, match="does not plan for objective latency"):
        sweep(make_problem(chain(10), TIMED, objective="latency"), solver="fixed_order")


def test_the_program_writes_csv_svg_html_and_json(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = program(
        "sweep", model, "--points", 6, "--solver", "greedy", "--time-limit", 1, "-o", out, "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert sorted(p.name for p in out.iterdir()) == ["small.sweep.csv", "small.sweep.html", "small.sweep.svg"]
    with (out / "small.sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["capacity"]) for row in rows] == [p["capacity"] for p in told["points"]]
    assert [float(row["value"]) for row in rows] == [p["value"] for p in told["points"]]
    assert told["points"][0]["capacity"] == told["mr"] and told["points"][-1]["value"] == 0
    page = (out / "small.sweep.html").read_text()
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert program("sweep", model, "--points", 1, "-o", out).returncode == 2
    text = program(
        "sweep", model, "--from", "MP", "--to", "2MP", "--solver", "greedy", "-o", tmp_path / "text"
    ).stdout
    assert "settled by their neighbours" in text


def test_a_zoo_model_by_name() -> None:
    problem = make_problem(load("resnet8_int8"))
    assert sweep(problem, solver="greedy", time_limit_s=1.0).points[0].value == 0
