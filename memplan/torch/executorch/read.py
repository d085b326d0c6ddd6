"""Edge programs of ExecuTorch as models: the graph that its runtime executes, found by lowering the program once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from executorch.exir import EdgeProgramManager, ExecutorchBackendConfig, to_edge
from executorch.exir.memory_planning import MemoryAlgoResult, greedy
from executorch.exir.passes import MemoryPlanningPass
from executorch.exir.tensor import TensorSpec

from memplan.base.errors import DimensionError, GraphError
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.ranges import Dims
from memplan.torch.executorch.graph import ExecutedMethod, executed
from memplan.torch.executorch.source import PROFILE, EdgeSource, algorithm_suite
from memplan.torch.read import exported_program

DELEGATE = "executorch_call_delegate"
"""The kind of op that hands over to a backend."""


def from_edge(
    edge: EdgeProgramManager,
    name: str = "graph",
    *,
    method: str = "forward",
    config: ExecutorchBackendConfig | None = None,
) -> Model:
    """One method of an edge program, as the model of what ExecuTorch's runtime executes and places.

    Its ops are those after all passes of ExecuTorch, out-variants with the views elided; its sizes the upper bounds of dynamic
    ones. What lies in a delegate is one op.

    Args:
        edge: what `to_edge` or `to_edge_transform_and_lower` gave. It is lowered in a copy, and left as it is.
        name: what the graph, and files made from it, are called.
        method: the method that is planned.
        config: how it will be lowered; only its `memory_planning_pass` does not count.

    Raises:
        GraphError: there is no such method, ExecuTorch does not lower it, or a size has no bound.
    """
    if method not in edge.methods:
        raise GraphError(
            f"the program has no method '{method}'", f"it has: {', '.join(sorted(edge.methods))}"
        )
    source = EdgeSource(edge, method, config or ExecutorchBackendConfig())
    calls: list[tuple[ExecutedMethod, tuple[int, ...], int]] = []

    def reading(
        alignment: int, specs: Iterable[TensorSpec], module: Any, signature: Any, padding: int
    ) -> MemoryAlgoResult:
        """ExecuTorch's own places; the method itself comes last, after the bodies in it."""
        reserved = tuple(module.input_mem_buffer_sizes[1:])
        calls.append((executed(module, name), reserved, padding))
        return greedy(alignment, specs, module, signature, padding)

    source.lowered(MemoryPlanningPass(algorithm_suite(reading)))
    found, reserved, padding = calls[-1]
    source = replace(source, reserved=reserved, padding=padding)
    return Model(found.graph, name, notes=tuple(_notes(found.graph)), source=source, runtime=PROFILE)


def read_pt2_for_executorch(path: Path, dims: Dims, trust: bool = False) -> Model:
    """The program in a .pt2 file as ExecuTorch executes it, by `to_edge` with its defaults.

    GraphError says what is wrong with it, DimensionError where sizes are given: its dynamic dimensions have their upper bounds.
    """
    if dims:
        raise DimensionError(
            "ExecuTorch plans dynamic dimensions at their upper bounds",
            "leave --dim out, and export the program with the bounds that it needs",
        )
    program = exported_program(path, trust)
    try:
        edge = to_edge(program)
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise GraphError(
            f"'{path}' cannot be made an edge program: {words}", "does ExecuTorch take it without memplan?"
        ) from error
    return from_edge(edge, path.stem)


def _notes(graph: Graph) -> Iterator[str]:
    if calls := [op.name for op in graph.ops if op.kind == DELEGATE]:
        yield (
            f"{len(calls)} of {len(graph.ops)} ops call a delegate ('{calls[0]}' is the first): no plan reaches inside, "
            "the delegate plans for itself"
        )
