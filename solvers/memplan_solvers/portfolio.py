"""`portfolio`, the default: each solver for what it is good at, until one proves that nothing is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from memplan.errors import OptionError, nearest
from memplan.plan import Plan, Status
from memplan.problem import Problem
from memplan.simulate import simulate
from memplan.solver import Budget, Progress, Solver, parse_spec

PARTS: dict[str, tuple[tuple[str, float], ...]] = {
    "traffic": (("greedy", 0.9), ("peak", 0.2), ("fixed_order", 0.3), ("ilp", 1.0)),
    "peak": (("greedy", 0.9), ("peak", 1.0)),
    "latency": (("greedy", 1.0),),
}
"""By objective: who is asked, in which order, for which share of the time that is left."""


@dataclass(frozen=True)
class Portfolio(Solver):
    """Greedy first, then whoever may improve on it or prove it; stops once the value meets the best bound.

    Never worse than any of its parts given the same time. The plan's `reason` says which part found it and which
    proved the bound.

    skip  parts to leave out, joined by +, such as ilp+peak
    """

    name: ClassVar[str] = "portfolio"
    summary: ClassVar[str] = "the default: greedy, then peak, fixed_order and ilp as time allows; best plan, best bound"
    objectives: ClassVar[frozenset[str]] = frozenset(PARTS)

    skip: str = ""

    def __post_init__(self) -> None:
        known = {name for parts in PARTS.values() for name, _ in parts}
        for word in filter(None, self.skip.split("+")):
            if word not in known:
                raise OptionError(f"solver 'portfolio': skip = '{self.skip}'", nearest(word, known))

    def solve(self, problem: Problem, budget: Budget) -> Plan:
        """The best plan of any part, with the best bound of any part."""
        run = _Run(self, problem, budget)
        for name, share in PARTS[problem.options.objective]:
            if name in self.skip.split("+"):
                continue
            run.ask(name, share)
            if run.settled or budget.spent():
                break
        return run.answer()


class _Run:
    """What the parts have said so far."""

    def __init__(self, portfolio: Portfolio, problem: Problem, budget: Budget) -> None:
        self.portfolio, self.problem, self.budget = portfolio, problem, budget
        self.best: Plan | None = None
        self.value = float("inf")
        self.bound, self.prover = float(problem.free_bound), "the free bound"
        if budget.bound > self.bound:
            self.bound, self.prover = budget.bound, "another capacity"
        self.seconds = 0.0
        self.last: Plan | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing better exists."""
        impossible = self.last is not None and self.last.status is Status.INFEASIBLE and self.best is None
        return self.value <= self.bound or impossible

    def ask(self, name: str, share: float) -> None:
        """Let one part solve, and keep what is better of its plan and bound."""
        part = replace(self.budget.share(share), progress=self._progress(name))
        plan = self.last = parse_spec(name).solve(self.problem, part)
        self.seconds += plan.seconds or part.seconds
        if plan.bound > self.bound:
            self.bound, self.prover = plan.bound, name
        if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
            return
        value = simulate(self.problem.graph, plan).value(self.problem.options.objective)
        if value < self.value:
            self.best, self.value = plan, value
            self.budget.report(name, value, self.bound)

    def answer(self) -> Plan:
        """The best plan under the portfolio's name, or why there is none."""
        plan = self.best
        if plan is None:
            last = self.last
            status = Status.UNKNOWN if last is None else last.status
            return self.portfolio.no_answer(self.problem, self.budget, status, last.reason if last else "no time")
        how = f"found by {plan.solver}" + (f" ({plan.reason})" if plan.reason else "") + f", bound by {self.prover}"
        return replace(
            plan, solver=self.portfolio.spec, bound=min(self.bound, self.value), reason=how, seconds=self.seconds
        )

    def _progress(self, name: str) -> Callable[[Progress], None] | None:
        """Passes a part's news on, never worse than what is known."""
        tell = self.budget.progress
        if tell is None:
            return None

        def pass_on(news: Progress) -> None:
            value = self.value if news.value is None else min(self.value, news.value)
            tell(Progress(f"{name}: {news.phase}" if news.phase != name else name,
                          None if value == float("inf") else value,
                          max(self.bound, news.bound), self.budget.seconds))  # fmt: skip

        return pass_on
