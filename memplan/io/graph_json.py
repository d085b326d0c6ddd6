"""Graph JSON: read and written."""

from __future__ import annotations

from memplan.io.lines import one_line_an_item
from memplan.ir.graph import Graph


def graph_text(graph: Graph) -> str:
    """The graph as JSON, a tensor or op a line."""
    return one_line_an_item(graph.to_dict(), ("tensors", "ops"))
