"""Orders of the ops: each a function from a problem to op numbers by step, near linear in the graph."""

from __future__ import annotations

from collections.abc import Callable

from memplan.problem.problem import Problem
from memplan_solvers.schedule.least_live import least_live
from memplan_solvers.schedule.traversal import breadth_first, depth_first, program, reverse_post_order

SCHEDULES: dict[str, Callable[[Problem], tuple[int, ...]]] = {
    "program": program,
    "least_live": least_live,
    "least_live_recent": lambda problem: least_live(problem, recent=True),
    "least_live_ahead": lambda problem: least_live(problem, recent=True, look_ahead=3),
    "depth_first": depth_first,
    "reverse_post_order": reverse_post_order,
    "breadth_first": breadth_first,
}
"""Schedules by the name used in spec strings, the cheapest and most promising first."""
