"""Plans measured on the runtimes that they are made for."""

from __future__ import annotations

from importlib import import_module

from memplan.base.errors import OptionError, nearest
from memplan.ir.model import Model
from memplan.problem.plan import Plan
from memplan.runtimes.obedience import Obedience

MEASURED = {
    "c": "memplan.runtimes.c",
    "executorch": "memplan.runtimes.executorch",
    "onnxruntime": "memplan.runtimes.onnxruntime",
    "tflm": "memplan.runtimes.tflm",
    "torch": "memplan.runtimes.torch_measure",
}
"""The runtimes on which plans can be measured: each has a module, loaded when it is asked, with a function
`measure(model, plan, seed)`."""


def measure(model: Model, plan: Plan, on: str, seed: int = 0) -> Obedience:
    """What the runtime `on` makes of the plan, by its own count; OptionError with the nearest name if it is unknown.

    The seed is that of made-up inputs.
    """
    if on not in MEASURED:
        raise OptionError(f"no plan can be measured on '{on}'", nearest(on, MEASURED))
    found: Obedience = import_module(MEASURED[on]).measure(model, plan, seed)
    return found
