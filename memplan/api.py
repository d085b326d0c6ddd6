"""The functions behind `import memplan`: load, plan, check, simulate, run, emit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memplan.base.errors import InvalidPlanError, OptionError, nearest
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.judge.check.check import check as check_rules
from memplan.judge.check.facts import Violation
from memplan.judge.simulate import cost_notes
from memplan.judge.simulate import simulate as simulate_plan
from memplan.machine.target import Target, load_target
from memplan.problem.options import Options
from memplan.problem.pins import contradiction, resolve_pins
from memplan.problem.plan import Metrics, Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capacities import NO_LIMIT_S, NotFoundInTime, resolve_capacity
from memplan.solving.solver import Budget, Progress, Solver, budget_for, parse_spec

if TYPE_CHECKING:
    from memplan.runtimes.execute import RunReport

DEFAULT_SOLVER = "portfolio"
DEFAULT_TIME_LIMIT_S = 10.0
UPDATED = "updated"
"""Stands for every input that the graph updates, where inputs are donated."""


def load(
    model: str | Path,
    dims: Mapping[str, int] | None = None,
    bounds: Mapping[str, Sequence[int]] | None = None,
    *,
    trust: bool = False,
) -> Model:
    """The model in an .onnx, .pt2 or graph .json file, or of the zoo, by its name.

    `dims` gives sizes to free dimensions, by name or as "INPUT:AXIS"; `bounds` the largest shapes of tensors
    whose sizes only a run decides. `trust` admits a .pt2 with pickles and other parts that can run code as they
    are loaded. GraphError if it cannot be planned.
    """
    from memplan.library.load import load_model

    known = {name: tuple(shape) for name, shape in (bounds or {}).items()}
    return load_model(model, dims or {}, known, trust=trust)


def from_exported(program: Any, dims: Mapping[str, int] | None = None, name: str = "graph") -> Model:
    """The model in a torch.export.ExportedProgram, which needs no weights; see `importers.torch`."""
    from memplan.torch import read as torch

    return torch.from_exported(program, dims, name)


def from_fx(module: Any, example_inputs: Sequence[Any] | None = None, name: str = "graph") -> Model:
    """The model in a torch.fx.GraphModule called with such inputs; see `importers.torch`."""
    from memplan.torch import read as torch

    return torch.from_fx(module, example_inputs, name)


def plan(
    model: Model | Graph,
    target: str | Path | Target = "scratchpad",
    *,
    scratchpad: str | int | None = None,
    alignment: int | None = None,
    objective: str = "traffic",
    weights: str | None = None,
    io: str | None = None,
    inplace: bool | None = None,
    donate: str | Iterable[str] = (),
    order: str = "free",
    pins: Mapping[str, str | int] | None = None,
    solver: str | Solver = DEFAULT_SOLVER,
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Plan:
    """A checked plan for `model`. Its status says what was proved; infeasible and unknown carry no schedule.

    `donate` names inputs whose storage an output may take over, or is "updated": those that the graph
    updates. `scratchpad` is a capacity: bytes, "256KiB", a budget ("MR", "0.75MP") or "max". Treatments
    left at None come from the target. `pins` says by tensor name what is never spilled ("keep"), never
    placed ("host") or lies at a fixed offset ("@4096", 4096, "keep@4096"). `progress` is called with every improvement, `cancel` is
    asked often; once it returns true the best plan so far is returned. Finding M_P counts against the time limit, and
    may be cancelled: the plan is unknown then.
    """
    begin = time.monotonic()
    budget = budget_for(time_limit_s, workers, seed, progress, cancel)
    chosen = parse_spec(solver)
    problem, _ = make_problem(
        model,
        target,
        alignment=alignment,
        objective=objective,
        weights=weights,
        io=io,
        inplace=inplace,
        donate=donate,
        order=order,
        pins=pins,
    )
    if objective not in chosen.objectives:
        raise OptionError(
            f"solver '{chosen.name}' cannot minimise {objective}",
            f"it knows {', '.join(sorted(chosen.objectives))}",
        )
    try:
        problem, proved, budget = _limited(problem, scratchpad, budget)
    except NotFoundInTime as error:
        why = f"{error.message}: {error.hint}"
        cut = chosen.no_answer(problem, budget, Status.UNKNOWN, why)
        return replace(cut, seconds=budget.seconds, total_seconds=time.monotonic() - begin)
    before = budget.seconds
    found = _infeasible(problem, chosen, budget) or chosen.solve(problem, budget)
    seconds = found.seconds or budget.seconds - before
    done = evaluate(problem.graph, replace(found, seconds=seconds, budget_proved=proved))
    return replace(done, total_seconds=time.monotonic() - begin)


def make_problem(
    model: Model | Graph,
    target: str | Path | Target = "scratchpad",
    *,
    scratchpad: str | int | None = None,
    alignment: int | None = None,
    objective: str = "traffic",
    weights: str | None = None,
    io: str | None = None,
    inplace: bool | None = None,
    donate: str | Iterable[str] = (),
    order: str = "free",
    pins: Mapping[str, str | int] | None = None,
) -> tuple[Problem, bool | None]:
    """The problem these options pose, and whether the budget its capacity is made of is proved."""
    graph = model.graph if isinstance(model, Model) else model
    if not isinstance(graph, Graph):
        raise OptionError(f"a {type(graph).__name__} is no model", "load it first, by memplan.load")
    machine = load_target(target)
    if alignment is not None:
        machine = machine.with_scratchpad(machine.scratchpad.capacity, alignment)
    usual = machine.treatments
    options = Options(
        objective=objective,
        weights=weights or usual["weights"],
        io=io or usual["io"],
        inplace=usual["inplace"] == "on" if inplace is None else inplace,
        order=order,
        dims=model.dims if isinstance(model, Model) else {},
        bounds=model.bounds if isinstance(model, Model) else {},
        donate=_donated(graph, donate),
    )
    if objective == "traffic" and machine.operands == "any":
        raise OptionError(
            f"objective traffic on target '{machine.name}'",
            "operands may be served from host there; use latency or peak",
        )
    if objective == "latency" and not machine.timed:
        raise OptionError(
            f"objective latency on target '{machine.name}', which has no timing",
            "choose a timed target, see `memplan targets`",
        )
    options = replace(options, pins=resolve_pins(pins or {}, graph, machine, options))
    problem, proved, _ = _limited(Problem(graph, machine, options), scratchpad, Budget(NO_LIMIT_S))
    return problem, proved


def _limited(
    problem: Problem, scratchpad: str | int | None, budget: Budget
) -> tuple[Problem, bool | None, Budget]:
    """The problem under this capacity, the target's own where that is None; see `resolve_capacity`."""
    if scratchpad is None:
        return problem, None, budget
    capacity, proved, budget = resolve_capacity(scratchpad, problem, budget)
    return replace(problem, target=problem.target.with_scratchpad(capacity)), proved, budget


def _donated(graph: Graph, donate: str | Iterable[str]) -> tuple[str, ...]:
    """The inputs meant by `donate`, sorted; OptionError on a name that is none."""
    words = donate.split(",") if isinstance(donate, str) else list(donate)
    inputs = {t.name for t in graph.tensors if t.kind == "input"}
    returned = graph.output_storages & inputs
    found: set[str] = set()
    for word in filter(None, words):
        if word == UPDATED and word not in inputs:
            found.update(renewed for _, renewed in graph.updates if renewed not in returned)
        elif word in returned:
            raise OptionError(
                f"input '{word}' cannot be donated: '{graph.name}' returns it",
                "what is returned must keep its value to the end; donate other inputs",
            )
        elif word in inputs:
            found.add(word)
        else:
            raise OptionError(
                f"'{word}' cannot be donated: it is no input of '{graph.name}'", nearest(word, inputs)
            )
    return tuple(sorted(found))


def _infeasible(problem: Problem, solver: Solver, budget: Budget) -> Plan | None:
    """The answer where no plan exists for a reason that costs nothing to see: which, and how much is missing."""
    reason = _shortage(problem) or contradiction(problem)
    return solver.no_answer(problem, budget, Status.INFEASIBLE, reason) if reason else None


def _shortage(problem: Problem) -> str:
    """What the capacity is too small for; nothing if it is not."""
    capacity, least = problem.capacity, problem.min_capacity
    if capacity is None or least <= capacity:
        return ""
    worst = max(range(problem.n), key=problem.need.__getitem__)
    fixed = max(problem.storages, key=lambda s: s.end if s.offset is not None else 0)
    if problem.need[worst] == least:
        who = f"op '{problem.graph.ops[worst].name}' needs {least} bytes"
        kept = [problem.storages[s].name for s in problem.present[worst] if problem.storages[s].keep]
        who += (
            f", what is pinned to stay included ({', '.join(kept[:4])}{', …' if kept[4:] else ''})"
            if kept
            else ""
        )
    elif fixed.offset is not None and fixed.end == least:
        who = f"'{fixed.name}', pinned to {fixed.offset}, ends at {least}"
    elif any(s.offset is not None for s in problem.storages):
        who = f"what an op touches beside what is pinned to an offset needs {least} bytes"
    else:
        who = f"the resident inputs or outputs need {least} bytes"
    return f"{who}, the scratchpad has {capacity}: {least - capacity} bytes are missing"


def evaluate(graph: Graph, found: Plan) -> Plan:
    """The plan with its metrics, value and status filled in, checked: InvalidPlanError if a rule breaks."""
    if found.status in (Status.INFEASIBLE, Status.UNKNOWN):
        return found
    refuse(check_rules(graph, found, claims=False))
    metrics = simulate_plan(graph, found)
    value = metrics.value(found.options.objective)
    if not found.bound <= value * (1 + 1e-9):
        claim = f"solver '{found.solver}' claims the bound {found.bound} above the value {value}"
        raise InvalidPlanError(claim, "this is a bug in the solver")
    status = Status.OPTIMAL if value <= found.bound else Status.FEASIBLE
    whole = found.options.objective != "latency" and float(found.bound).is_integer()
    bound = int(found.bound) if whole else found.bound
    notes = cost_notes(graph, found)
    return replace(found, metrics=metrics, value=value, bound=bound, status=status, notes=notes)


def refuse(violations: list[Violation]) -> None:
    """Raise InvalidPlanError with the first few violations, if there are any."""
    if violations:
        shown = [str(v) for v in violations[:10]]
        more = [f"and {len(violations) - 10} more"] if len(violations) > 10 else []
        raise InvalidPlanError("the plan is not valid:\n  " + "\n  ".join(shown + more))


def check(model: Model | Graph, plan: Plan) -> list[Violation]:
    """Every rule the plan breaks and every claim in it that does not recompute; empty for a valid plan."""
    return check_rules(model.graph if isinstance(model, Model) else model, plan)


def simulate(model: Model | Graph, plan: Plan) -> Metrics:
    """What a valid plan costs, recomputed."""
    return simulate_plan(model.graph if isinstance(model, Model) else model, plan)


def run(model: Model, plan: Plan, inputs: Mapping[str, Any] | None = None, seed: int = 0) -> RunReport:
    """Execute the plan in a real arena and compare with the reference runtime; see `execute.run`."""
    from memplan.runtimes.execute import run as run_plan

    return run_plan(model, plan, inputs, seed)


def emit_fx(model: Model, plan: Plan, *, moves: bool = False, poison: bool = False) -> Any:
    """The torch model's GraphModule in the plan's order, with every move in it on request; see `emitters.torch`."""
    from memplan.torch import emit as torch

    return torch.emit_fx(model, plan, moves=moves, poison=poison)


def fx_pass(
    target: str | Path | Target = "scratchpad", *, moves: bool = False, **options: Any
) -> Callable[..., Any]:
    """A pass for fx compilers: plans a GraphModule with these options of `plan` and returns it emitted."""
    from memplan.torch import emit as torch

    return torch.fx_pass(target, moves=moves, **options)


def emit(model: Model, plan: Plan, formats: str | Iterable[str], folder: str | Path = ".") -> list[Path]:
    """Write the plan in each format ("json", "onnx", …) as `folder/STEM.…`; the paths written."""
    from memplan.views.write import emit_plan

    return emit_plan(model, plan, formats, Path(folder))
