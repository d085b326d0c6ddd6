"""A loaded model: its graph, and what the executor and the annotating emitters need of its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from memplan.ir.graph import Graph
from memplan.ir.ranges import Dims


@dataclass(frozen=True)
class Model:
    """A graph and where it came from; planning, checking and simulating use `graph` alone.

    Args:
        graph: what is planned.
        stem: what files made from it are called.
        dims: sizes given to free dimensions, by name; one with a range is planned at its upper end.
        notes: what the importer decided on its own, one sentence each, for people.
        source: the onnx.ModelProto with its dimensions fixed, the torch.fx.GraphModule in normal form, or
            None for graph JSON. Whoever executes or emits it asks what it is.
        plan: the `Plan` that an annotated file carries, or None.
        folder: where external data of the source is looked for.
        bounds: the largest shapes given to tensors whose sizes only a run decides, by name.
        runtime: whose kernels the ops are, by the name of its profile; None where that is left open.
        at: the same model, op for op, at sizes within its ranges, by name; a range that is not named has its upper end.
            None where no dimension has a range.
    """

    graph: Graph
    stem: str
    dims: Dims = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: object = None
    plan: object = None
    folder: str = "."
    bounds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    runtime: str | None = None
    at: Callable[[Mapping[str, int]], Model] | None = field(default=None, repr=False, compare=False)
