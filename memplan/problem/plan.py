"""Plans: a schedule, the residencies and moves that serve it, and what was proved about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from memplan.base.errors import PlanError
from memplan.ir.graph import Graph, digest_1
from memplan.ir.ranges import size_text
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.tiling.derive import derive
from memplan.tiling.record import Tiling


class Status(StrEnum):
    """What a solver found out; it is data, no exception.

    `optimal`: the value equals the proved bound. `feasible`: there is a plan, a better one may exist.
    `infeasible`: proved, no plan exists under these options. `unknown`: the time ran out with no plan.
    """

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


class Residency(NamedTuple):
    """Storage `tensor` takes bytes `[offset, offset + size)` of `memory` in steps `[start, stop)`."""

    tensor: str
    memory: str
    start: int
    stop: int
    offset: int
    size: int


class Move(NamedTuple):
    """A copy of storage `tensor` from memory `source` to memory `destination`, in the FIFO queue `queue`.

    `issue` and `due` are boundaries, boundary t lying before step t: the copy may begin once step `issue` - 1
    has ended, and step `due` waits for it. They differ only where latency is minimised.
    """

    tensor: str
    source: str
    destination: str
    issue: int
    due: int
    queue: int = 0


def is_load(target: Target, move: Move) -> bool:
    """Whether the move copies to a faster memory of the target; else it is a store."""
    rank = target.rank
    return rank[move.destination] < rank[move.source]


class InPlace(NamedTuple):
    """The execution at `step` writes its output `output` over the bytes of its operand's storage `operand`."""

    step: int
    output: str
    operand: str


class Metrics(NamedTuple):
    """What a plan costs, as the simulator recomputes it: bytes and seconds.

    Args:
        spill_store: bytes stored that no output asks for.
        spill_load: bytes loaded but for the first load of each input and constant.
        compulsory_load: bytes of those first loads.
        compulsory_store: bytes of the outputs' stores.
        live_peak: the most bytes resident in the first memory in one step.
        peak: the end in bytes of the highest residency there.
        latency_s: seconds of the whole plan; this and the next two are 0 on an untimed target.
        latency_all_host_s: seconds where everything is served from the backing memory; None where some op cannot
            use that.
        latency_unlimited_s: seconds where everything lies in the fastest memory that its ops can use: a bound below
            every plan.
        accessed: bytes times the byte cost of their memory, of all moves and executions beyond what is compulsory:
            where ops use nothing but the scratchpad, the bytes moved without need. This and the next two are
            None where an older file does not say.
        extra_cost: what executing ops again costs: seconds of computing on a timed target, else flops.
        peaks: the end in bytes of the highest residency of each memory that has addresses.
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
    accessed: float | None = 0
    extra_cost: float | None = 0.0
    peaks: Mapping[str, int] | None = None

    @property
    def traffic(self) -> int:
        """Bytes that are moved without need."""
        return self.spill_store + self.spill_load

    def value(self, objective: str) -> float:
        """The metric that `objective` minimises: bytes for "traffic" and "peak", seconds for "latency", and for
        "compute" seconds or flops."""
        costs = {"peak": self.peak, "latency": self.latency_s, "compute": self.extra_cost or 0.0}
        return costs.get(objective, self.traffic if self.accessed is None else self.accessed)


def relative_gap(value: float | None, bound: float) -> float | None:
    """(value - bound) / value, 0 where the value is 0, None without one."""
    if value is None:
        return None
    return (value - bound) / value if value else 0.0


@dataclass(frozen=True)
class Plan:
    """One answer to one problem; numbers in it are claims until `check` has recomputed them.

    Args:
        graph: the graph's name.
        graph_sha256: the digest of the graph it was made for.
        target: the machine, with the capacity that the call gave.
        options: what was asked.
        solver: its spec string.
        status: what was proved; infeasible and unknown plans hold no schedule.
        schedule: names of the ops, a step each; an op whose name occurs again is recomputed.
        residencies: which storage lies where when.
        moves: copies, in the order in which their queues hold them.
        aliases: the storage of each view, by the view's name.
        inplace: which outputs are written over which operands.
        joined: ops that copy nothing, since their operands lie side by side in their output.
        metrics: what it costs.
        value: the objective's metric, in bytes or seconds; None without a schedule.
        bound: a lower bound on the objective over all plans that the options allow, in the unit of `value`.
        seed, workers: what the solver was given.
        seconds: the solver's own, compilation left out.
        total_seconds: the whole call's.
        budget_proved: False where the capacity was derived from a peak that is not proved least, None where
            it was derived from none.
        reason: why there is no schedule, or how the answer came about.
        notes: what the numbers leave out, such as ops of unknown cost.
        runtime: the runtime whose ways it keeps to, None where none was named.
        tiling: the regions of the graph that are executed tile by tile: steps, residencies and all else are those of
            the graph that `derive` makes with them.
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
    inplace: tuple[InPlace, ...] = ()
    joined: tuple[str, ...] = ()
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
    runtime: str | None = None
    tiling: Tiling = ()

    @property
    def gap(self) -> float | None:
        """(value - bound) / value, 0 where the value is 0, None without a plan."""
        return relative_gap(self.value, self.bound)

    def is_load(self, move: Move) -> bool:
        """Whether the move copies to a faster memory; else it is a store."""
        return is_load(self.target, move)

    @property
    def peaks(self) -> dict[str, int]:
        """The end in bytes of the highest residency of each memory that has addresses."""
        ends = {m.name: 0 for m in self.target.addressed}
        for r in self.residencies:
            ends[r.memory] = max(ends[r.memory], r.offset + r.size)
        return ends

    @property
    def overwritten(self) -> dict[str, str]:
        """The storage that an output is written over, by the output's name, where each op is executed once."""
        return {pair.output: pair.operand for pair in self.inplace}


def graph_mismatch(graph: Graph, plan: Plan) -> str:
    """What is wrong where the plan was made for another graph; nothing if it was made for this one."""
    if plan.graph_sha256 == graph.sha256 or plan.graph_sha256 == digest_1(graph):
        return ""
    other = f"another graph than '{graph.name}'" + (
        f", for '{plan.graph}'" if plan.graph != graph.name else ""
    )
    return f"the plan was made for {other}"


def mismatch_hint(plan: Plan) -> str:
    """What to do where the plan was made for another graph: which sizes, and what said of ops, decide about a graph."""
    sizes = [f"--dim {name}={size_text(size)}" for name, size in plan.options.dims.items()]
    sizes += [f"--bound {name}={','.join(map(str, shape))}" for name, shape in plan.options.bounds.items()]
    sized = f", with {' '.join(sizes)}," if sizes else ""
    return (
        f"name the model that was planned{sized} and the same --ops if it was read with one, or plan this one"
    )


def refuse_mismatch(graph: Graph, plan: Plan) -> None:
    """Raise PlanError if the plan was made for another graph."""
    if wrong := graph_mismatch(graph, plan):
        raise PlanError(wrong, mismatch_hint(plan))


def refuse_tiles(graph: Graph, plan: Plan) -> None:
    """Raise PlanError if the plan was made for another graph, or for tiles of this one."""
    refuse_mismatch(graph, plan)
    if plan.tiling:
        raise PlanError(
            f"the plan executes '{plan.graph}' in tiles, which cannot be done here",
            "plan without tiles; check, simulate and show take them, of ONNX models run and --emit onnx, of .tflite files "
            "measure and --emit tflite",
        )


def planned_graph(graph: Graph, plan: Plan) -> Graph:
    """The graph whose ops and tensors the plan speaks of: the tiled one where it has a tiling.

    Raises:
        PlanError: the plan was made for another graph.
        OptionError: the graph cannot be tiled as the plan says.
    """
    if not plan.tiling:
        return graph
    refuse_mismatch(graph, plan)
    return derive(graph, plan.tiling)


def without_times(plan: Plan) -> Plan:
    """The plan with its timing fields zeroed: equal plans stay equal from run to run."""
    return replace(plan, seconds=0.0, total_seconds=0.0)
