"""What a solve may spend, and solvers by their specs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import memplan
from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import judging_seconds
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving import registry
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits, Progress, limits_for
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver


@dataclass(frozen=True)
class Tuned(Solver):
    """A solver with a field of each kind."""

    name: ClassVar[str] = "tuned"
    summary: ClassVar[str] = "for tests"
    supports: ClassVar[Capabilities] = Capabilities(("traffic",))
    effort: int = 3
    ratio: float = 0.5
    deep: bool = False
    order: str = "program"

    def solve(self, problem: Problem, budget: Limits) -> Plan:
        raise NotImplementedError


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "solver_class", lambda name: Tuned)


@pytest.mark.usefixtures("tuned")
def test_a_spec_gives_each_field_in_its_type() -> None:
    spec = " tuned{effort=7, ratio=0.25,deep=On , order = free} "
    assert parse_spec(spec) == Tuned(effort=7, ratio=0.25, deep=True, order="free")
    assert parse_spec("tuned") == parse_spec("tuned{}") == Tuned()
    assert parse_spec(Tuned(effort=9)) == Tuned(effort=9)
    assert parse_spec(Tuned(effort=9).spec) == Tuned(effort=9)


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("spec", "words"),
    [("", "is no.* solver spec"), ("tuned{", "is not a solver spec"), ("tuned{effrt=1}", "did you mean 'effort'"),
     ("tuned{effort}", "has no value"), ("tuned{effort=1,effort=2}", "given twice"),
     ("tuned{effort=1.5}", "a whole number, such as 3"), ("tuned{ratio=nan}", "a number, such as 0.5"),
     ("tuned{ratio=inf}", "a number"), ("tuned{deep=yes}", "true or false, such as false")],
)  # fmt: skip
def test_a_spec_that_means_nothing_is_refused(spec: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        parse_spec(spec)


def test_an_unknown_solver_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="unknown solver 'gredy'\nhint: did you mean 'greedy'"):
        parse_spec("gredy")


def test_a_budget_is_spent_when_its_time_is_up_or_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("memplan.base.clock.time.monotonic", lambda: now[0])
    told: list[Progress] = []
    stopped = [False]
    budget = Limits(8.0, progress=told.append, cancel=lambda: stopped[0])
    now[0] = 102.0
    assert budget.seconds == 2 and budget.remaining_s == 6 and not budget.spent()
    part = budget.share(0.5)
    assert part.time_limit_s == 3 and part.seconds == 0
    budget.report("phase", 8.0, 6.0)
    assert told == [Progress("phase", 8.0, 6.0, 2.0)] and told[0].gap == 0.25
    now[0] = 105.0
    assert part.spent() and not budget.spent() and part.remaining_s == 0
    stopped[0] = True
    assert budget.spent()
    stopped[0], now[0] = False, 200.0
    assert budget.spent() and budget.remaining_s == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"time_limit_s": 0}, "time limit 0"), ({"time_limit_s": float("nan")}, "time limit nan"),
     ({"time_limit_s": 1e10}, "10.9 at most"), ({"workers": 0}, "workers 0"), ({"workers": 1.0}, "workers 1.0"),
     ({"seed": -1}, "seed -1"), ({"seed": 2**31}, "seed 2147483648")],
)  # fmt: skip
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, Any], words: str) -> None:
    right: dict[str, Any] = {"time_limit_s": 1.0, "workers": 2, "seed": 3}
    assert limits_for(**right).workers == 2
    with pytest.raises(OptionError, match=words):
        limits_for(**right | wrong)


def test_the_time_that_judging_takes_is_taken_from_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def solve(self: Tuned, problem: Problem, limits: Limits) -> Plan:
        given.append(limits.time_limit_s)
        return self.no_answer(problem, limits, Status.UNKNOWN, "nothing is sought")

    monkeypatch.setattr(Tuned, "solve", solve)
    tensors = (Tensor("t0", 4, "input"), *(Tensor(f"t{k}", 4) for k in range(1, 1001)))
    ops = tuple(Op(f"op{k}", "Relu", (f"t{k}",), (f"t{k + 1}",)) for k in range(1000))
    chain, half = Graph("chain", tensors, ops), Graph("half", tensors[:501], ops[:500])
    seconds = judging_seconds(chain)
    assert seconds == pytest.approx(2 * judging_seconds(half))
    for limit in (10.0, seconds):
        memplan.plan(chain, solver=Tuned(), time_limit_s=limit)
    assert given == pytest.approx([10.0 - seconds, seconds / 2])  # half of it at least is the solver's
