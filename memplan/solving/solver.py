"""Solvers as plug-ins: the base class, by which every answer is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits


@dataclass(frozen=True)
class Solver(ABC):
    """A planner, found through the entry-point group `memplan.solvers`.

    Subclasses are frozen dataclasses; their fields are the options of the spec string. `name` is the word in
    spec strings, `summary` one line, `supports` the problems it plans for.

    >>> from dataclasses import dataclass
    >>> import memplan
    >>> @dataclass(frozen=True)
    ... class Patient(memplan.Solver):
    ...     name = "patient"
    ...     summary = "never finds a plan"
    ...     tries: int = 3
    ...
    ...     def solve(self, problem, limits):
    ...         reason = f"gave up after {self.tries} tries"
    ...         return self.no_answer(problem, limits, memplan.Status.UNKNOWN, reason)
    >>> Patient(tries=5).spec
    'patient{tries=5}'
    >>> memplan.plan(memplan.load("resnet8_int8"), solver=Patient()).reason
    'gave up after 3 tries'
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    supports: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The best plan found within `limits`, by way of `answer` or `no_answer`.

        Called once per plan, with a problem whose capacity is at least `problem.min_capacity`.
        Same problem, seed and workers must give the same plan unless the time ran out. The bound
        given must hold for every plan that the options allow. Metrics and value are filled in by
        the caller.

        Args:
            problem: what is asked; `lacks` finds nothing in it, and it allows no freedom that `supports` denies.
            limits: time, workers, seed, and where to begin.
        """

    def lacks(self, problem: Problem) -> list[str]:
        """What of the problem is beyond this solver, as `Capabilities.lacks` words it; nothing if it plans for it."""
        return self.supports.lacks(problem)

    @property
    def spec(self) -> str:
        """The spec string that makes this solver: fields at their defaults are left out."""
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        inner = ",".join(f"{k}={written(v)}" for k, v in changed.items())
        return f"{self.name}{{{inner}}}" if inner else self.name

    def answer(
        self,
        problem: Problem,
        limits: Limits,
        *,
        order: list[int] | tuple[int, ...],
        residencies: list[Residency],
        moves: list[Move],
        bound: float = 0,
        inplace: Sequence[InPlace] = (),
    ) -> Plan:
        """A plan with a schedule; its status is settled by whoever evaluates it.

        Args:
            problem, limits: what `solve` was given.
            order: op numbers, a step each.
            residencies: in any order.
            moves: in the order in which their queues hold them, as `Problem.turn` gives it.
            bound: on the objective, in bytes or seconds, where more is proved than what holds anyway.
            inplace: which outputs are written over which operands, in any order.
        """
        base = self.no_answer(problem, limits, Status.FEASIBLE, "")
        return replace(
            base,
            options=recorded(problem, inplace),
            schedule=tuple(problem.graph.ops[i].name for i in order),
            joined=problem.joined,
            residencies=tuple(sorted(residencies, key=lambda r: (r.start, r.offset, r.tensor, r.stop))),
            moves=tuple(moves),
            inplace=tuple(sorted(inplace)),
            bound=max(bound, problem.free_bound),
        )

    def no_answer(self, problem: Problem, limits: Limits, status: Status, reason: str) -> Plan:
        """A plan without a schedule.

        Args:
            problem, limits: what `solve` was given.
            status: infeasible, where that is proved, or unknown.
            reason: why, for people.
        """
        return Plan(
            graph=problem.graph.name,
            graph_sha256=problem.graph.sha256,
            target=problem.target,
            options=problem.options,
            solver=self.spec,
            status=status,
            aliases=problem.graph.aliases,
            bound=problem.free_bound,
            seed=limits.seed,
            workers=limits.workers,
            reason=reason,
        )


def recorded(problem: Problem, inplace: Sequence[InPlace]) -> Options:
    """The options that a plan with these pairs records.

    A donated input whose next value is written elsewhere is no donated input of the plan: its buffer stays.
    """
    over, renewed = {(pair.operand, pair.output) for pair in inplace}, problem.renewed
    donated = tuple(x for x in problem.options.donate if x not in renewed or (x, renewed[x]) in over)
    return replace(problem.options, donate=donated)


def written(value: Any) -> str:
    """A value of a field as a spec string has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
