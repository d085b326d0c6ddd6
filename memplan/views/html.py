"""The report: one page about a graph and up to two plans, to be looked at without a network."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.ir.graph import Graph
from memplan.problem.plan import Plan
from memplan.views.document import page, part
from memplan.views.report_data import facts

STYLES = ("report.css",)
SCRIPTS = (
    "model.js", "plans.js", "state.js", "colours.js", "map.js", "overlay.js", "lanes.js", "words.js", "inspector.js",
    "overview.js", "mouse.js", "sight.js", "pane.js", "summary.js", "comparison.js", "tables.js", "tabs.js", "print.js",
    "report.js",
)  # fmt: skip


def report_page(graph: Graph, plans: Sequence[Plan]) -> str:
    """The report of the graph alone, of a plan, or of two side by side, as HTML.

    Two plans are called A and B. The plans are taken to be valid (see `check`).
    """
    labels = ["A", "B"][: len(plans)]
    solvers = ", ".join(plan.solver for plan in plans)
    title = f"{graph.name}: {solvers} | memplan" if plans else f"{graph.name} | memplan"
    return page(title, part("report.html"), STYLES, SCRIPTS, facts(graph, plans, labels))
