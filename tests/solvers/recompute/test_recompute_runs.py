"""Plans that execute ops again are executed, and give the bits of the program itself."""

from __future__ import annotations

import numpy as np
import pytest
from memplan_models.recipes import torch_training
from memplan_solvers.recompute.model import make_model
from onnx import ModelProto, helper

import memplan
from memplan import Model
from tests.feature_models import F32, load, proto


def there_and_back(depth: int = 5) -> ModelProto:
    """A chain of convolutions and a chain back that reads each of their results, as training does."""
    weight = np.random.default_rng(1).standard_normal((6, 6, 3, 3)).astype(np.float32)
    nodes, value = [], "x"
    for k in range(depth):
        nodes.append(helper.make_node("Conv", [value, "w"], [f"a{k}"], pads=[1, 1, 1, 1]))
        value = f"a{k}"
    for k in reversed(range(depth - 1)):
        nodes.append(helper.make_node("Mul", [value, f"a{k}"], [f"m{k}"]))
        nodes.append(helper.make_node("Conv", [f"m{k}", "w"], [f"g{k}"], pads=[1, 1, 1, 1]))
        value = f"g{k}"
    shape = [1, 6, 12, 12]
    return proto(nodes, [("x", F32, shape)], [(value, F32, shape)], {"w": weight})


def again(model: Model, share: float) -> int:
    """Executions beyond the first ones, of a plan in so much of the program's peak that is executed bit by bit."""
    problem = memplan.make_problem(model, objective="compute", order="program", recompute="any")
    peak = max(make_model(problem).live_bytes(range(problem.n)))
    plan = memplan.plan(
        model, scratchpad=int(share * peak), objective="compute", order="program", recompute="any", workers=1
    )
    assert plan.value and memplan.check(model, plan) == []
    report = memplan.run(model, plan)
    assert report.identical, str(report)
    return len(plan.schedule) - len(model.graph.ops)


def test_an_onnx_program_gives_the_same_bits() -> None:
    assert again(load(there_and_back()), 0.7) > 0


@pytest.mark.slow(reason="executes a torch program")
def test_a_training_step_gives_the_same_bits() -> None:
    step = memplan.from_fx(torch_training.tiny_gpt_step(1, 16, 2, 2, 8), name="gpt step")
    assert again(step, 0.9) > 0
