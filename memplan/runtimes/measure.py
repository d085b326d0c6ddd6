"""Plans measured on the runtimes that they are made for."""

from __future__ import annotations

from collections.abc import Callable

from memplan.base.errors import OptionError, nearest
from memplan.ir.model import Model
from memplan.problem.plan import Plan
from memplan.runtimes.obedience import Obedience


def _tflm(model: Model, plan: Plan, seed: int) -> Obedience:
    from memplan.runtimes.tflm import measure

    return measure(model, plan, seed)


def _onnxruntime(model: Model, plan: Plan, seed: int) -> Obedience:
    from memplan.runtimes.onnxruntime import measure

    return measure(model, plan, seed)


def _torch(model: Model, plan: Plan, seed: int) -> Obedience:
    from memplan.runtimes.torch_measure import measure

    return measure(model, plan, seed)


MEASURED: dict[str, Callable[[Model, Plan, int], Obedience]] = {
    "onnxruntime": _onnxruntime,
    "tflm": _tflm,
    "torch": _torch,
}
"""The runtimes on which plans can be measured: of a model and a plan of it, with a seed for made-up inputs."""


def measure(model: Model, plan: Plan, on: str, seed: int = 0) -> Obedience:
    """What the runtime `on` makes of the plan, by its own count; OptionError with the nearest name if it is unknown."""
    if on not in MEASURED:
        raise OptionError(f"no plan can be measured on '{on}'", nearest(on, MEASURED))
    return MEASURED[on](model, plan, seed)
