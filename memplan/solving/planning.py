"""From a graph and a call's words to a checked plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import lcm
from pathlib import Path
from typing import TypedDict

from memplan.base.errors import OptionError
from memplan.base.garbage import collection_paused
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.ranges import ranges
from memplan.judge.evaluate import evaluate, judging_seconds
from memplan.machine.load import load_target
from memplan.machine.target import Target
from memplan.machine.two_level import beyond_two_level
from memplan.problem.contradictions import contradiction
from memplan.problem.donation import resolve_donated
from memplan.problem.options import Options, parse_recompute
from memplan.problem.pin_resolution import resolve_pins
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capacities import NO_LIMIT_S, NotFoundInTime, resolve_capacity, with_capacities
from memplan.solving.freedoms import solve_within
from memplan.solving.limits import Limits, Progress, limits_for
from memplan.solving.posed import posed
from memplan.solving.refusals import refuse
from memplan.solving.registry import parse_spec
from memplan.solving.runtimes import carried_out, loaded_for, profile_for, refuse_undone
from memplan.solving.shortage import shortage
from memplan.solving.solver import Solver
from memplan.tiling.derive import derive
from memplan.tiling.record import Region, Tiling

DEFAULT_SOLVER = "portfolio"
DEFAULT_TIME_LIMIT_S = 10.0


class PlanOptions(TypedDict, total=False):
    """The options of `plan`, for functions that hand them on."""

    scratchpad: str | int | None
    capacities: Mapping[str, str | int] | None
    alignment: int | None
    runtime: str | None
    objective: str | None
    weights: str | None
    io: str | None
    inplace: bool | None
    join: bool | None
    donate: str | Iterable[str]
    order: str
    recompute: str | int
    compute_limit: float | None
    pins: Mapping[str, str | int] | None
    tiling: Iterable[Region]
    solver: str | Solver
    time_limit_s: float
    workers: int | None
    seed: int
    progress: Callable[[Progress], None] | None
    cancel: Callable[[], bool] | None
    compiles: bool


def plan(
    model: Model | Graph,
    target: str | Path | Target = "scratchpad",
    *,
    scratchpad: str | int | None = None,
    capacities: Mapping[str, str | int] | None = None,
    alignment: int | None = None,
    runtime: str | None = None,
    objective: str | None = None,
    weights: str | None = None,
    io: str | None = None,
    inplace: bool | None = None,
    join: bool | None = None,
    donate: str | Iterable[str] = (),
    order: str = "free",
    recompute: str | int = "off",
    compute_limit: float | None = None,
    pins: Mapping[str, str | int] | None = None,
    tiling: Iterable[Region] = (),
    solver: str | Solver = DEFAULT_SOLVER,
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    compiles: bool = True,
) -> Plan:
    """A checked plan for the model; its status says what was proved.

    Same model, options, seed and workers give the same plan but for its times, as long as no time limit cut
    the solver. Finding M_P, where the capacity is given by it, counts against the time limit.

    Args:
        model: what is planned.
        target: a preset's name, the path of a TOML file, or a Target.
        scratchpad: the capacity: bytes, "256KiB", in terms of the graph ("MR", the most one op touches;
            "0.75MP" of the least peak; "MH", half way between) or "max", no limit; the target's own where it
            is None.
        capacities: those of other memories by name: bytes, "256KiB" or "max".
        alignment: offsets in the first memory are multiples of so many bytes; the target's own where it is None.
        runtime: whose ways the plan keeps to: the name of a profile ("tflm"); where it is None, that for which the
            model was loaded, if any.
        objective: what is minimised: "traffic" (bytes spilled and loaded again), "peak" (bytes), "compute" (what
            executing ops again costs), or on a timed target "latency" (seconds). Where it is None, the traffic,
            or the peak for a runtime that moves nothing.
        weights, io, inplace, join, order: as of `Options`; the target's policies where they are None.
        donate: inputs whose storage an output may take over, names or a text of names with commas between;
            "updated" means all that the graph updates.
        recompute: how often an op may be executed: "off" (once), a number, or "any".
        compute_limit: what all executions may cost at most, as a multiple of executing each op once; 1.2 where
            it is None and ops may be executed again, without a limit under objective compute.
        pins: by tensor name, what is never spilled ("keep"), never placed ("host"), placed in one memory alone
            ("axi") or at a fixed offset in bytes ("@4096", 4096, "keep@4096", "axi@4096").
        tiling: regions of the graph that are executed tile by tile, in the program's order; pins and all else speak of
            the tensors that there are then.
        solver: a spec string, `name` or `name{field=value,…}`, or a Solver.
        time_limit_s: seconds, compilation not counted.
        workers: processor cores, None for all.
        seed: of whatever is random, from 0.
        progress: is called with every improvement, and with a notice where something is compiled, once on a
            machine.
        cancel: is asked often; once it returns true the best plan so far is returned.
        compiles: whether to wait for inner loops that are not compiled yet; False gives the best plan that needs none
            of them.

    Returns:
        The plan, in which `check` finds nothing. Infeasible and unknown plans hold no schedule, and `reason`
        says why.

    Raises:
        OptionError: an option is unknown, out of range, or does not fit the model, the target or the solver.
        TargetError: the target is unknown or cannot be read.
        InvalidPlanError: the solver's answer breaks a rule, which is a bug in it.

    >>> import memplan
    >>> model = memplan.load("resnet8_int8")
    >>> best = memplan.plan(model, scratchpad="MR", objective="peak")
    >>> print(best.status, best.value, best.bound)
    optimal 196608 196608
    >>> memplan.plan(model, scratchpad="64KiB").reason
    "op 'stage0/add' needs 196608 bytes, the scratchpad has 65536: 131072 bytes are missing"
    """
    begin = time.monotonic()
    limits = limits_for(time_limit_s, workers, seed, progress, cancel, compiles)
    chosen = parse_spec(solver)
    runtime = runtime or loaded_for(model)
    regions = tuple(tiling)
    problem = make_problem(
        tiled(model, regions) if regions else model,
        target,
        capacities=capacities,
        alignment=alignment,
        runtime=runtime,
        objective=objective,
        weights=weights,
        io=io,
        inplace=inplace,
        join=join,
        donate=donate,
        order=order,
        recompute=recompute,
        compute_limit=compute_limit,
        pins=pins,
    )
    limits = limits.sooner(judging_seconds(problem.graph))  # the answer is judged within the limit
    refuse(chosen, problem)

    def recorded(done: Plan) -> Plan:
        if regions:
            done = replace(done, graph_sha256=graph_of(model).sha256, tiling=regions)
        return replace(done, total_seconds=time.monotonic() - begin, runtime=runtime)

    try:
        problem, proved = _limited(problem, scratchpad, limits)
    except NotFoundInTime as error:
        why = f"{error.message}: {error.hint}"
        cut = chosen.no_answer(problem, limits, Status.UNKNOWN, why)
        return recorded(replace(cut, seconds=limits.seconds))
    before = limits.seconds
    if impossible := shortage(problem) or contradiction(problem):
        found = chosen.no_answer(problem, limits, Status.INFEASIBLE, impossible)
    else:
        found = solve_within(chosen, problem, limits)
    seconds = found.seconds or limits.seconds - before
    done = evaluate(problem.graph, replace(found, seconds=seconds, budget_proved=proved))
    without = limits.clock.given_up if limits.cancelled() or not compiles else ()
    if without and done.status in (Status.FEASIBLE, Status.UNKNOWN):
        what = " and ".join(without)
        why = f"without the kernels of {what}, which are not compiled"
        if compiles:
            why = f"cancelled while the kernels of {what} were compiled, which is done once on a machine: plan again"
        done = replace(done, reason="; ".join(filter(None, (done.reason, why))))
    return recorded(done)


@collection_paused()
def make_problem(
    model: Model | Graph,
    target: str | Path | Target = "scratchpad",
    *,
    scratchpad: str | int | None = None,
    capacities: Mapping[str, str | int] | None = None,
    alignment: int | None = None,
    runtime: str | None = None,
    objective: str | None = None,
    weights: str | None = None,
    io: str | None = None,
    inplace: bool | None = None,
    join: bool | None = None,
    donate: str | Iterable[str] = (),
    order: str = "free",
    recompute: str | int = "off",
    compute_limit: float | None = None,
    pins: Mapping[str, str | int] | None = None,
) -> Problem:
    """The problem that these options pose to a solver; nothing is solved but what names the capacity.

    Args:
        model, target, scratchpad, capacities, alignment, runtime, objective: as of `plan`.
        weights, io, inplace, join, donate, order, recompute, compute_limit, pins: as of `plan`.

    Returns:
        The problem, its capacity in bytes and its policies settled.

    Raises:
        OptionError: an option is unknown, out of range, or does not fit the model or the target.
        TargetError: the target is unknown or cannot be read.

    >>> import memplan
    >>> problem = memplan.make_problem(memplan.load("resnet8_int8"), scratchpad="MR")
    >>> problem.n, problem.capacity, problem.min_capacity
    (29, 196608, 196608)
    """
    graph = graph_of(model)
    machine = with_capacities(load_target(target), capacities or {})
    usual = dict(machine.policies)
    profile = profile_for(model, runtime or loaded_for(model))
    if profile is not None:
        objective = carried_out(profile, objective, machine)
        alignment = lcm(profile.alignment, alignment or machine.scratchpad.alignment)
        usual |= profile.policies
    if alignment is not None:
        machine = machine.with_scratchpad(machine.scratchpad.capacity, alignment)
    objective = objective or "traffic"
    options = Options(
        objective=objective,
        weights=weights or usual["weights"],
        io=io or usual["io"],
        inplace=usual["inplace"] == "on" if inplace is None else inplace,
        join=usual["join"] == "on" if join is None else join,
        order=order,
        recompute=parse_recompute(recompute),
        compute_limit=compute_limit,
        dims=model.dims if isinstance(model, Model) else {},
        bounds=model.bounds if isinstance(model, Model) else {},
        donate=resolve_donated(graph, donate),
    )
    _refuse_contradictions(machine, options)
    options = replace(options, pins=resolve_pins(pins or {}, graph, machine, options))
    if profile is not None:
        refuse_undone(profile, machine, options)
    problem = Problem(graph, machine, options)
    _refuse_alignments(problem)
    return _limited(problem, scratchpad, Limits(NO_LIMIT_S))[0]


def graph_of(model: Model | Graph) -> Graph:
    """The graph of what is planned; OptionError for what is no model."""
    graph = model.graph if isinstance(model, Model) else model
    if not isinstance(graph, Graph):
        raise OptionError(
            f"a {type(graph).__name__} is no model",
            "make one first: of a file by memplan.load, of an exported program by memplan.from_exported, of a traced "
            "module by memplan.from_fx",
        )
    return graph


def tiled(model: Model | Graph, tiling: Tiling) -> Model | Graph:
    """The model with its graph derived by the tiling; OptionError where that cannot be, or its sizes are ranges."""
    graph = derive(graph_of(model), tiling)
    if not isinstance(model, Model):
        return graph
    if open_ones := ranges(model.dims):
        raise OptionError(
            f"'{model.stem}' cannot be cut into tiles while {', '.join(open_ones)} has a range of sizes",
            "give each dimension one size",
        )
    return replace(model, graph=graph)


def _refuse_contradictions(target: Target, options: Options) -> None:
    """OptionError where options contradict each other, or ask what the target has not, whatever the graph."""
    if options.objective == "latency" and not target.timed:
        raise OptionError(
            f"objective latency on target '{target.name}', which has no timing",
            "choose a timed target, see `memplan targets`",
        )
    if options.io == "host" and target.backing is None:
        raise OptionError(
            f"io host on target '{target.name}', which has no backing memory", "use --io resident or external"
        )
    if options.io == "external" and options.donate:
        raise OptionError(
            f"'{options.donate[0]}' cannot be donated with io external: it lies with the caller",
            "use --io resident, or do without --donate",
        )
    if options.compute_limit is not None and options.recompute == 1:
        raise OptionError(
            f"compute_limit {options.compute_limit:g} where no op is executed again",
            "give --recompute any, or do without --compute-limit",
        )


def _refuse_alignments(problem: Problem) -> None:
    """OptionError where a placed tensor asks for more than that its offset is a multiple of the memory's alignment.

    Whoever plans for several memories gives each tensor the offsets that it asks for.
    """
    if all(t.alignment is None for t in problem.graph.tensors):  # what numbering storages would take is saved
        return
    if beyond_two_level(problem.target) and posed(problem) is problem:
        return
    unit = problem.target.scratchpad.alignment
    own = {s.name: problem.graph.tensor[s.name].alignment or 1 for s in problem.storages}
    if wrong := next((name for name, alignment in own.items() if unit % alignment), None):
        raise OptionError(
            f"tensor '{wrong}' must be aligned to {own[wrong]} bytes, offsets are multiples of {unit}",
            f"give --alignment {lcm(unit, *own.values())}",
        )


def _limited(problem: Problem, scratchpad: str | int | None, limits: Limits) -> tuple[Problem, bool | None]:
    """The problem under this capacity, the target's own where that is None; see `resolve_capacity`."""
    if scratchpad is None:
        return problem, None
    capacity, proved = resolve_capacity(scratchpad, problem, limits)
    return replace(problem, target=problem.target.with_scratchpad(capacity)), proved
