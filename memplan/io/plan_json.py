"""Plan JSON, written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memplan.base.errors import PlanError
from memplan.base.files import write_atomic
from memplan.io.lines import one_line_an_item
from memplan.io.reader import JsonReader, load_json
from memplan.machine.target import Target
from memplan.machine.target_file import target_dict_v1, target_from_dict
from memplan.problem.options import Options
from memplan.problem.plan import Metrics, Move, Plan, Residency, Status


def plan_text(plan: Plan) -> str:
    """The plan as JSON, a residency or move a line."""
    return one_line_an_item(plan_dict(plan), ("residencies", "moves"))


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
        "version": 1,
        "graph": plan.graph,
        "graph_sha256": plan.graph_sha256,
        "target": target_dict_v1(target),
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
    if plan.notes:
        d["notes"] = list(plan.notes)
    return d | {
        "schedule": list(plan.schedule),
        "residencies": [r._asdict() for r in plan.residencies],
        "moves": [m._asdict() for m in plan.moves],
        "aliases": dict(plan.aliases),
        "inplace": dict(plan.inplace),
        "metrics": plan.metrics._asdict(),
    }


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
    residencies, moves = get.items("residencies"), get.items("moves")
    status = get.text("status")
    if status not in set(Status):
        raise PlanError(f"{where}: unknown status '{status}'", f"known: {', '.join(Status)}")
    target = target_from_dict(get.table("target").data, f"{where}: target")
    plan = Plan(
        graph=get.text("graph"),
        graph_sha256=get.text("graph_sha256"),
        target=target,
        options=Options(
            objective=options.text("objective"),
            weights=options.text("weights"),
            io=options.text("io"),
            inplace=options.get("inplace"),
            order=options.text("order"),
            dims=options.table("dims").mapping(int) if options.has("dims") else {},
            bounds=_shapes(options.table("bounds")) if options.has("bounds") else {},
            donate=tuple(options.texts("donate")) if options.has("donate") else (),
            pins=options.table("pins").mapping(str) if options.has("pins") else {},
        ),
        solver=get.text("solver"),
        status=Status(status),
        schedule=tuple(get.texts("schedule")),
        residencies=tuple(
            Residency(r.text("tensor"), *(r.whole(k) for k in ("start", "stop", "offset", "size")))
            for r in residencies
        ),
        moves=tuple(Move(m.text("kind"), m.text("tensor"), m.whole("issue"), m.whole("due")) for m in moves),
        aliases=get.table("aliases").mapping(str) if get.has("aliases") else {},
        inplace=get.table("inplace").mapping(str) if get.has("inplace") else {},
        metrics=_metrics(metrics, target),
        value=get.number("value") if get.texts("schedule") or get.has("value") else None,
        bound=get.number("bound"),
        seed=get.whole("seed") if get.has("seed") else 0,
        workers=get.whole("workers") if get.has("workers") else 1,
        seconds=get.number("seconds") if get.has("seconds") else 0.0,
        total_seconds=get.number("total_seconds") if get.has("total_seconds") else 0.0,
        budget_proved=get.get("budget_proved") if get.has("budget_proved") else None,
        reason=get.text("reason") if get.has("reason") else "",
        notes=tuple(get.texts("notes")) if get.has("notes") else (),
    )
    for reader in (get, options, metrics, *residencies, *moves):
        reader.refuse_unknown()
    return plan


def _metrics(get: JsonReader, target: Target) -> Metrics:
    """The claimed metrics, 0 where they are absent; what cannot be in host has no latency there, whatever older files say."""
    found = Metrics(**{name: get.number(name) for name in Metrics._fields if get.has(name)})  # type: ignore[arg-type]
    nowhere = target.timed and not target.direct
    return found._replace(latency_all_host_s=None) if nowhere else found


def _shapes(table: JsonReader) -> dict[str, tuple[int, ...]]:
    return {name: tuple(table.wholes(name)) for name in table.data}
