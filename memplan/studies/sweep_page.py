"""A sweep as CSV, SVG, HTML, JSON and text."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape

from memplan.base.units import format_size
from memplan.studies.sweep import Sweep
from memplan.views.charts import Mark, Series, byte_axis, cost_axis, legend, plot, standalone
from memplan.views.table_page import table_page

COLUMNS = ("capacity", "value", "bound", "gap", "solved", "solver")


def sweep_files(sweep: Sweep) -> list[tuple[str, str]]:
    """The files of a sweep by their ending."""
    return [(".csv", sweep_csv(sweep)), (".svg", standalone(sweep_svg(sweep))), (".html", sweep_html(sweep))]


def sweep_rows(sweep: Sweep) -> list[dict[str, object]]:
    """A row a point; value and gap are None where there is no plan."""
    return [
        {
            "capacity": point.capacity,
            "value": point.value,
            "bound": point.bound,
            "gap": point.gap,
            "solved": point.solved,
            "solver": point.plan.solver if point.plan else None,
        }
        for point in sweep.points
    ]


def sweep_csv(sweep: Sweep) -> str:
    """The rows under a header; an empty field where there is no plan."""
    lines = [",".join(COLUMNS)]
    for row in sweep_rows(sweep):
        cells = ("" if row[name] is None else str(row[name]) for name in COLUMNS)
        lines.append(",".join(f'"{cell}"' if "," in cell else cell for cell in cells))
    return "\n".join(lines) + "\n"


def sweep_json(sweep: Sweep) -> str:
    """The sweep as a JSON object."""
    return json.dumps(
        {
            "graph": sweep.graph,
            "objective": sweep.objective,
            "solver": sweep.solver,
            **asdict(sweep.reference),
            "seconds": round(sweep.seconds, 3),
            "points": sweep_rows(sweep),
        }
    )


def sweep_text(sweep: Sweep) -> str:
    """A table for people."""
    lines = [f"{'capacity':>16}  {'value':>16}  {'bound':>16}  {'gap':>7}"]
    for p in sweep.points:
        gap = "-" if p.gap is None else f"{100 * p.gap:.1f} %"
        lines.append(f"{p.capacity:>16,}  {_cost(sweep, p.value):>16}  {_cost(sweep, p.bound):>16}  {gap:>7}")
    solved = sum(p.solved for p in sweep.points)
    others = ", the others settled by their neighbours" if solved < len(sweep.points) else ""
    lines.append(
        f"{len(sweep.points)} {'capacity' if len(sweep.points) == 1 else 'capacities'}, {solved} solved{others}, "
        f"{sweep.seconds:.1f} s by {sweep.solver}"
    )
    return "\n".join(lines)


def sweep_svg(sweep: Sweep) -> str:
    """The best plans' cost by capacity over the proved envelope, the unknown between them shaded."""
    series = _series(sweep)
    ends = [p.capacity for p in sweep.points]
    top = max((m.y for s in series for m in s.marks), default=0.0)
    low, high = min(ends), max(ends)
    return plot(
        f"{sweep.graph}: scratchpad against {sweep.objective}",
        byte_axis("scratchpad", low, high if high > low else low + 1),
        cost_axis(sweep.objective, top),
        series,
        [(0, 1)] if len(series) == 2 else [],
    )


def sweep_html(sweep: Sweep) -> str:
    """The plot and its points on a page of its own."""
    rows = "".join(
        f'<tr><td class="num">{p.capacity:,}</td><td class="num">{_cost(sweep, p.value)}</td>'
        f'<td class="num">{_cost(sweep, p.bound)}</td>'
        f'<td class="num">{"–" if p.gap is None else f"{100 * p.gap:.1f} %"}</td></tr>'
        for p in sweep.points
    )
    known = sweep.reference
    proved = "proved" if known.mp_proved else "the best known"
    lead = (
        f"M_R {format_size(known.mr)}, M_P {format_size(known.mp)} ({proved}). Solver {sweep.solver}, "
        f"{sweep.seconds:.1f} s in all. The line is the cost of the best checked plan that fits; no plan lies below "
        "the dashed one; what lies between is not known."
    )
    head = "".join(
        f'<th scope="col" class="num">{escape(name)}</th>'
        for name in ("scratchpad", sweep.objective, "bound", "gap")
    )
    body = (
        f'<p class="lead">{escape(lead)}</p><section class="card"><h2>Scratchpad against {escape(sweep.objective)}</h2>'
        f"{legend(_series(sweep))}{sweep_svg(sweep)}</section>"
        f'<section class="card"><h2>Points</h2><div class="scroll"><table class="sheet"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )
    return table_page(f"{sweep.graph}: how much scratchpad?", [], body)


def _series(sweep: Sweep) -> list[Series]:
    """The plans' cost, which holds until the next plan fits, and the bound, which held since the last one."""
    costs = tuple(
        Mark(p.capacity, p.value, f"{p.capacity:,} bytes: {_cost(sweep, p.value)}")
        for p in sweep.points
        if p.value is not None
    )
    bounds = tuple(Mark(p.capacity, p.bound) for p in sweep.points if p.bound < float("inf"))
    bound = Series("proved bound", 1, bounds, "left", proved=True, dots=False)
    return [Series("best plan", 0, costs, "step"), bound] if costs else [bound]


def _cost(sweep: Sweep, value: float | None) -> str:
    if value is None or value == float("inf"):
        return "-"
    if sweep.objective == "compute":  # flops or seconds
        return f"{value:,.6g}"
    return f"{value:.6g} s" if sweep.objective == "latency" else f"{value:,.0f}"
