"""A plan for ranges of sizes, at sizes within them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from memplan.base.units import align_up
from memplan.ir.model import Model
from memplan.ir.ranges import sizes_within
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Plan, refuse_tiles


def at_sizes(model: Model, plan: Plan, sizes: Mapping[str, int]) -> tuple[Model, Plan]:
    """The model and the plan at `sizes`: the same steps and offsets, with the smaller tensors that there are then.

    The plan is checked and measured anew; what was proved of the upper ends bounds nothing here, so its bound
    is 0. PlanError where the plan is not of the model; DimensionError for a dimension without a range,
    OptionError for a size outside of its range; InvalidPlanError where the plan does not hold, which nothing
    planned for ranges should meet.
    """
    refuse_tiles(model.graph, plan)
    sizes = sizes_within(model.dims, sizes)
    member = model if model.at is None else model.at(sizes)
    tensor, memory = member.graph.tensor, plan.target.memory
    residencies = tuple(
        r._replace(size=align_up(tensor[r.tensor].nbytes, memory[r.memory].alignment))
        for r in plan.residencies
    )
    smaller = replace(
        plan,
        graph_sha256=member.graph.sha256,
        options=replace(plan.options, dims=member.dims),
        residencies=residencies,
        bound=0,
    )
    return member, evaluate(member.graph, smaller)
