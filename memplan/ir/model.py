"""A loaded model: its graph, and what the executor and the annotating emitters need of its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memplan.ir.graph import Graph


@dataclass(frozen=True)
class Model:
    """What `load` returns. `plan`, `check` and `simulate` use `graph` alone.

    stem    what files made from it are called
    dims    sizes given to free dimensions, by name
    notes   what the importer decided on its own, one sentence each, for people
    source  the onnx.ModelProto (dimensions fixed), the ExportedProgram, or None for graph JSON
    plan    the plan an annotated file carries
    folder  where external data of the source is looked for
    bounds  largest shapes given to tensors whose sizes only a run decides, by name
    """

    graph: Graph
    stem: str
    dims: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: Any = None
    plan: Any = None
    folder: str = "."
    bounds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        from memplan.torch.pickled import packed

        return self.__dict__ | {"source": packed(self.source)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from memplan.torch.pickled import unpacked

        self.__dict__.update(state | {"source": unpacked(state["source"])})
