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
from memplan_solvers.portfolio_run import PortfolioRun
from memplan_solvers.restricted import in_program_order, inplace_off, without_spills


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

LOADED = 0.7
"""Share of the time for the first round of latency where all operands must be in the scratchpad: greedy, which then is strong."""

ALONE = ([("greedy",)], [("recompute",)])
"""Rounds whose only part plans itself what is less free."""

FREER = 0.1
"""Share of the time that is kept for what in-place and donation add, of graphs that have ops which write over operands.

Where they are not allowed it is not used. So who allows them has by then done all that is done for who does not, in the
same time for each part, and does no worse for it; what is left once that plan is proved goes on with them as well.
"""

PROGRAM = 0.2
"""Share of the time left that is kept for the program's order, where any is allowed and none is proved to be best."""

AGAIN = 0.3
"""Share of the time for plans that execute ops again instead of spilling, where that is allowed, and of what is left of it for each of them."""


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

    def _asked(self, parts: Iterable[str]) -> tuple[str, ...]:
        """Those of the parts that are not to be skipped."""
        return tuple(part for part in parts if _word(part) not in self.skip.split("+"))

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The best plan of any part, with the best bound of any part."""
        run = PortfolioRun(self, problem, limits)
        rounds = self._rounds(run)
        alone = [r.parts for r in rounds] in ALONE
        in_tiles = any(
            op.tile for op in problem.graph.ops
        )  # without in-place each tile would copy what is there
        if not (alone or in_tiles) and (plain := inplace_off(problem)):
            run.restricted("the portfolio without in-place", plain, limits)
            if run.settled:
                return run.answer()
        elif not problem.inplace_pairs and any(op.overwrites for op in problem.graph.ops):
            run.limits = limits = _first(1 - FREER, limits)
        if problem.options.recompute != 1 and problem.options.objective in ("traffic", "peak"):
            self._execute_again(run, limits.share(AGAIN))
            if run.settled:
                return run.answer()
        # for the other objectives all parts know the program's order anyway
        ordered = in_program_order(problem) if problem.options.objective in ("traffic", "peak") else None
        if ordered:
            run.limits = _first(1 - PROGRAM, limits)
        for share, parts, least_s in rounds:
            run.ask(run.able(parts), max(share, least_s / max(least_s, run.limits.remaining_s, 1e-9)))
            if run.settled or run.limits.spent():
                break
        if ordered and not (run.settled or limits.spent()):
            run.restricted("the portfolio in program order", ordered, limits.share(1.0))
        return run.answer()

    def _execute_again(self, run: PortfolioRun, limits: Limits) -> None:
        """Keep plans that execute ops again and spill nothing: in the capacity, and for the least peak in ever smaller ones."""
        problem, capacity, least = run.problem, run.problem.capacity, run.problem.min_capacity
        alignment = problem.target.scratchpad.alignment
        lower = problem.options.objective == "peak"
        while not limits.spent():
            if less := without_spills(problem, capacity):
                run.restricted("executing ops again", less, limits.share(AGAIN if lower else 1.0))
            if not lower or run.best is None:
                return
            peak = int(run.value)
            if capacity is not None and peak > capacity:
                least = capacity + 1
            capacity = (least + peak - 1) // 2 // alignment * alignment
            if not least <= capacity < peak:
                return

    def _rounds(self, run: PortfolioRun) -> list[Round]:
        """The rounds without the parts that are left out, up to the last of which a part plans for the problem: that one has
        all the time that the others leave.
        """
        objective, share = run.problem.options.objective, 0.0
        if objective == "latency" and not run.problem.target.direct:
            share = LOADED
        asked = [r._replace(parts=self._asked(r.parts), share=max(r.share, share)) for r in ROUNDS[objective]]
        rounds = [r for r in asked if r.parts]
        # from the end: whoever comes first is not even imported yet
        while len(rounds) > 1 and not run.able(rounds[-1].parts):
            rounds.pop()
        return [*rounds[:-1], *(r._replace(share=1.0) for r in rounds[-1:])]


def _first(share: float, limits: Limits) -> Limits:
    """Limits that end once so much of the time left is spent, by the same clock."""
    return replace(limits, time_limit_s=limits.seconds + share * limits.remaining_s)


def _word(part: str) -> str:
    return part.partition("{")[0]
