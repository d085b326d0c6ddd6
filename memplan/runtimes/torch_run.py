"""Executes a plan of a torch model in real memories, against eager torch, bit for bit.

The reference runs the source module node by node in program order, in one thread. The planned run is the module that
`memplan.torch.emit` writes with moves and poison: every placed tensor lies at its offset of the buffer that is its
memory, and bytes that the plan frees are overwritten. Ops that draw random numbers are seeded
by their name, since the plan may change their order.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from memplan.base.errors import ExecutionError, GraphError, MemplanError
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.problem.plan import Plan
from memplan.runtimes.report import OutputReport, RunReport
from memplan.runtimes.torch_values import inputs_of, state_of, with_state
from memplan.runtimes.turns import least_seconds
from memplan.torch.bodies import attribute, draws, written
from memplan.torch.devices import CPU, device_of, is_there
from memplan.torch.emit import emit_fx
from memplan.torch.emit_moves import pad_names
from memplan.torch.graph import flat_names, leaves
from memplan.torch.module import epilogue, on_cpu, tensors_in
from memplan.torch.scratchpad import POISON


def run_torch(model: Model, plan: Plan, inputs: Mapping[str, Any] | None, seed: int) -> RunReport:
    """Execute `plan` and compare; `inputs` are arrays by name, seeded where they are None.

    They run on the source's device, on the CPU where that is not there.
    GraphError if the model's source is no torch module, ExecutionError if an op fails.
    """
    source = model.source
    if not isinstance(source, GraphModule):
        raise GraphError(
            f"'{model.graph.name}' has no source that can be executed",
            "give the .onnx or .pt2 file it was made from",
        )
    if not is_there(home := device_of(source)):
        home, source = CPU, on_cpu(source)
        model = replace(model, source=source)
    state, fed = state_of(source, seed), inputs_of(source, seed)
    if inputs is not None:
        _bind(source, model.graph, inputs, state, fed)
    state = {name: value.to(home) for name, value in state.items()}
    fed = {name: value.to(home) if isinstance(value, Tensor) else value for name, value in fed.items()}
    emitted = emit_fx(model, replace(plan, runtime=None), moves=True, poison=True)  # in real blocks of memory
    pads = pad_names(plan)
    state = {name: attribute(emitted, name) for name in pads.values()} | state
    eager = Execution(source, state, fed)
    planned = Execution(emitted, state, fed)
    for name in pads.values():
        attribute(planned.module, name).fill_(POISON)
    with _one_thread():
        eager.execute()
        planned.execute()
        seconds, plain_seconds = least_seconds(planned, eager)
    outputs = compared(source, planned.results, eager.results)
    speed = {memory: -rank for rank, memory in enumerate(plan.target.memory)}
    loaded = stored = 0
    for node in emitted.graph.nodes:
        if "from" in (what := node.meta.get("memplan", {})):
            nbytes, faster = (
                model.graph.tensor[what["tensor"]].nbytes,
                speed[what["to"]] > speed[what["from"]],
            )
            loaded, stored = loaded + nbytes * faster, stored + nbytes * (not faster)
    return RunReport(
        model=model.graph.name,
        ops=len(plan.schedule),
        outputs=outputs,
        peaks={memory: attribute(emitted, name).numel() for memory, name in pads.items()},
        loaded_bytes=loaded,
        stored_bytes=stored,
        seconds=seconds,
        plain_seconds=plain_seconds,
        sessions=len({op.kind for op in model.graph.ops if not op.view}),
        reference="eager torch",
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for kernels: sums do not depend on the machine, and short copies do not wait for others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Execution:
    """A module with values of its own, to be run again and again.

    `results` are those of the first run: what it returns and what it updates.
    """

    def __init__(self, module: GraphModule, state: Mapping[str, Tensor], fed: Mapping[str, Any]) -> None:
        self.module = with_state(module, state)
        self.device = device_of(module)
        self.fed = list(fed.values())
        self.targets = list(epilogue(module).values())
        self.names = [n.name for n in module.graph.nodes if n.op == "placeholder"]
        self.results: list[Tensor] = []

    def execute(self) -> float:
        """Run once; seconds until the device has done all of it. ExecutionError names the op that failed."""
        given = [x.clone() if isinstance(x, Tensor) else x for x in self.fed]
        _wait_for(self.device)
        begin = time.perf_counter()
        with torch.no_grad():
            returned = _Seeded(self.module).run(*given, enable_io_processing=False)
        _wait_for(self.device)
        spent = time.perf_counter() - begin
        if not self.results:
            operands = dict(zip(self.names, given, strict=True))
            updated = [
                operands[n.name] if n.op == "placeholder" else attribute(self.module, str(n.target))
                for n in self.targets
            ]
            self.results = [x.clone() for x in (*tensors_in(returned), *updated)]
        return spent


def _wait_for(device: torch.device) -> None:
    """Return once the device has done all that is queued on it; the CPU queues nothing."""
    if device != CPU:
        torch.accelerator.synchronize(device)


class _Seeded(Interpreter):
    """Runs a module, seeding the ops that draw random numbers by their names."""

    def run_node(self, n: Node) -> Any:
        if draws(n.target):
            torch.manual_seed(zlib.crc32(n.meta.get("memplan_op", n.name).encode()))
        try:
            return super().run_node(n)
        except MemplanError:
            raise
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            raise ExecutionError(
                f"op '{n.name}' ({written(n)}) failed: {words}", "is the plan valid?"
            ) from error


def _bind(
    source: GraphModule,
    graph: Graph,
    inputs: Mapping[str, Any],
    state: dict[str, Tensor],
    fed: dict[str, Any],
) -> None:
    """Put the user's arrays in place of seeded values (in `state` or `fed`)."""
    from memplan.onnx.inputs import bind_inputs

    buffers = {n.name: str(n.target) for n in source.graph.nodes if n.op == "get_attr"}
    for name, value in bind_inputs(graph, inputs, held=buffers.keys()).items():
        like = state[buffers[name]] if name in buffers else fed[name]
        data = torch.frombuffer(bytearray(value.data.tobytes() or b"\0"), dtype=torch.uint8)[
            : value.data.nbytes
        ]
        held = data.view(like.dtype).reshape(graph.tensor[name].shape or ())
        (state if name in buffers else fed)[buffers.get(name, name)] = like.clone().copy_(held)


def compared(module: GraphModule, found: list[Tensor], expected: list[Tensor]) -> tuple[OutputReport, ...]:
    """What two runs of a module returned and updated, tensor by tensor."""
    names = leaves(module)
    output = next(n for n in module.graph.nodes if n.op == "output")
    labels: list[str] = []
    torch.fx.node.map_arg(output.args[0], lambda n: labels.extend(flat_names(names[n])))
    labels += [n.name for n in epilogue(module).values()]
    if not len(found) == len(expected) == len(labels):
        raise ExecutionError(
            f"{len(found)} results came where {len(expected)} were expected", "this is a bug"
        )
    return tuple(_compare_one(*row) for row in zip(labels, found, expected, strict=True))


def _compare_one(name: str, found: Tensor, expected: Tensor) -> OutputReport:
    a, b = _bytes(found), _bytes(expected)
    equal = a == b and found.dtype == expected.dtype and found.shape == expected.shape
    difference = 0.0
    if not equal:
        gap = (found.to(torch.float64) - expected.to(torch.float64)).abs().nan_to_num(nan=float("inf"))
        difference = float(gap.max()) if gap.numel() else 0.0
    return OutputReport(name, equal, difference, hashlib.sha256(a).hexdigest(), hashlib.sha256(b).hexdigest())


def _bytes(tensor: Tensor) -> bytes:
    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
