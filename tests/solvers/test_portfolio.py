"""`portfolio`: as good as each part and as sure as the surest; says who found and who proved."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from memplan_solvers import portfolio, portfolio_run
from memplan_solvers.greedy import Greedy
from memplan_solvers.improve import Answer, Improver
from memplan_solvers.portfolio import ROUNDS, Portfolio, Round
from memplan_solvers.residency import materialise

import memplan
from memplan.base.errors import OptionError
from memplan.judge.evaluate import evaluate
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status, without_times
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits, Progress
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from memplan.solving.testing import TIMED, chain
from tests import agree
from tests.generate import random_graph, timed
from tests.randwire import randwire


@pytest.mark.slow
def test_agrees_with_the_oracle() -> None:
    seen = agree.check("portfolio", range(500_000, 500_150))
    assert seen["traffic optimal"] > 90 and seen["peak optimal"] > 90


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["traffic", "peak"])
def test_never_worse_than_a_part(objective: str) -> None:
    rng = random.Random(objective)
    parts = {part for r in ROUNDS[objective] for part in r.parts}
    for _ in range(15):
        problem = Problem(random_graph(rng, rng.randint(4, 16)), Target(), Options(objective))
        if objective == "traffic":
            problem = replace(problem, target=problem.target.with_scratchpad(max(problem.min_capacity, 4)))
        whole = evaluate(problem.graph, Portfolio().solve(problem, Limits(20.0, workers=2)))
        for part in parts:
            plan = evaluate(problem.graph, parse_spec(part).solve(problem, Limits(20.0)))
            assert whole.value is not None and (plan.value is None or whole.value <= plan.value)
            assert whole.bound >= min(plan.bound, whole.value) and plan.bound <= whole.value


@pytest.mark.slow(reason="plans many graphs")
def test_says_who_found_and_who_proved() -> None:
    graph = randwire(0, stages=1)
    easy = memplan.plan(graph, scratchpad="MP", workers=1)
    assert easy.value == 0 and easy.reason.startswith("found by ") and "the bound is free" in easy.reason
    hard = memplan.plan(randwire(1), scratchpad="MH", workers=1, time_limit_s=60.0)
    assert hard.bound > 0 and "bound proved by " in hard.reason and hard.solver == "portfolio"
    without = memplan.plan(
        randwire(1), scratchpad="MH", solver="portfolio{skip=search+benders+peak+ilp}", workers=1
    )
    assert (
        without.bound == 0
        and without.value is not None
        and hard.value is not None
        and without.value >= hard.value
    )


def test_the_same_plan_whatever_the_workers_do() -> None:
    graph = randwire(1, stages=1)
    plans = [memplan.plan(graph, scratchpad="MR", workers=2, time_limit_s=60.0) for _ in range(2)]
    assert without_times(plans[0]) == without_times(plans[1])


class _Part(Improver):
    """Answers with what it is given and a bound of its own, and notes what it was asked."""

    name: ClassVar[str] = "part"
    summary: ClassVar[str] = ""
    bound: ClassVar[float] = 0
    asked: ClassVar[list[str]] = []

    def solve(self, problem: Problem, budget: Limits) -> Plan:
        raise AssertionError("it is an improver")

    def improve(self, problem: Problem, budget: Limits, start: Answer | None) -> Plan:
        assert start is not None
        self.asked.append(self.name)
        return self.plan_of(problem, budget, start, self.bound, "")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_part_that_settles_it_is_the_last(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    asked: list[str] = []

    def make(word: str, bound: float) -> Solver:
        return type(word, (_Part,), {"name": word, "bound": bound, "asked": asked})()

    parts = {"a": make("a", 1), "b": make("b", 1e9), "c": make("c", 1e9)}
    rounds = (Round(0.5, ("greedy",)), Round(0.5, ("a",)), Round(0.5, ("b",)), Round(0.5, ("c",)))
    monkeypatch.setitem(ROUNDS, "traffic", rounds)
    monkeypatch.setattr(portfolio_run, "parse_spec", lambda spec: parts.get(spec) or parse_spec(spec))
    plan = memplan.plan(randwire(6), scratchpad="MR", solver=Portfolio(), workers=workers)
    assert asked == ["a", "b"] and plan.status is Status.OPTIMAL
    assert plan.reason == "found by greedy; bound proved by b"


def test_progress_names_the_phase_and_never_gets_worse() -> None:
    news: list[Progress] = []
    memplan.plan(randwire(1), scratchpad="MH", workers=1, time_limit_s=60.0, progress=news.append)
    assert len({n.phase for n in news}) > 1 and all(n.phase for n in news)
    values = [n.value for n in news if n.value is not None]
    assert len(values) > 1 and values == sorted(values, reverse=True)
    assert all(n.gap is None or 0 <= n.gap <= 1 for n in news)


@pytest.mark.slow
def test_an_answer_is_the_plan_it_was_made_of() -> None:
    compared = spilled = 0
    for seed in range(300):
        problem = agree.random_problem(seed, "traffic")
        plan = parse_spec("greedy").solve(problem, Limits())
        answer = Answer.of_plan(problem, plan)
        if answer is None:
            assert plan.status in (Status.UNKNOWN, Status.INFEASIBLE)
            continue
        residencies, moves, inplace = materialise(answer.walk, answer.blocks, answer.offsets)
        assert sorted(residencies) == sorted(plan.residencies) and moves == list(plan.moves)
        assert sorted(inplace) == list(plan.inplace) and answer.value == evaluate(problem.graph, plan).value
        compared, spilled = compared + 1, spilled + (answer.value > 0)
    assert compared > 150 and spilled > 30


def test_nothing_is_compiled_where_a_heuristic_suffices() -> None:
    code = (
        "import sys, memplan; plan = memplan.plan(memplan.load('resnet50'), scratchpad='MR', workers=1); "
        "assert plan.status == 'optimal', plan.status; assert 'numba' not in sys.modules; assert 'ortools' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(OptionError, match="fixed_order"):
        Portfolio(skip="fixed_orders")


@pytest.mark.parametrize("objective", [x for x, rounds in ROUNDS.items() if "greedy" in rounds[0].parts])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_part_that_refuses_is_left_out(
    monkeypatch: pytest.MonkeyPatch, objective: str, workers: int
) -> None:
    class Refuser(Solver):
        name: ClassVar[str] = "refuser"
        summary: ClassVar[str] = ""
        supports: ClassVar[Capabilities] = Capabilities(tuple(ROUNDS))

        def solve(self, problem: Problem, budget: Limits) -> Plan:
            raise OptionError("it takes no such problem", "ask another")

    monkeypatch.setitem(ROUNDS, objective, (Round(0.5, ("refuser", "greedy")),))
    for module in (portfolio, portfolio_run):
        monkeypatch.setattr(module, "parse_spec", lambda s: Refuser() if s == "refuser" else parse_spec(s))
    plan = memplan.plan(
        chain(12),
        TIMED if objective == "latency" else "scratchpad",
        objective=objective,
        scratchpad="max" if objective == "peak" else "MR",
        solver=Portfolio(),
        workers=workers,
    )
    assert plan.schedule and plan.reason.startswith("found by greedy")
    assert plan.status is Status.OPTIMAL or "refuser was left out: it takes no such problem" in plan.reason


def test_the_last_part_that_plans_for_the_problem_has_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Recorder(Greedy):
        def solve(self, problem: Problem, limits: Limits) -> Plan:
            seen.append(limits.remaining_s)
            return super().solve(problem, limits)

    monkeypatch.setattr(portfolio_run, "parse_spec", lambda s: Recorder() if s == "greedy" else parse_spec(s))
    pad, host = timed().memories
    target = replace(timed(), memories=(pad, Memory("sram", 1000, bandwidth=2e9), host))
    plan = memplan.plan(chain(12), target, objective="latency", scratchpad=400, time_limit_s=10.0)
    assert seen and seen[0] > 8.0  # malloc_game, which would have the rest, knows two memories
    assert plan.schedule


@pytest.mark.parametrize(
    "options", [{"pins": {"t3": "keep"}}, {"pins": {"t0": "keep"}}, {"queues": 2}, {"direct": False}]
)
def test_latency_is_planned_whoever_refuses(options: dict[str, Any]) -> None:
    target = timed(queues=options.get("queues", 1), direct=options.get("direct", True))
    plan = memplan.plan(
        chain(12), target, objective="latency", pins=options.get("pins"), scratchpad=400, time_limit_s=3.0
    )
    assert plan.schedule
