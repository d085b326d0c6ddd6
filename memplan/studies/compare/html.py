"""The report of a comparison as one HTML page that asks nothing of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import groupby

from memplan.base.units import format_size
from memplan.studies.compare.instances import Instance, curves, solvers_of
from memplan.studies.compare.results import page_of
from memplan.studies.compare.statistics import profile
from memplan.studies.compare.tables import (
    Cell,
    Table,
    case_table,
    failure_table,
    group_table,
    show_value,
    solver_table,
    wins_table,
)
from memplan.studies.compare.wording import NOTES, headline
from memplan.views.charts import SHADES, Axis, Mark, Series, byte_axis, cost_axis, legend, plot
from memplan.views.table_page import table_page


def report_html(instances: Sequence[Instance]) -> str:
    """Solvers, wins and losses, profiles, capacity curves, families, and every case with a link to its plan."""
    sections = {
        "Solvers": ("solvers", NOTES["solvers"], _table(solver_table(instances))),
        "Wins and losses": ("wins", NOTES["wins"], _table(wins_table(instances))),
        "Performance profiles": ("profiles", "", _profiles(instances)),
        "Capacity against cost": ("curves", NOTES["curves"], _curves(instances)),
        "Families": ("families", NOTES["groups"], _table(group_table(instances, "family"))),
        "Models": ("models", NOTES["groups"], _table(group_table(instances, "model"))),
        "Cases": ("cases", NOTES["cases"], _cases(instances)),
    }
    failures = failure_table(instances)
    if failures.rows:
        sections["Without an answer"] = ("failures", "", _table(failures))
    body = "".join(
        f'<section class="card" id="{ident}"><h2>{title}</h2>'
        + (f'<p class="muted">{escape(note)}</p>' if note else "")
        + f"{content}</section>"
        for title, (ident, note, content) in sections.items()
    )
    lead = f'<p class="lead">{escape(headline(instances))}</p>'
    links = [(ident, title) for title, (ident, _, _) in sections.items()]
    return table_page("memplan comparison", links, lead + body)


def _profiles(instances: Sequence[Instance]) -> str:
    """Two plots: share of instances by factor of the best value, and of the least time."""
    solvers = solvers_of(instances)
    figures, keys = [], ""
    for measure, label in (("value", "factor of the best value"), ("seconds", "factor of the least time")):
        steps = {spec: profile(spec, instances, measure) for spec in solvers}
        far = max((tau for found in steps.values() for tau, _ in found), default=1.0)
        right = max(1.1, min(far * 1.05, 1e4))
        series = [
            Series(spec, k % SHADES, _profile_marks(found, right), "step", dots=False)
            for k, (spec, found) in enumerate(steps.items())
        ]
        keys = legend([Series(s.name, s.shade, (), dots=False) for s in series])
        x = Axis(f"within this {label}", 1.0, right, log=True, show=lambda v: f"{v:.4g}x")
        y = Axis("share of instances", 0.0, 1.0, show=lambda v: f"{100 * v:.0f} %")
        figures.append(
            f"<figure><figcaption>By {measure} <span>{escape(NOTES[measure])}</span></figcaption>"
            f"{plot(f'Performance profile by {measure}', x, y, series)}</figure>"
        )
    return f'{keys}<div class="pair">{"".join(figures)}</div>'


def _profile_marks(steps: Sequence[tuple[float, float]], right: float) -> tuple[Mark, ...]:
    """A profile from factor 1 to the right end of the axis."""
    if not steps:
        return (Mark(1.0, 0.0), Mark(right, 0.0))
    marks = [] if steps[0][0] <= 1.0 else [Mark(1.0, 0.0)]
    return (*marks, *(Mark(min(tau, right), share) for tau, share in steps), Mark(right, steps[-1][1]))


def _curves(instances: Sequence[Instance]) -> str:
    """A plot for every model, objective and policy with more than one capacity."""
    solvers = solvers_of(instances)
    groups = curves(instances)
    if not groups:
        return '<p class="muted">No model was planned at more than one capacity.</p>'
    keys = [Series(spec, k % SHADES, ()) for k, spec in enumerate(solvers)]
    proved = Series("proved bound", SHADES - 2, (), proved=True, dots=False)
    return legend([*keys, proved]) + f'<div class="plots">{"".join(_curve(g, solvers) for g in groups)}</div>'


def _curve(group: Sequence[Instance], solvers: Sequence[str]) -> str:
    """Capacity against value by solver, over the best proved bound."""
    objective, model = group[0].one["objective"], group[0].one["model"]
    series = []
    for k, spec in enumerate(solvers):
        marks = []
        for i in group:
            r = i.records.get(spec)
            if r and r["value"] is not None:
                title = f"{spec} at {r['budget']} ({format_size(r['capacity'])}): {show_value(r['value'], objective)}"
                marks.append(Mark(r["capacity"], r["value"], title, page_of(r)))
        if marks:
            series.append(Series(spec, k % SHADES, tuple(marks)))
    series.append(Series("proved bound", SHADES - 2, tuple(_bounds(group)), "left", proved=True, dots=False))
    top = max((m.y for s in series for m in s.marks), default=0.0) or 1.0
    x = byte_axis("scratchpad", group[0].capacity or 0, group[-1].capacity or 1)
    y = cost_axis(objective, top)
    find = escape(" ".join((model, group[0].one["family"], group[0].label)).lower(), quote=True)
    return (
        f'<figure data-find="{find}"><figcaption>{escape(model)} <span>{escape(group[0].label)}</span></figcaption>'
        f"{plot(f'{model}: capacity against {objective}', x, y, series)}</figure>"
    )


def _bounds(group: Sequence[Instance]) -> list[Mark]:
    """The bounds by capacity: one that holds with more memory holds with less."""
    marks, best = [], -math.inf
    for i in reversed(group):
        if i.bound is not None:
            best = max(best, i.bound)
            marks.append(Mark(i.capacity or 0, best))
    return marks[::-1]


def _cases(instances: Sequence[Instance]) -> str:
    """The cases by family, under a filter."""
    tools = (
        '<div class="tools"><label>Filter <input class="field" id="filter" type="search" '
        'placeholder="model, solver, budget …"></label><kbd>/</kbd><span class="muted" id="shown"></span></div>'
    )
    groups = []
    for family, group in groupby(instances, key=lambda i: i.one["family"]):
        table = _table(case_table(list(group)), find=family)
        groups.append(f'<details class="family" open><summary>{escape(family)}</summary>{table}</details>')
    return tools + "".join(groups)


def _table(table: Table, find: str | None = None) -> str:
    """A sortable table; with `find`, rows that the filter finds by their words and this one."""
    head = "".join(
        f'<th scope="col"{_numeric(k, table)}><button>{escape(name)}</button></th>'
        for k, name in enumerate(table.head)
    )
    rows = []
    for row in table.rows:
        words = " ".join(cell.text for cell in row)
        found = "" if find is None else f' data-find="{escape(f"{find} {words}".lower(), quote=True)}"'
        cells = "".join(_cell(cell, k in table.numbers) for k, cell in enumerate(row))
        rows.append(f"<tr{found}>{cells}</tr>")
    return (
        f'<div class="scroll" tabindex="0"><table class="sheet"><thead><tr>{head}</tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table></div>"
    )


def _cell(cell: Cell, number: bool) -> str:
    words = [w for w in ("num" if number else "", cell.tone, "wide" if len(cell.text) > 60 else "") if w]
    named = f' class="{" ".join(words)}"' if words else ""
    rank = "" if cell.rank is None else f' data-rank="{cell.rank if cell.rank < math.inf else 1e308}"'
    text = escape(cell.text)
    inner = f'<a href="{escape(cell.href, quote=True)}">{text}</a>' if cell.href else text
    return f"<td{named}{rank}>{inner}</td>"


def _numeric(column: int, table: Table) -> str:
    return ' class="num"' if column in table.numbers else ""
