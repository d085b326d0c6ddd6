"""The README's picture: the memory map of a zoo model's plan, drawn by the tool itself."""

from __future__ import annotations

from pathlib import Path

import memplan
from memplan.base.files import write_atomic
from memplan.views.svg import svg_text

MODEL, BUDGET, SOLVER = "nasnet_a_mobile", "MH", "search"
PICTURE = Path(__file__).parent.parent / "docs" / "picture.svg"


def main() -> None:
    """Draw and say what was drawn; the same call draws the same picture."""
    graph = memplan.load(MODEL).graph
    plan = memplan.plan(graph, scratchpad=BUDGET, solver=SOLVER, time_limit_s=60)
    path = write_atomic(PICTURE, svg_text(graph, plan, adaptive=True))
    print(
        f"{path.name}: {MODEL} at {BUDGET} by {SOLVER}, {plan.metrics.traffic:,} B spilled, {path.stat().st_size:,} B"
    )


if __name__ == "__main__":
    main()
