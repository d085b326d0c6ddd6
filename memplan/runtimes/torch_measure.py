"""Eager torch obeys a plan: a module calls its ops in the plan's order, and torch's profiler counts what its allocator hands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from memplan.base.errors import ExecutionError, MemplanError, PlanError
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.machine.profile import load_profile
from memplan.problem.plan import Plan, refuse_mismatch
from memplan.runtimes.obedience import Obedience
from memplan.runtimes.torch_run import compared
from memplan.runtimes.torch_values import inputs_of, state_of, with_state
from memplan.torch.allocations import Allocated, allocated
from memplan.torch.bodies import attribute
from memplan.torch.devices import CPU, device_of
from memplan.torch.emit import emit_fx
from memplan.torch.joint import handed_over
from memplan.torch.module import epilogue, tensors_in
from memplan.torch.read import RUNTIME

HINT = "plan the model by `plan(load(path, runtime='torch'))`, or `--runtime torch`"


def measure(model: Model, plan: Plan, seed: int = 0) -> Obedience:
    """The plan beside what torch makes of it, and of the program in its own order, on the same seeded inputs.

    Counted is what is allocated during a call: neither parameters nor inputs, which are there before (`beside`), nor what is
    stored on the host. MemplanError where the model is no torch program on the CPU, PlanError where the plan is not for this
    model or this runtime, ExecutionError where an op fails.
    """
    source = model.source
    if not isinstance(source, GraphModule) or model.runtime != RUNTIME:
        raise MemplanError(f"'{model.stem}' was not read as torch executes it", HINT)
    if (device := device_of(source)) != CPU:
        raise MemplanError(
            f"'{model.stem}' lies on {device}, and only the CPU's allocations are counted",
            "measure the program on the CPU",
        )
    refuse_unfit(plan)
    refuse_mismatch(model.graph, plan)
    state, fed = state_of(source, seed), inputs_of(source, seed)
    own, expected = _call(source, state, fed, seed)
    ours, found = _call(emit_fx(model, plan, moves=True), state, fed, seed)
    outputs = compared(source, found, expected)
    held = {
        x.untyped_storage().data_ptr(): x.untyped_storage().nbytes()
        for x in tensors_in([*state.values(), *fed.values()])
    }
    return Obedience(
        model=model.graph.name,
        runtime=RUNTIME,
        predicted=plan.metrics.live_peak,
        measured=ours.peak,
        own=own.peak,
        beside=sum(held.values()),
        outputs=len(outputs),
        different=sum(not output.equal for output in outputs),
        ordered=in_order(model.graph, plan, ours.called),
        at_most=has_bodies(model.graph),  # the hungriest is planned for
    )


def in_order(graph: Graph, plan: Plan, called: Sequence[str]) -> bool | None:
    """Whether these ops of torch were called in the plan's order, by their kinds; None where bodies of control flow call some, too.

    Views are left out: they are taken wherever they are needed.
    """
    if has_bodies(graph):
        return None
    kinds = {op.name: op.kind.rpartition(".")[0].replace(".", "::") for op in graph.ops}
    counted = {*kinds.values()} - {"", *(kinds[op.name] for op in graph.ops if op.view)}
    planned = [kinds[name] for name in plan.schedule if kinds[name] in counted]
    return planned == [name for name in called if name in counted]


def has_bodies(graph: Graph) -> bool:
    """Whether an op calls bodies of control flow: it is of no namespace, as what divides forward and backward is, too."""
    return any("." not in op.kind and op.kind != handed_over.__name__ for op in graph.ops)


def refuse_unfit(plan: Plan) -> None:
    """PlanError where the plan asks for what eager torch does not do."""
    policies = load_profile(RUNTIME).policies
    asked = {"weights": plan.options.weights, "io": plan.options.io}
    if wrong := next((key for key, word in asked.items() if word != policies[key]), None):
        raise PlanError(
            f"the plan has {wrong} {asked[wrong]}, the runtime has {wrong} {policies[wrong]}", HINT
        )
    if plan.inplace or plan.joined:
        raise PlanError("the plan writes in place or joins operands, which functional ops do not", HINT)


def _call(
    module: GraphModule, state: Mapping[str, Tensor], fed: Mapping[str, Any], seed: int
) -> tuple[Allocated, list[Tensor]]:
    """What is allocated during a call, and what it returns and updates."""
    held = with_state(module, state)
    given = [x.clone() if isinstance(x, Tensor) else x for x in fed.values()]
    torch.manual_seed(seed)
    try:
        with torch.no_grad():
            returned, seen = allocated(lambda: held(*given))
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise ExecutionError(f"torch does not run the module: {words}", "is the plan valid?") from error
    operands = dict(zip((n.name for n in module.graph.nodes if n.op == "placeholder"), given, strict=True))
    updated = [
        operands[n.name] if n.op == "placeholder" else attribute(held, str(n.target))
        for n in epilogue(module).values()
    ]
    return seen, [*tensors_in(returned), *updated]
