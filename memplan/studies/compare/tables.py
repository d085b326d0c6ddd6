"""The tables of a comparison as rows of cells, written once for Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from memplan.studies.compare.instances import Instance, solvers_of
from memplan.studies.compare.results import Record, page_of
from memplan.studies.compare.statistics import profile, tally, wins, within

TAUS = (1.0, 1.01, 1.05, 1.1, 1.25, 1.5, 2.0, 5.0)


@dataclass(frozen=True)
class Cell:
    """A text; `href` where it is a link, `rank` what it sorts by where that is not the text, `tone` good or bad."""

    text: str
    href: str = ""
    rank: float | None = None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """`head` names the columns; those in `numbers` are aligned to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int]


def solver_table(instances: Sequence[Instance]) -> Table:
    """One row a solver, over everything."""
    head = (
        "solver",
        "cases",
        "plans",
        "best known",
        "proved",
        "value / best",
        "gap",
        "seconds",
        "infeasible",
        "not supported",
        "failed",
    )
    rows = []
    for spec in solvers_of(instances):
        t = tally(spec, instances)
        rows.append(
            (
                Cell(spec),
                *map(_count, (t.cases, t.plans, t.best, t.proved)),
                _ratio(t.ratio),
                _percent(t.gap),
                _seconds(t.seconds),
                _count(t.infeasible),
                _count(t.unsupported),
                Cell(str(t.failed), rank=t.failed, tone="bad" if t.failed else ""),
            )
        )
    return Table(head, tuple(rows), frozenset(range(1, 11)))


def wins_table(instances: Sequence[Instance]) -> Table:
    """How often the solver of the row found strictly less than the one of the column."""
    solvers = solvers_of(instances)
    won = wins(solvers, instances)
    rows = tuple(
        (
            Cell(a),
            *(Cell("·") if a == b else _count(won[a, b]) for b in solvers),
            _count(sum(won[a, b] for b in solvers if a != b)),
            _count(sum(won[b, a] for b in solvers if a != b)),
        )
        for a in solvers
    )
    return Table(("less than", *solvers, "wins", "losses"), rows, frozenset(range(1, len(solvers) + 3)))


def profile_table(instances: Sequence[Instance], measure: str) -> Table:
    """The performance profiles at a few factors."""
    rows = []
    for spec in solvers_of(instances):
        steps = profile(spec, instances, measure)
        rows.append((Cell(spec), *(_percent(within(steps, tau)) for tau in TAUS)))
    return Table(("within", *(f"{tau:g} x" for tau in TAUS)), tuple(rows), frozenset(range(1, len(TAUS) + 1)))


def group_table(instances: Sequence[Instance], by: str) -> Table:
    """One row a family or model (`by`), objective and solver."""
    head = (
        by,
        "objective",
        "solver",
        "cases",
        "best known",
        "proved",
        "value",
        "bound",
        "value / best",
        "gap",
        "seconds",
    )

    def group(instance: Instance) -> tuple[str, str]:
        return instance.one[by], instance.one["objective"]

    rows = []
    for (name, objective), members in groupby(sorted(instances, key=group), key=group):
        kept = list(members)
        for spec in solvers_of(kept):
            t = tally(spec, kept)
            sums = (Cell(show_value(x, objective), rank=x) for x in (t.value, t.bound))
            rows.append(
                (
                    Cell(name),
                    Cell(objective),
                    Cell(spec),
                    *map(_count, (t.cases, t.best, t.proved)),
                    *sums,
                    _ratio(t.ratio),
                    _percent(t.gap),
                    _seconds(t.seconds),
                )
            )
    return Table(head, tuple(rows), frozenset(range(3, 11)))


def case_table(instances: Sequence[Instance]) -> Table:
    """One row a case: value, bound, gap and time, each plan a link."""
    head = ("model", "problem", "budget", "capacity", "solver", "value", "bound", "gap", "seconds", "status")
    rows = []
    for i in instances:
        for spec, r in i.records.items():
            capacity = "max" if i.capacity is None else f"{i.capacity:,}"
            budget = Cell(
                i.one["budget"] + ("" if i.one["budget_proved"] is not False else " (M_P unproved)")
            )
            rows.append(
                (
                    Cell(i.one["model"]),
                    Cell(i.label),
                    budget,
                    Cell(capacity, rank=i.capacity or 2**63),
                    Cell(spec),
                    _value(i, r),
                    _number(r["bound"], r),
                    _percent(r["gap"]),
                    _seconds(r["seconds"]),
                    _status(r),
                )
            )
    return Table(head, tuple(rows), frozenset((3, 5, 6, 7, 8)))


def failure_table(instances: Sequence[Instance]) -> Table:
    """Cases whose process ended without an answer, or with a plan that the checker refused, and why; and solvers whose
    proof another solver's plan contradicts."""
    rows = []
    for i in instances:
        problem = Cell(f"{i.label}, {i.one['budget']}")
        for spec, r in i.records.items():
            if r["outcome"] != "done":
                rows.append(
                    (
                        Cell(i.one["model"]),
                        problem,
                        Cell(spec),
                        Cell(r["outcome"], tone="bad"),
                        Cell(r["reason"]),
                    )
                )
        for spec in i.contradictions:
            claim = f"{i.records[spec]['status']}, bound {i.records[spec]['bound']}: another solver found {i.best}"
            rows.append(
                (Cell(i.one["model"]), problem, Cell(spec), Cell("contradicted", tone="bad"), Cell(claim))
            )
    return Table(("model", "problem", "solver", "outcome", "reason"), tuple(rows), frozenset())


def show_value(value: float | None, objective: str) -> str:
    """A value in its unit: bytes as whole numbers, latency in seconds."""
    if value is None:
        return "–"
    return f"{value:.6g} s" if objective == "latency" else f"{value:,.0f}"


def _value(instance: Instance, record: Record) -> Cell:
    if record["value"] is None:
        return Cell("–", rank=float("inf"))
    tone = "good" if instance.best is not None and record["value"] <= instance.best else ""
    return Cell(show_value(record["value"], record["objective"]), page_of(record), record["value"], tone)


def _status(record: Record) -> Cell:
    if record["outcome"] != "done":
        word = "not supported" if record["outcome"] == "refused" else record["outcome"]
        return Cell(word, tone="" if record["outcome"] == "refused" else "bad")
    return Cell(record["status"], tone="good" if record["status"] == "optimal" else "")


def _number(value: float | None, record: Record) -> Cell:
    return Cell(show_value(value, record["objective"]), rank=float("inf") if value is None else value)


def _count(number: int) -> Cell:
    return Cell(str(number), rank=number)


def _ratio(value: float | None) -> Cell:
    return Cell("–" if value is None else f"{value:.3f}", rank=float("inf") if value is None else value)


def _percent(part: float | None) -> Cell:
    return Cell("–" if part is None else f"{100 * part:.1f} %", rank=float("inf") if part is None else part)


def _seconds(seconds: float | None) -> Cell:
    return Cell(
        "–" if seconds is None else f"{seconds:.2f}", rank=float("inf") if seconds is None else seconds
    )
