"""The report: one page about a graph and up to two plans, to be looked at without a network."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.emitters.facts import facts
from memplan.emitters.page import page, part
from memplan.graph import Graph
from memplan.plan import Plan

STYLES = ("report.css",)
SCRIPTS = (
    "model.js", "state.js", "colours.js", "map.js", "lanes.js", "inspector.js", "overview.js", "mouse.js", "pane.js",
    "summary.js", "tables.js", "print.js", "report.js",
)  # fmt: skip


def report_page(graph: Graph, plans: Sequence[Plan]) -> str:
    """The report of the graph alone, of a plan, or of two side by side, as HTML.

    Two plans are called A and B. The plans are taken to be valid (see `check`).
    """
    labels = ["A", "B"][: len(plans)]
    solvers = ", ".join(plan.solver for plan in plans)
    title = f"{graph.name}: {solvers} | memplan" if plans else f"{graph.name} | memplan"
    return page(title, part("report.html"), STYLES, SCRIPTS, facts(graph, plans, labels))
