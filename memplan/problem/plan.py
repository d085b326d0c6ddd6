"""Plans: a schedule, the residencies and moves that serve it, and what was proved about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from memplan.base.errors import PlanError
from memplan.ir.graph import Graph, digest_1
from memplan.machine.target import Target
from memplan.problem.options import Options


class Status(StrEnum):
    """What a solver found out (MODEL: statuses are data, not exceptions)."""

    OPTIMAL = "optimal"  # value equals the bound
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"  # proved: no plan exists under these options
    UNKNOWN = "unknown"  # time ran out with no plan


class Residency(NamedTuple):
    """Storage `tensor` occupies `[offset, offset + size)` in steps `[start, stop)`."""

    tensor: str
    start: int
    stop: int
    offset: int
    size: int


class Move(NamedTuple):
    """A copy: `kind` is "load" (host to scratchpad) or "store"; `issue` and `due` are steps."""

    kind: str
    tensor: str
    issue: int
    due: int


class Metrics(NamedTuple):
    """What a plan costs, as the simulator recomputes it: bytes and seconds.

    `latency_all_host_s` is None where operands must be in the scratchpad: not everything can be in host there.
    """

    spill_store: int = 0
    spill_load: int = 0
    compulsory_load: int = 0
    compulsory_store: int = 0
    live_peak: int = 0
    peak: int = 0
    latency_s: float = 0.0
    latency_all_host_s: float | None = 0.0
    latency_unlimited_s: float = 0.0

    @property
    def traffic(self) -> int:
        """Non-compulsory bytes: the objective `traffic`."""
        return self.spill_store + self.spill_load

    def value(self, objective: str) -> float:
        """The metric that `objective` minimises."""
        return {"traffic": self.traffic, "peak": self.peak, "latency": self.latency_s}[objective]


def relative_gap(value: float | None, bound: float) -> float | None:
    """(value - bound) / value, 0 where the value is 0, None without one."""
    if value is None:
        return None
    return (value - bound) / value if value else 0.0


@dataclass(frozen=True)
class Plan:
    """One answer to one problem. Frozen; numbers in it are claims until `check` has recomputed them.

    `reason` says why there is no schedule (`status` infeasible or unknown), or how an answer came about.
    `notes` say what the numbers leave out, such as ops of unknown cost.
    `bound` is a true lower bound on the objective over all plans that the options allow.
    `budget_proved` is False while a capacity was derived from a peak that is not proved optimal.
    """

    graph: str
    graph_sha256: str
    target: Target
    options: Options
    solver: str
    status: Status
    schedule: tuple[str, ...] = ()
    residencies: tuple[Residency, ...] = ()
    moves: tuple[Move, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    inplace: Mapping[str, str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    value: float | None = None
    bound: float = 0
    seed: int = 0
    workers: int = 1
    seconds: float = 0.0
    total_seconds: float = 0.0
    budget_proved: bool | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def gap(self) -> float | None:
        """(value - bound) / value, 0 where the value is 0, None without a plan."""
        return relative_gap(self.value, self.bound)


FOREIGN_HINT = "name the model that was planned, with the same --dim, or plan this one"


def foreign(graph: Graph, plan: Plan) -> str:
    """What is wrong where the plan was made for another graph; nothing if it was made for this one."""
    if plan.graph_sha256 in (graph.sha256, digest_1(graph)):
        return ""
    other = f"another graph than '{graph.name}'" + (
        f", for '{plan.graph}'" if plan.graph != graph.name else ""
    )
    return f"the plan was made for {other}"


def refuse_foreign(graph: Graph, plan: Plan) -> None:
    """Raise PlanError if the plan was made for another graph."""
    if wrong := foreign(graph, plan):
        raise PlanError(wrong, FOREIGN_HINT)
