"""Rule 6: at the end every output is where its home is."""

from __future__ import annotations

from collections.abc import Iterator

from memplan.judge.check.violation import Violation
from memplan.judge.copies import HOME, Copies
from memplan.judge.plan_view import PlanView


def outputs(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """Each output has a copy at home that is ready at the end; what renews a donated input lies in its buffer."""
    for s in sorted(view.outputs):
        if not view.is_placeable(s):
            continue
        home = view.home(s)
        rows = copies.found.get((s, home), [])
        kept = rows and (home in view.addressed or rows[-1].stop > view.n)  # not renewed by a move at the end
        there = kept and rows[-1].ready <= view.n <= rows[-1].end
        if not there and not (view.n == 0 and home in view.addressed):  # there is no step to lie there in
            yield Violation("outputs", f"output '{s}' has no copy in {home} at the end", view.n - 1, (s,))
        given = view.renewed.get(s)
        first = copies.found.get((given, home), [])[:1] if given is not None else []
        if rows and first and first[0].makers == (HOME,) and first[0].offset != rows[-1].offset:
            message = f"output '{s}' ends at {rows[-1].offset}, not where '{given}' was given"
            yield Violation(
                "outputs", message, view.n - 1, (s,), (rows[-1].offset or 0, first[0].offset or 0)
            )
