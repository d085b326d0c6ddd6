"""The planned program as an fx GraphModule: in schedule order, and on request with every move in it.

`node.meta["memplan"]` of each planned op is a dict:

    step      its step in the schedule
    outputs   where what it writes lies: {tensor: {"memory", "offset", "size", "start", "stop"}}
    inplace   {output: input} where it writes over its input
    view_of   the storage that a view lies in
    joined    true where it copies nothing, since its operands lie in its output
    loads     the same as outputs, of what is copied to a faster memory by this step
    stores    names of what is copied to a slower memory after it
    frees     names of what leaves a memory after it
    spilled   those of its outputs that are loaded again later

An op that is executed again is a node of its own each time. In a module with moves, the nodes that move carry
{"step", "move": "load" | "place" | "read" | "store" | "fetch" | "free", "tensor", "memory", "offset"}, and
the plan's moves "from" and "to"; their step is the one before which they happen. The plan itself is
`module.meta["memplan"]`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.fx import GraphModule

from memplan.base.errors import MemplanError, PlanError
from memplan.ir.model import Model
from memplan.machine.target import Target
from memplan.problem.plan import Plan, refuse_tiles
from memplan.solving.planning import PlanOptions
from memplan.solving.planning import plan as solve
from memplan.torch.dims import free_sizes
from memplan.torch.emit_moves import Mover
from memplan.torch.emit_order import Ordered
from memplan.torch.read import RUNTIME, from_fx


def emit_fx(model: Model, plan: Plan, *, moves: bool = False, poison: bool = False) -> GraphModule:
    """The model's module with its ops in the plan's order, annotated; it computes what the source computes.

    With `moves` it works in a scratchpad, the buffer `memplan_scratchpad` of as many bytes as the plan uses:
    results are placed there, and what the plan moves is copied. Of a target with several memories that have
    addresses, memory K > 0 is a buffer `memplan_scratchpad_K`; each lies on the source's device, and what has
    no address in host memory. With `poison` too, bytes are overwritten once the plan frees them. Threads that
    call it wait for each other, since they share the scratchpad. Of a plan for the runtime torch it works in no scratchpad:
    torch allocates each tensor, and with `moves` tensors are stored on the host and loaded again. MemplanError without a torch source,
    PlanError where the plan is of another graph.
    """
    source, graph = model.source, model.graph
    if not isinstance(source, GraphModule):
        raise MemplanError(
            f"'{graph.name}' has no torch source",
            "import it with memplan.from_exported or memplan.from_fx",
        )
    refuse_tiles(graph, plan)
    if set(plan.schedule) != {op.name for op in graph.ops}:
        raise PlanError(f"there is no plan to emit: {plan.reason or plan.status}", "emit a valid plan")
    if moves and plan.runtime != RUNTIME:
        emitted = Mover(source, graph, plan, poison).module()
    else:
        emitted = Ordered(source, graph, plan, moves).module()
    emitted.meta["memplan"] = plan
    return emitted


def fx_pass(
    target: str | Path | Target = "scratchpad", *, moves: bool = False, **options: Unpack[PlanOptions]
) -> Callable[..., GraphModule]:
    """A pass that plans a GraphModule and returns it emitted: `fx_pass(target, …)(module, example_inputs=None)`.

    `options` are those of `memplan.plan`; `moves` is that of `emit_fx`. Without example inputs the placeholders'
    `meta["val"]` is used. It serves as a step of a pass pipeline and, through
    `torch._dynamo.backends.common.aot_autograd(fw_compiler=…)`, as a backend of torch.compile.
    A module whose sizes are free (torch.compile makes one when it meets a second batch size, unless `dynamic=False`)
    comes back as it is, with a warning, and runs unplanned. MemplanError where no plan is found.
    """

    def run(module: GraphModule, example_inputs: Sequence[object] | None = None) -> GraphModule:
        placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
        given = [n.meta.get("val") for n in placeholders] if example_inputs is None else example_inputs
        if len(given) == len(placeholders) and (free := free_sizes(placeholders, given)):
            warnings.warn(f"runs without a plan: {free[0]}; compile with dynamic=False", stacklevel=2)
            return module
        with unset_fake_temporarily():  # compilers call passes under a mode that makes every tensor fake
            model = from_fx(module, example_inputs)
            plan = solve(model, target, **options)
            if not plan.schedule and model.graph.ops:
                raise MemplanError(
                    f"no plan for the module: {plan.reason or plan.status}", "give more memory or more time"
                )
            return emit_fx(model, plan, moves=moves)

    return run
