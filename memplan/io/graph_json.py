"""Graph JSON, written."""

from __future__ import annotations

from pathlib import Path

from memplan.base.files import write_atomic
from memplan.io.lines import one_line_an_item
from memplan.ir.graph import Graph


def graph_text(graph: Graph) -> str:
    """The graph as JSON, a tensor or op a line."""
    return one_line_an_item(graph.to_dict(), ("tensors", "ops"))


def write_graph(graph: Graph, path: str | Path) -> Path:
    """Write the graph as JSON, which `read_graph` and `load` read back; nobody ever sees half a file.

    Args:
        graph: the graph; of a loaded model, `model.graph`.
        path: the file; its folder is made where it is not there.

    Returns:
        The path.

    Raises:
        MemplanError: the file cannot be written.
    """
    return write_atomic(Path(path), graph_text(graph))
