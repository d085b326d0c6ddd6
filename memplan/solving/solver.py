"""Solvers as plug-ins: the base class, what a solve may spend, spec strings and the registry."""

from __future__ import annotations

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, NamedTuple

from memplan.base.errors import OptionError, nearest
from memplan.base.plugins import SOLVERS, load_plugin, plugins
from memplan.problem.plan import Move, Plan, Residency, Status, relative_gap
from memplan.problem.problem import Problem


class Progress(NamedTuple):
    """One line of a solver's progress: best value so far, bound, seconds since the start.

    `nodes` counts what the phase has expanded (sets, states, branches), where it counts anything.
    """

    phase: str
    value: float | None
    bound: float
    seconds: float
    nodes: int | None = None

    @property
    def gap(self) -> float | None:
        """(value - bound) / value, 0 where the value is 0, None without a value."""
        return relative_gap(self.value, self.bound)


@dataclass(frozen=True)
class Budget:
    """What a solve may spend. `progress` is told of every improvement, `cancel` is asked often.

    The clock starts when the budget is made. A solver looks at `spent()` at least every 0.1 s
    and answers with its best plan once it is true.

    `start` are answers to the same problem at other capacities, evaluated: where a solver may begin. `bound` holds
    for the problem, proved elsewhere: a solver whose value meets it may stop.
    """

    time_limit_s: float = 10.0
    workers: int = 1
    seed: int = 0
    progress: Callable[[Progress], None] | None = None
    cancel: Callable[[], bool] | None = None
    start: tuple[Plan, ...] = ()
    bound: float = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.monotonic() - self.started

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.time_limit_s - self.seconds)

    def spent(self) -> bool:
        """Whether the time is up or somebody wants the solve to stop."""
        return self.seconds >= self.time_limit_s or (self.cancel is not None and self.cancel())

    def report(self, phase: str, value: float | None, bound: float, nodes: int | None = None) -> None:
        """Tell the caller how far the solve is."""
        if self.progress is not None:
            self.progress(Progress(phase, value, bound, self.seconds, nodes))

    def share(self, part: float) -> Budget:
        """A budget of `part` of the remaining time, starting now."""
        return replace(self, time_limit_s=self.remaining_s * part, started=time.monotonic())


MOST_SECONDS = 1e9
"""The longest time limit that means anything; beyond, clocks of some solvers overflow."""


def budget_for(
    time_limit_s: float,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Budget:
    """The budget a caller asks for, starting now; all cores where `workers` is None. OptionError where it makes no sense."""
    if not (isinstance(time_limit_s, int | float) and 0 < time_limit_s <= MOST_SECONDS):
        raise OptionError(f"time limit {time_limit_s!r}", "it is a positive number of seconds, 10^9 at most")
    if workers is not None and not (isinstance(workers, int) and 1 <= workers < 2**31):
        raise OptionError(f"workers {workers!r}", "it is a whole number from 1, or None for all cores")
    if not (isinstance(seed, int) and 0 <= seed < 2**31):
        raise OptionError(f"seed {seed!r}", "it is a whole number from 0 to 2^31 - 1")
    return Budget(time_limit_s, workers or os.cpu_count() or 1, seed, progress, cancel)


@dataclass(frozen=True)
class Solver(ABC):
    """A planner. Subclasses are frozen dataclasses; their fields are the options of the spec string.

    `name` is the word in spec strings; `objectives` those it can minimise; `summary` one line.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    objectives: ClassVar[frozenset[str]] = frozenset({"traffic", "peak"})

    @property
    def kernels(self) -> str:
        """The compiled kernels that the solver cannot do without, nothing where it needs none."""
        return ""

    @abstractmethod
    def solve(self, problem: Problem, budget: Budget) -> Plan:
        """The best plan found within `budget`, by way of `answer` or `no_answer`.

        Called once per plan, with a problem whose capacity is at least `problem.min_capacity`.
        Same problem, seed and workers must give the same plan unless the time ran out. The bound
        given must hold for every plan that the options allow. Metrics and value are filled in by
        the caller.
        """

    @property
    def spec(self) -> str:
        """The spec string that makes this solver: fields at their defaults are left out."""
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        inner = ",".join(f"{k}={_show(v)}" for k, v in changed.items())
        return f"{self.name}{{{inner}}}" if inner else self.name

    def answer(
        self,
        problem: Problem,
        budget: Budget,
        *,
        order: list[int] | tuple[int, ...],
        residencies: list[Residency],
        moves: list[Move],
        bound: float = 0,
        inplace: Mapping[str, str] | None = None,
    ) -> Plan:
        """The plan with schedule `order` (op numbers); `status` is settled by whoever evaluates it."""
        base = self.no_answer(problem, budget, Status.FEASIBLE, "")
        return replace(
            base,
            schedule=tuple(problem.graph.ops[i].name for i in order),
            residencies=tuple(sorted(residencies, key=lambda r: (r.start, r.offset, r.tensor, r.stop))),
            moves=tuple(moves),
            inplace=dict(inplace or {}),
            bound=max(bound, problem.free_bound),
        )

    def no_answer(self, problem: Problem, budget: Budget, status: Status, reason: str) -> Plan:
        """A plan without a schedule: `status` infeasible (proved) or unknown, and why."""
        return Plan(
            graph=problem.graph.name,
            graph_sha256=problem.graph.sha256,
            target=problem.target,
            options=problem.options,
            solver=self.spec,
            status=status,
            aliases=problem.graph.aliases,
            bound=problem.free_bound,
            seed=budget.seed,
            workers=budget.workers,
            reason=reason,
        )


@cache
def registry() -> Mapping[str, type[Solver]]:
    """Every solver by name, from the entry points of installed packages."""
    return {name: load_plugin(point) for name, point in plugins(SOLVERS).items()}


def solver_class(name: str) -> type[Solver]:
    """The solver called `name`, without importing any other; OptionError names the nearest."""
    points = plugins(SOLVERS)
    if name not in points:
        raise OptionError(f"unknown solver '{name}'", nearest(name, points))
    cls: type[Solver] = load_plugin(points[name])
    return cls


_SPEC = re.compile(r"([A-Za-z_][\w-]*)(?:\{(.*)\})?", re.DOTALL)


def parse_spec(spec: str | Solver) -> Solver:
    """The solver meant by `name` or `name{field=value,…}`; OptionError on unknown names and fields."""
    if isinstance(spec, Solver):
        return spec
    match = _SPEC.fullmatch(spec.strip())
    if not match:
        raise OptionError(f"'{spec}' is not a solver spec", "write name or name{field=value,…}")
    cls = solver_class(match[1])
    known = {f.name: f for f in fields(cls)}
    values: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in (match[2] or "").split(","))):
        key, equals, text = (x.strip() for x in part.partition("="))
        if key not in known:
            raise OptionError(f"solver '{cls.name}' has no field '{key}'", nearest(key, known))
        if not equals:
            raise OptionError(f"field '{key}' of solver '{cls.name}' has no value", f"write {key}=VALUE")
        if key in values:
            raise OptionError(f"field '{key}' of solver '{cls.name}' is given twice", "drop one")
        values[key] = _convert(cls, key, known[key].default, text)
    return cls(**values)


def _convert(cls: type[Solver], key: str, default: Any, text: str) -> Any:
    """`text` as a value of the type of the field's default."""
    try:
        if isinstance(default, bool):
            return {"true": True, "on": True, "false": False, "off": False}[text.lower()]
        if isinstance(default, int | float):
            value = type(default)(text)
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError(text)
            return value
        return text
    except (KeyError, ValueError) as error:
        raise OptionError(
            f"solver '{cls.name}': {key} = '{text}'", f"it takes {_kind(default)}, such as {_show(default)}"
        ) from error


def _kind(default: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number"}
    return names.get(type(default), "a word")


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
