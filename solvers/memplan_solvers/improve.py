"""Placed answers, and solvers that go on from somebody else's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.residency import Block, Stretch, Walk, materialise, read_plan, stretches_of, traffic


@dataclass(frozen=True)
class Answer:
    """An order whose blocks have addresses: what a plan without moves in time comes down to.

    `how` says what it took to get the addresses, where that was more than one pass.
    """

    walk: Walk
    blocks: Sequence[Block]
    offsets: Sequence[int]
    how: str = ""

    @classmethod
    def of_plan(cls, problem: Problem, plan: Plan) -> Answer | None:
        """The answer that a plan is made of, None where it has no schedule, joins other ops or executes some again."""
        if (
            plan.status in (Status.INFEASIBLE, Status.UNKNOWN)
            or plan.joined != problem.joined
            or len(plan.schedule) != problem.n
        ):
            return None
        return cls(*read_plan(problem, plan))

    @property
    def problem(self) -> Problem:
        """What it answers."""
        return self.walk.problem

    @property
    def stretches(self) -> list[list[Stretch]]:
        """When each storage is present."""
        return stretches_of(self.problem, self.blocks)

    @cached_property
    def value(self) -> int:
        """Bytes of the objective."""
        if self.problem.options.objective == "peak":
            return max((o + b.size for o, b in zip(self.offsets, self.blocks, strict=True)), default=0)
        return traffic(self.problem, self.stretches)


def better(a: Answer | None, b: Answer | None) -> Answer | None:
    """The one of less value, the first where they are equal."""
    if a is None or b is None:
        return a or b
    return b if b.value < a.value else a


@dataclass(frozen=True)
class Improver(Solver):
    """A solver that can be given an answer to begin with; alone, it begins with the greedy one."""

    @abstractmethod
    def improve(self, problem: Problem, limits: Limits, start: Answer | None) -> Plan:
        """As `solve`, and never worse than `start`."""

    def plan_of(
        self, problem: Problem, limits: Limits, answer: Answer | None, bound: float, why: str
    ) -> Plan:
        """The answer as a plan with a bound that is true for it too; without one, the plan that says `why`."""
        if answer is None:
            return self.no_answer(problem, limits, Status.UNKNOWN, why)
        residencies, moves, inplace = materialise(answer.walk, answer.blocks, answer.offsets)
        plan = self.answer(
            problem,
            limits,
            order=answer.walk.order,
            residencies=residencies,
            moves=moves,
            inplace=inplace,
            bound=min(bound, answer.value),
        )
        return replace(plan, reason=answer.how)
