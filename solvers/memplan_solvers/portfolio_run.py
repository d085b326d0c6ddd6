"""One solve of the portfolio: its parts are asked, and what is best of their plans and bounds is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from memplan.base.errors import MemplanError
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.freedoms import lifted, solve_within
from memplan.solving.limits import Limits, Progress
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from memplan_solvers.improve import Answer, Improver
from memplan_solvers.moving import beyond_scratchpad
from memplan_solvers.restricted import value_of

GRACE_S = 2.0
"""Seconds that a part may go on for after a later one has proved its answer, beside as long as that took."""


def _improved(solver: Solver, best: Plan | None, problem: Problem, limits: Limits) -> Plan:
    """The solver's plan of the problem, which goes on from the best one where it can."""
    if isinstance(solver, Improver):
        return solver.improve(problem, limits, Answer.of_plan(problem, best) if best else None)
    return solver.solve(problem, limits)


class PortfolioRun:
    """What the parts of a portfolio have said of one problem so far: the best plan, the best bound, and whose they are."""

    def __init__(self, portfolio: Solver, problem: Problem, limits: Limits) -> None:
        self.portfolio, self.problem, self.limits = portfolio, problem, limits
        self.best: Plan | None = None
        self.finder = ""
        self.value = float("inf")
        self.bound, self.prover = float(problem.free_bound), ""
        if limits.bound > self.bound:
            self.bound, self.prover = limits.bound, "another capacity"
        self.last: Plan | None = None
        self.without = ""
        self.refused: dict[str, str] = {}  # what a part says of a problem that it does not take
        self.nodes: dict[str, int] = {}

    @property
    def settled(self) -> bool:
        """Whether nothing better exists."""
        impossible = self.last is not None and self.last.status is Status.INFEASIBLE and self.best is None
        return self.value <= self.bound or impossible

    def able(self, parts: Iterable[str]) -> tuple[str, ...]:
        """Those of the parts that plan for the problem; of the others it is noted what they lack.

        On targets that are no scratchpad machines most lack the target itself, which goes without saying.
        """
        lacking = {part: parse_spec(part).lacks(self.problem) for part in parts}
        if not beyond_scratchpad(self.problem):
            self.refused |= {part: f"not for {' and '.join(x)}" for part, x in lacking.items() if x}
        return tuple(part for part, lacks in lacking.items() if not lacks)

    def ask(self, parts: Sequence[str], share: float) -> None:
        """Let parts solve, and keep what is better of their plans and bounds, the first part's where they are equal.

        A part that settles the problem stops those after it at once, those before it when as long again and
        `GRACE_S` have
        gone by: so the plan does not depend on who is a little quicker.
        """
        side_by_side = max(1, min(len(parts), self.limits.workers))
        round_ = self.limits.share(share)
        timed = self.problem.options.objective == "latency"
        best = None if timed else self.best
        if timed and self.best:
            round_ = replace(round_, start=(*round_.start, self.best))
        settled = [float("inf")] * len(parts)  # seconds into the round
        begin = self.limits.seconds

        def late(k: int) -> bool:
            now = self.limits.seconds - begin
            return min(settled[:k], default=now + 1) <= now or now > 2 * min(settled[k:]) + GRACE_S

        def solve(k: int) -> tuple[Plan, float] | None:
            if late(k):
                return None
            cancel = self.limits.cancel

            def stop() -> bool:
                return late(k) or (cancel is not None and cancel())

            left = (len(parts) - k) if side_by_side == 1 else 1
            mine = replace(
                round_.share(1 / left),
                workers=max(1, self.limits.workers // side_by_side),
                progress=self._progress(parts[k]),
                cancel=stop,
            )
            solver = parse_spec(parts[k])
            try:
                plan = solve_within(solver, self.problem, mine, partial(_improved, solver, best))
            except MemplanError as refusal:
                self.refused[parts[k]] = refusal.message
                return None
            value = value_of(self.problem, plan)
            if value <= max(self.bound, plan.bound):
                settled[k] = self.limits.seconds - begin
            return plan, value

        if side_by_side == 1:
            answers = [solve(k) for k in range(len(parts))]
        else:
            with ThreadPoolExecutor(side_by_side) as pool:
                answers = list(pool.map(solve, range(len(parts))))
        for part, answer in zip(parts, answers, strict=True):
            if answer is not None and not self.settled:
                self._take(part, *answer)

    def restricted(self, how: str, less: Problem, limits: Limits) -> None:
        """Let the portfolio solve a problem with less freedom, and keep its plan if it is better; its bound
        is not true here.
        """
        tell = self._progress(how)
        mine = replace(
            limits, start=(), bound=0, progress=tell and (lambda news: tell(news._replace(bound=0)))
        )
        plan = lifted(self.problem, self.portfolio.solve(less, mine))
        if (value := value_of(self.problem, plan)) < self.value:
            self._take(how, plan, value)

    def _take(self, part: str, plan: Plan, value: float) -> None:
        """Keep what is better of a part's plan, which costs `value`, and bound, and what the peak search says of doing
        without spills."""
        self.last = plan
        if part == "peak":
            self.without = plan.reason
        if plan.bound > self.bound:
            self.bound, self.prover = plan.bound, part
        if value < self.value:
            self.best, self.finder, self.value = plan, part, value
            self.limits.report(part, value, self.bound, sum(self.nodes.values()))

    def answer(self) -> Plan:
        """The best plan under the portfolio's name, or why there is none."""
        plan = self.best
        if plan is None:
            last = self.last
            status = Status.UNKNOWN if last is None else last.status
            why = last.reason if last else "; ".join(self.refused.values()) or "no time"
            return replace(self.portfolio.no_answer(self.problem, self.limits, status, why), bound=self.bound)
        how = f"found by {self.finder}" + (
            f" ({plan.reason})" if plan.reason and self.finder != "peak" else ""
        )
        why = f"bound proved by {self.prover}" if self.prover else "the bound is free"
        if self.value > self.bound and self.without:
            why += f"; {self.without}"
        if self.value > self.bound:
            for words in dict.fromkeys(self.refused.values()):
                parts = [part for part, w in self.refused.items() if w == words]
                why += f"; {', '.join(parts)} {'was' if len(parts) == 1 else 'were'} left out: {words}"
        return replace(
            plan,
            solver=self.portfolio.spec,
            bound=min(self.bound, self.value),
            reason=f"{how}; {why}",
            workers=self.limits.workers,
        )

    def _progress(self, part: str) -> Callable[[Progress], None] | None:
        """Passes a part's news on, never worse than what is known."""
        tell = self.limits.progress
        if tell is None:
            return None

        def pass_on(news: Progress) -> None:
            if news.nodes:
                self.nodes[part] = max(news.nodes, self.nodes.get(part, 0))
            value = self.value if news.value is None else min(self.value, news.value)
            if news.notice:
                tell(news)
                return
            phase = f"{part}: {news.phase}" if news.phase != part else part
            tell(
                Progress(
                    phase,
                    None if value == float("inf") else value,
                    max(self.bound, news.bound),
                    self.limits.seconds,
                    sum(self.nodes.values()),
                )
            )

        return pass_on
