"""Graph JSON, written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memplan.base.errors import GraphError
from memplan.base.files import write_atomic
from memplan.io.graph_v1 import upgraded
from memplan.io.lines import one_line_an_item
from memplan.io.reader import JsonReader, load_json
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor


def graph_text(graph: Graph) -> str:
    """The graph as JSON, a tensor or op a line."""
    return one_line_an_item(graph.to_dict(), ("tensors", "ops"))


def read_graph(path: str | Path) -> Graph:
    """The graph in a JSON file, of any version of the format.

    Args:
        path: the file, whatever its name ends with.

    Returns:
        The graph; one of an older version in today's terms.

    Raises:
        GraphError: it cannot be read, or says something that is no graph; what, and where it stands.

    >>> import memplan, tempfile
    >>> graph = memplan.load("resnet8_int8").graph
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memplan.read_graph(memplan.write_graph(graph, f"{folder}/graph.json")) == graph
    True
    """
    return graph_from_dict(load_json(Path(path), GraphError), str(path))


def graph_from_dict(data: Any, where: str) -> Graph:
    """A graph from parsed JSON."""
    get = JsonReader(data, where, GraphError)
    get.header("memplan-graph")
    name, rows, kernels = get.text("name"), get.items("tensors"), get.items("ops")
    tensors, ops = tuple(map(_tensor, rows)), tuple(map(_op, kernels))
    updates = tuple((get.table("updates").mapping(str) if get.has("updates") else {}).items())
    outputs = tuple(get.texts("outputs")) if get.data["version"] >= 2 else None
    for reader in (get, *rows, *kernels):
        reader.refuse_unknown()
    if outputs is None:
        return upgraded(name, tensors, ops, updates)
    return Graph(name, tensors, ops, outputs, updates)


def _tensor(item: JsonReader) -> Tensor:
    return Tensor(
        name=item.text("name"),
        nbytes=item.whole("nbytes"),
        kind=item.text("kind"),
        dtype=item.text("dtype") if item.has("dtype") else None,
        shape=tuple(item.wholes("shape")) if item.has("shape") else None,
        strides=tuple(item.wholes("strides")) if item.has("strides") else None,
        place=item.pair("place", str, int) if item.has("place") else None,
        alignment=item.whole("alignment") if item.has("alignment") else None,
    )


def _op(item: JsonReader) -> Op:
    workspace = item.text("workspace") if item.has("workspace") else None
    return Op(
        name=item.text("name"),
        kind=item.text("kind"),
        inputs=tuple(item.texts("inputs")),
        outputs=(*item.texts("outputs"), *([] if workspace is None else [workspace])),
        flops=item.whole("flops") if item.has("flops") else None,
        view=item.truth("view") if item.has("view") else False,
        overwrites=tuple(item.pairs("overwrites", str, str)) if item.has("overwrites") else (),
        workspace=workspace,
        joins=tuple(item.pairs("joins", str, int)) if item.has("joins") else (),
        once=item.truth("once") if item.has("once") else False,
        after=tuple(item.texts("after")) if item.has("after") else (),
        source=tuple(item.texts("source")) if item.has("source") else (),
    )


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
