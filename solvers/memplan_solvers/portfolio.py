"""`portfolio`, the default: each solver for what it is good at, until one proves that nothing is better."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

from memplan.base.errors import MemplanError, OptionError, nearest
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import PINNED, Capabilities
from memplan.solving.freedoms import lifted, solve_within
from memplan.solving.limits import Limits, Progress
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from memplan_solvers.improve import Answer, Improver
from memplan_solvers.moving import beyond_scratchpad
from memplan_solvers.restricted import in_program_order, inplace_off, value_of


class Round(NamedTuple):
    """Parts that begin with the same best answer, side by side where there are cores, for a share of the time left, though
    not less than `least_s` of it."""

    share: float
    parts: tuple[str, ...]
    least_s: float = 0.0


ROUNDS: dict[str, tuple[Round, ...]] = {
    "traffic": (
        Round(0.5, ("greedy",)),
        Round(0.02, ("search",), 0.2),
        Round(0.3, ("peak", "baseline", "baseline{schedule=peak}")),
        Round(0.8, ("search", "benders")),
        Round(0.4, ("fixed_order", "fixed_order{schedule=peak}")),
        Round(1.0, ("ilp{split=auto}",)),
        Round(1.0, ("placement",)),
    ),
    "peak": (Round(0.3, ("greedy",)), Round(1.0, ("peak",))),
    "latency": (Round(0.3, ("greedy",)), Round(1.0, ("malloc_game",))),
}
"""By objective: who is asked, the cheapest first. Nothing is compiled before it is somebody's turn who needs it."""

GRACE_S = 2.0
"""Seconds that a part may go on for after a later one has proved its answer, beside as long as that took."""

PLAIN = 0.8
"""Share of the time for the plan without in-place and donation, where these are allowed: what they add begins there.

Most of the time, of which what is left once that plan is proved goes on: who may do more should not do worse for it.
"""

PROGRAM = 0.2
"""Share of the time left that is kept for the program's order, where any is allowed and none is proved to be best."""


@dataclass(frozen=True)
class Portfolio(Solver):
    """Greedy first, then whoever may improve on it or prove it; stops once the value meets the best bound.

    Never worse than any of its parts given the same time. The plan's `reason` says which part found it and which
    proved the bound.

    skip  parts to leave out, joined by +, such as ilp+peak
    """

    name: ClassVar[str] = "portfolio"
    summary: ClassVar[str] = (
        "the default: greedy, then peak, search, benders, fixed_order and ilp, for latency malloc_game, as time allows; best plan, best bound"
    )
    supports: ClassVar[Capabilities] = Capabilities(
        tuple(ROUNDS), pins=tuple(PINNED), reuse=True, join=True, recompute=True
    )

    skip: str = ""

    def __post_init__(self) -> None:
        known = {_word(part) for rounds in ROUNDS.values() for r in rounds for part in r.parts}
        for word in filter(None, self.skip.split("+")):
            if word not in known:
                raise OptionError(f"solver 'portfolio': skip = '{self.skip}'", nearest(word, known))

    def lacks(self, problem: Problem) -> list[str]:
        """Nothing where one of the parts lacks nothing; else what is least of what they lack."""
        found = []
        for part in (
            part for r in ROUNDS.get(problem.options.objective, ()) for part in self._asked(r.parts)
        ):
            found.append(parse_spec(part).lacks(problem))
            if not found[-1]:
                break
        return min(found, key=len, default=[f"objective {problem.options.objective}"])

    def _asked(self, parts: Iterable[str]) -> list[str]:
        """Those of the parts that are not to be skipped."""
        return [part for part in parts if _word(part) not in self.skip.split("+")]

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The best plan of any part, with the best bound of any part."""
        run = _Run(self, problem, limits)
        rounds = self._rounds(problem)
        alone = [r.parts for r in rounds] == [("greedy",)]  # which plans what is less free itself
        if alone and problem.options.objective == "latency" and not problem.target.direct:
            run.without = f"greedy alone: what plays the game serves operands from host, which '{problem.target.name}' cannot"
        if not alone and (plain := inplace_off(problem)):
            run.restricted("the portfolio without in-place", plain, limits.share(PLAIN))
            if run.settled:
                return run.answer()
        ordered = None
        if problem.options.objective != "latency":  # there all parts know the program's order anyway
            ordered = in_program_order(problem)
        if ordered:
            run.limits = replace(limits, time_limit_s=limits.seconds + (1 - PROGRAM) * limits.remaining_s)
        for share, parts, least_s in rounds:
            run.ask(run.able(parts), max(share, least_s / max(least_s, run.limits.remaining_s, 1e-9)))
            if run.settled or run.limits.spent():
                break
        if ordered and not (run.settled or limits.spent()):
            run.restricted("the portfolio in program order", ordered, limits.share(1.0))
        return run.answer()

    def _rounds(self, problem: Problem) -> list[Round]:
        """The rounds without the parts that are left out; the last has all the time that the others leave."""
        left_out = ""
        if problem.options.objective == "latency" and not problem.target.direct:
            left_out = "malloc_game"  # it serves operands from host: known here without compiling it
        rounds = []
        for round_ in ROUNDS[problem.options.objective]:
            if parts := tuple(part for part in self._asked(round_.parts) if part != left_out):
                rounds.append(round_._replace(parts=parts))
        return [*rounds[:-1], *(r._replace(share=1.0) for r in rounds[-1:])]


def _word(part: str) -> str:
    return part.partition("{")[0]


def _improved(solver: Solver, best: Plan | None, problem: Problem, limits: Limits) -> Plan:
    """The solver's plan of the problem, which goes on from the best one where it can."""
    if isinstance(solver, Improver):
        return solver.improve(problem, limits, Answer.of_plan(problem, best) if best else None)
    return solver.solve(problem, limits)


class _Run:
    """What the parts have said so far."""

    def __init__(self, portfolio: Portfolio, problem: Problem, limits: Limits) -> None:
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

        A part that settles the problem stops those after it at once, those before it when as long again and `GRACE_S` have
        gone by: so the plan does not depend on who is a little quicker.
        """
        side_by_side = max(1, min(len(parts), self.limits.workers))
        round_ = self.limits.share(share)
        best = self.best if self.problem.options.objective != "latency" else None
        settled = [float("inf")] * len(parts)  # seconds into the round
        begin = self.limits.seconds

        def late(k: int) -> bool:
            now = self.limits.seconds - begin
            return min(settled[:k], default=now + 1) <= now or now > 2 * min(settled[k:]) + GRACE_S

        def solve(k: int) -> Plan | None:
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
            if self._settles(plan):
                settled[k] = self.limits.seconds - begin
            return plan

        if side_by_side == 1:
            answers = [solve(k) for k in range(len(parts))]
        else:
            with ThreadPoolExecutor(side_by_side) as pool:
                answers = list(pool.map(solve, range(len(parts))))
        for part, plan in zip(parts, answers, strict=True):
            if plan is not None and not self.settled:
                self._take(part, plan)

    def _settles(self, plan: Plan) -> bool:
        return value_of(self.problem, plan) <= max(self.bound, plan.bound)

    def restricted(self, how: str, less: Problem, limits: Limits) -> None:
        """Let the portfolio solve a problem with less freedom, and keep its plan if it is better; its bound is not true here."""
        tell = self._progress(how)
        mine = replace(
            limits, start=(), bound=0, progress=tell and (lambda news: tell(news._replace(bound=0)))
        )
        plan = lifted(self.problem, self.portfolio.solve(less, mine))
        if value_of(self.problem, plan) < self.value:
            self._take(how, plan)

    def _take(self, part: str, plan: Plan) -> None:
        """Keep what is better of a part's plan and bound, and what the peak search says of doing without spills."""
        self.last = plan
        if part == "peak":
            self.without = plan.reason
        if plan.bound > self.bound:
            self.bound, self.prover = plan.bound, part
        value = value_of(self.problem, plan)
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
            return self.portfolio.no_answer(self.problem, self.limits, status, why)
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
