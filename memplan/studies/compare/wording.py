"""What the report says in words, the same in Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.studies.compare.instances import Instance, solvers_of

NOTES = {
    "solvers": "best known: nobody found less. proved: value = bound. value / best: geometric mean over the cases "
    "whose best is above 0. gap: mean of (value - bound) / value, each solver by its own bound.",
    "wins": "On how many instances the solver of the row found strictly less than the one of the column; no plan is "
    "more than any value.",
    "value": "Share of the instances on which the value is within a factor of the best found by anybody (Dolan and "
    "Moré 2002). Where the best is 0, only 0 is within any factor.",
    "seconds": "Share of the instances on which the best value known was reached within a factor of the least time "
    "anybody took to answer with it.",
    "groups": "Value and bound are sums over the solver's plans, the bounds the best that any solver proved of them.",
    "cases": "Value and bound in bytes, latency in seconds. A value opens its plan's memory map.",
    "curves": "Best value by capacity; the dashed line is the greatest bound proved by any solver, below which no "
    "plan lies. A plan for less memory is valid with more, so each curve falls.",
}


def headline(instances: Sequence[Instance]) -> str:
    """What was compared, in one paragraph."""
    if not instances:
        return "No case has finished yet."
    one = instances[0].one
    models = len({i.one["model"] for i in instances})
    cases = sum(len(i.records) for i in instances)
    solved = sum(i.best is not None for i in instances)
    proved = sum(i.proved for i in instances)
    cores = "core" if one["workers"] == 1 else "cores"
    return (
        f"{len(solvers_of(instances))} solvers on {models} models: {len(instances)} instances, {cases} cases, each with "
        f"{one['time_limit_s']:g} s and {one['workers']} {cores}, seed {one['seed']}. {solved} instances have a plan, "
        f"{proved} a proved optimum."
    )
