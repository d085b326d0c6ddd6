"""A backend of torch.compile that plans forward and backward together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

from torch._dynamo.backends.common import aot_autograd
from torch._functorch.partitioners import default_partition
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.fx import GraphModule
from torch.fx.graph import CodeGen

from memplan.base.errors import MemplanError
from memplan.ir.model import Model
from memplan.machine.target import Target
from memplan.problem.plan import Plan
from memplan.solving.planning import PlanOptions
from memplan.solving.planning import plan as solve
from memplan.torch.dims import free_sizes
from memplan.torch.emit import emit_fx
from memplan.torch.joint import halves, joint_model
from memplan.torch.module import normal_form
from memplan.torch.read import RUNTIME, from_fx

Compiled = Callable[[list[Any]], Any]


def torch_backend(
    target: str | Path | Target = "scratchpad",
    *,
    planned: Callable[[Model, Plan], object] | None = None,
    **options: Unpack[PlanOptions],
) -> Callable[[GraphModule, Sequence[Any]], Callable[..., Any]]:
    """A backend for `torch.compile(…, dynamic=False)`: what autograd differentiates is planned with its backward, all else alone.

    `options` are those of `memplan.plan`, the objective `peak` where none is named; `planned` is told each model with its plan. A
    graph whose sizes are free runs without a plan, with a warning. MemplanError where no plan is found.
    """
    options = {"objective": "peak", **options}

    def obeyed(model: Model) -> GraphModule:
        plan = solve(model, target, **options)
        if not plan.schedule and model.graph.ops:
            raise MemplanError(
                f"no plan for the module: {plan.reason or plan.status}", "give more memory or more time"
            )
        if planned is not None:
            planned(model, plan)
        return emit_fx(model, plan, moves=True)

    def partition(
        joint: GraphModule, inputs: Sequence[Any], *, num_fwd_outputs: int, **rest: Any
    ) -> tuple[GraphModule, GraphModule]:
        if _is_free(joint):
            return default_partition(joint, inputs, num_fwd_outputs=num_fwd_outputs, **rest)
        with unset_fake_temporarily():
            flat = normal_form(joint, [n.meta["val"] for n in joint.graph.nodes if n.op == "placeholder"])
            return halves(obeyed(joint_model(flat, num_fwd_outputs, "joint")))

    def alone(module: GraphModule, inputs: Sequence[Any]) -> Compiled:
        if _is_free(module):
            return boxed(module, inputs)
        with unset_fake_temporarily():
            return boxed(obeyed(from_fx(module, runtime=RUNTIME)), inputs)

    return aot_autograd(
        fw_compiler=boxed, bw_compiler=boxed, inference_compiler=alone, partition_fn=partition
    )


def boxed(module: GraphModule, inputs: Sequence[Any]) -> Compiled:
    """The module as a function of a list, which it empties: so each argument is freed after its last use."""
    module.graph.set_codegen(_Boxed())
    module.recompile()

    def run(args: list[Any]) -> Any:
        return module.forward(args)

    run._boxed_call = True  # type: ignore[attr-defined]
    return run


class _Boxed(CodeGen):
    """Code of a function that takes its arguments out of a list."""

    def gen_fn_def(
        self, free_vars: list[str], maybe_return_annotation: str, *args: Any, **kwargs: Any
    ) -> str:
        names = [var.split(":")[0].strip() for var in free_vars if var != "self"]
        taken = "".join(f"\n    {name} = next(args_iter)" for name in names)
        head = f"def {self._func_name}(self, args_list){maybe_return_annotation}:"
        return f"{head}\n    args_iter = iter(args_list){taken}\n    args_list.clear()"


def _is_free(module: GraphModule) -> bool:
    """Whether a size is free, which is said: the module runs without a plan."""
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    found = free_sizes(placeholders, [node.meta.get("val") for node in placeholders])
    if found:
        warnings.warn(f"runs without a plan: {found[0]}; compile with dynamic=False", stacklevel=2)
    return bool(found)
