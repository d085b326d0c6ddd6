"""Plan JSON: version 2 written, and read beside version 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memplan.base.errors import PlanError
from memplan.base.files import write_atomic
from memplan.base.garbage import collection_paused
from memplan.io.lines import one_line_an_item
from memplan.io.plan_v1 import inplace_1, moves_1, residency_1
from memplan.io.reader import JsonReader, load_json
from memplan.ir.ranges import Size, dims_from_json
from memplan.machine.target import Target
from memplan.machine.target_file import target_dict, target_from_dict
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Metrics, Move, Plan, Residency, Status
from memplan.tiling.record import Region

ALL_HOST = "latency_all_host_s"
"""The metric that is null where not everything can be in the backing memory."""

ENDS = {"source": "from", "destination": "to"}
"""What the file calls the ends of a move; Python keeps the word `from` for itself."""


def plan_text(plan: Plan) -> str:
    """The plan as JSON, a residency or move a line."""
    return one_line_an_item(plan_dict(plan), ("residencies", "moves", "inplace"))


def write_plan(plan: Plan, path: str | Path) -> Path:
    """Write the plan as JSON, which `read_plan` reads back; nobody ever sees half a file.

    A capacity without limit is recorded as the plan's own peak.

    Args:
        plan: the plan.
        path: the file; its folder is made where it is not there.

    Returns:
        The path.

    Raises:
        MemplanError: the file cannot be written.
    """
    return write_atomic(Path(path), plan_text(plan))


def plan_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON types. A capacity without limit is recorded as the plan's own peak."""
    target = plan.target
    if target.scratchpad.capacity is None:
        align = target.scratchpad.alignment
        target = target.with_scratchpad(max(plan.metrics.peak, align, 1))
    d: dict[str, Any] = {
        "format": "memplan-plan",
        "version": 2,
        "graph": plan.graph,
        "graph_sha256": plan.graph_sha256,
        "target": target_dict(target),
        "options": plan.options.to_dict(),
        "solver": plan.solver,
        "seed": plan.seed,
        "workers": plan.workers,
        "status": str(plan.status),
        "value": plan.value,
        "bound": plan.bound,
        "seconds": round(plan.seconds, 6),
        "total_seconds": round(plan.total_seconds, 6),
    }
    if plan.budget_proved is not None:
        d["budget_proved"] = plan.budget_proved
    if plan.reason:
        d["reason"] = plan.reason
    if plan.runtime is not None:
        d["runtime"] = plan.runtime
    if plan.tiling:
        d["tiling"] = [region.to_dict() for region in plan.tiling]
    if plan.notes:
        d["notes"] = list(plan.notes)
    return d | {
        "schedule": list(plan.schedule),
        "residencies": [r._asdict() for r in plan.residencies],
        "moves": [_move_dict(m) for m in plan.moves],
        "aliases": dict(plan.aliases),
        "inplace": [pair._asdict() for pair in plan.inplace],
        "joined": list(plan.joined),
        "metrics": {
            key: value
            for key, value in plan.metrics._asdict().items()
            if value is not None or key == ALL_HOST
        },
    }


def _move_dict(move: Move) -> dict[str, Any]:
    return {ENDS.get(field, field): value for field, value in move._asdict().items()}


@collection_paused()
def read_plan(path: str | Path) -> Plan:
    """The plan in a JSON file; its numbers stay claims until `check` has recomputed them.

    Args:
        path: the file, whatever its name ends with.

    Returns:
        The plan as the file has it, unchecked.

    Raises:
        PlanError: it cannot be read, or says something that is no plan; what, and where it stands.
        TargetError, OptionError: the plan's target or options make no sense.

    >>> import memplan, tempfile
    >>> plan = memplan.plan(memplan.load("resnet8_int8"), scratchpad="256KiB")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memplan.read_plan(memplan.write_plan(plan, f"{folder}/plan.json")).schedule == plan.schedule
    True
    """
    return plan_from_dict(load_json(Path(path), PlanError), str(path))


def plan_from_dict(data: Any, where: str) -> Plan:
    """A plan from parsed JSON; its numbers stay claims until `check` has recomputed them."""
    get = JsonReader(data, where, PlanError)
    get.header("memplan-plan")
    options, metrics = get.table("options"), get.table("metrics")
    places, copies, pairs = get.items("residencies"), get.items("moves"), list[JsonReader]()
    regions = get.items("tiling") if get.has("tiling") else []
    status = get.text("status")
    if status not in set(Status):
        raise PlanError(f"{where}: unknown status '{status}'", f"known: {', '.join(Status)}")
    target = target_from_dict(get.table("target").data, f"{where}: target")
    if get.data["version"] == 1:
        residencies = tuple(residency_1(item, target) for item in places)
        moves = moves_1(copies, target, options.text("objective") == "latency")
        inplace = inplace_1(get.table("inplace").mapping(str) if get.has("inplace") else {}, residencies)
    else:
        pairs = get.items("inplace") if get.has("inplace") else []
        residencies, moves = tuple(map(_residency, places)), tuple(map(_move, copies))
        inplace = tuple(map(_inplace, pairs))
    plan = Plan(
        graph=get.text("graph"),
        graph_sha256=get.text("graph_sha256"),
        target=target,
        options=Options(
            objective=options.text("objective"),
            weights=options.text("weights"),
            io=options.text("io"),
            inplace=options.get("inplace"),
            join=options.truth("join") if options.has("join") else False,
            order=options.text("order"),
            recompute=_recompute(options) if options.has("recompute") else 1,
            compute_limit=options.number("compute_limit") if options.has("compute_limit") else None,
            dims=_dims(options.table("dims")) if options.has("dims") else {},
            bounds=_shapes(options.table("bounds")) if options.has("bounds") else {},
            donate=options.texts("donate") if options.has("donate") else (),
            pins=options.table("pins").mapping(str) if options.has("pins") else {},
        ),
        solver=get.text("solver"),
        status=Status(status),
        schedule=get.texts("schedule"),
        residencies=residencies,
        moves=moves,
        aliases=get.table("aliases").mapping(str) if get.has("aliases") else {},
        inplace=inplace,
        joined=get.texts("joined") if get.has("joined") else (),
        metrics=_metrics(metrics, target, get.data["version"]),
        value=get.number("value") if get.texts("schedule") or get.has("value") else None,
        bound=get.number("bound"),
        seed=get.whole("seed") if get.has("seed") else 0,
        workers=get.whole("workers") if get.has("workers") else 1,
        seconds=get.number("seconds") if get.has("seconds") else 0.0,
        total_seconds=get.number("total_seconds") if get.has("total_seconds") else 0.0,
        budget_proved=get.get("budget_proved") if get.has("budget_proved") else None,
        reason=get.text("reason") if get.has("reason") else "",
        notes=get.texts("notes") if get.has("notes") else (),
        runtime=get.text("runtime") if get.has("runtime") else None,
        tiling=tuple(map(_region, regions)),
    )
    for reader in (get, options, metrics, *places, *copies, *pairs, *regions):
        reader.refuse_unknown()
    return plan


def _residency(item: JsonReader) -> Residency:
    start, stop, offset, size = (item.whole(key) for key in ("start", "stop", "offset", "size"))
    return Residency(item.text("tensor"), item.text("memory"), start, stop, offset, size)


def _move(item: JsonReader) -> Move:
    ends = item.text(ENDS["source"]), item.text(ENDS["destination"])
    return Move(item.text("tensor"), *ends, item.whole("issue"), item.whole("due"), item.whole("queue"))


def _inplace(item: JsonReader) -> InPlace:
    return InPlace(item.whole("step"), item.text("output"), item.text("operand"))


def _region(item: JsonReader) -> Region:
    ops, axes, tile = item.texts("ops"), item.wholes("axes"), item.wholes("tile")
    if len(ops) != 2:
        raise item.error(
            f"{item.where}: 'ops' names {len(ops)} ops", "name the first and the last op of the region"
        )
    cache = item.whole("cache") if item.has("cache") else None
    return Region((ops[0], ops[1]), axes, tile, cache, item.whole("slices") if item.has("slices") else 1)


def _recompute(options: JsonReader) -> int | None:
    return None if options.get("recompute") == "any" else options.whole("recompute")


def _metrics(get: JsonReader, target: Target, version: int) -> Metrics:
    """The claimed metrics, 0 where they are absent; what cannot be in host has no latency there, whatever
    older files say.
    """
    numbers = {name: get.number(name) for name in Metrics._fields if name != "peaks" and get.has(name)}
    peaks = get.table("peaks").mapping(int) if get.has("peaks") else None
    silent = Metrics(accessed=None, extra_cost=None, peaks=peaks)
    found = silent._replace(**numbers)  # type: ignore[arg-type]
    old = get.data.get(ALL_HOST, 0.0) is not None and version == 1
    nowhere = target.timed and not target.direct if old else get.data.get(ALL_HOST, 0.0) is None
    return found._replace(latency_all_host_s=None) if nowhere else found


def _dims(table: JsonReader) -> dict[str, Size]:
    """Sizes, a range of them being a list of two."""
    ranges = {name: table.wholes(name) for name, size in table.data.items() if isinstance(size, list)}
    return dims_from_json(
        {name: ranges[name] if name in ranges else table.whole(name) for name in table.data}
    )


def _shapes(table: JsonReader) -> dict[str, tuple[int, ...]]:
    return {name: table.wholes(name) for name in table.data}
