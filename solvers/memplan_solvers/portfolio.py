"""`portfolio`, the default: each solver for what it is good at, until one proves that nothing is better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from memplan.base.errors import OptionError, nearest
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.capabilities import PINNED, Capabilities
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from memplan_solvers.moving import beyond_scratchpad
from memplan_solvers.portfolio_run import PortfolioRun
from memplan_solvers.restricted import in_program_order, inplace_off


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
    "compute": (Round(1.0, ("recompute",)),),
}
"""By objective: who is asked, the cheapest first. Nothing is compiled before it is somebody's turn who needs it."""

ALONE = ([("greedy",)], [("recompute",)])
"""Rounds whose only part plans itself what is less free."""

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
        "the default: greedy, then peak, search, benders, fixed_order and ilp, for latency malloc_game, for compute recompute, as time allows; best plan, best bound"
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
        run = PortfolioRun(self, problem, limits)
        rounds = self._rounds(problem)
        alone = [r.parts for r in rounds] in ALONE
        wide = beyond_scratchpad(problem)
        if alone and problem.options.objective == "latency" and not (wide or problem.target.direct):
            run.without = f"greedy alone: what plays the game serves operands from host, which '{problem.target.name}' cannot"
        if not alone and (plain := inplace_off(problem)):
            run.restricted("the portfolio without in-place", plain, limits.share(PLAIN))
            if run.settled:
                return run.answer()
        ordered = None
        if problem.options.objective not in (
            "latency",
            "compute",
        ):  # there all parts know the program's order anyway
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
        known = problem.target.direct and not beyond_scratchpad(problem)
        if problem.options.objective == "latency" and not known:
            left_out = "malloc_game"  # it serves operands from host: known here without compiling it
        rounds = []
        for round_ in ROUNDS[problem.options.objective]:
            if parts := tuple(part for part in self._asked(round_.parts) if part != left_out):
                rounds.append(round_._replace(parts=parts))
        return [*rounds[:-1], *(r._replace(share=1.0) for r in rounds[-1:])]


def _word(part: str) -> str:
    return part.partition("{")[0]
