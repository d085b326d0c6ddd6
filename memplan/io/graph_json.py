"""Graph JSON, written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memplan.base.errors import GraphError
from memplan.base.files import write_atomic
from memplan.base.garbage import collection_paused
from memplan.io.graph_v1 import upgraded
from memplan.io.lines import one_line_an_item
from memplan.io.reader import LARGEST, Field, JsonReader, load_json
from memplan.ir.boxes import Box
from memplan.ir.graph import Graph
from memplan.ir.parts import Access, Needs, Op, Tensor

TENSOR: dict[str, Field] = {
    "name": JsonReader.text,
    "nbytes": JsonReader.whole,
    "kind": JsonReader.text,
    "dtype": JsonReader.text,
    "shape": JsonReader.wholes,
    "strides": JsonReader.wholes,
    "place": lambda item, key: item.pair(key, str, int),
    "alignment": JsonReader.whole,
    "part": lambda item, key: item.made(key, _named_box, "a name and a list of pairs"),
}
"""How each field of a tensor is read."""

OP: dict[str, Field] = {
    "name": JsonReader.text,
    "kind": JsonReader.text,
    "inputs": JsonReader.texts,
    "outputs": JsonReader.texts,
    "flops": JsonReader.whole,
    "view": JsonReader.truth,
    "overwrites": lambda item, key: item.pairs(key, str, str),
    "workspace": JsonReader.text,
    "joins": lambda item, key: item.pairs(key, str, int),
    "once": JsonReader.truth,
    "after": JsonReader.texts,
    "source": JsonReader.texts,
    "needs": lambda item, key: item.made(key, _needs, "for each operand a list of null or numbers an axis"),
    "tile": lambda item, key: item.made(key, _named_box, "a name and a list of pairs"),
}
"""How each field of an op is read."""


def _named_box(value: Any) -> tuple[str, Box]:
    """A name and a box; TypeError or ValueError where it is none."""
    name, box = value
    if type(name) is not str:
        raise TypeError(name)
    return name, tuple((first, stop) for first, stop in map(_integers, box))


def _needs(value: Any) -> Needs:
    """For each operand and each of its axes null or the numbers of an access; TypeError or ValueError where it is none."""
    return tuple(tuple(None if axis is None else Access(*_integers(axis)) for axis in axes) for axes in value)


def _integers(value: Any) -> list[int]:
    if type(value) is not list or any(type(x) is not int or abs(x) > LARGEST for x in value):
        raise TypeError(value)
    return value


def graph_text(graph: Graph) -> str:
    """The graph as JSON, a tensor or op a line."""
    return one_line_an_item(graph.to_dict(), ("tensors", "ops"))


@collection_paused()
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
    name = get.text("name")
    tensors, ops = tuple(map(_tensor, get.items("tensors"))), tuple(map(_op, get.items("ops")))
    updates = tuple((get.table("updates").mapping(str) if get.has("updates") else {}).items())
    outputs = tuple(get.texts("outputs")) if get.data["version"] >= 2 else None
    get.refuse_unknown()
    if outputs is None:
        return upgraded(name, tensors, ops, updates)
    return Graph(name, tensors, ops, outputs, updates)


def _tensor(item: JsonReader) -> Tensor:
    return Tensor(**item.record(TENSOR, ("name", "nbytes", "kind")))


def _op(item: JsonReader) -> Op:
    found = item.record(OP, ("name", "kind", "inputs", "outputs"))
    if (workspace := found.get("workspace")) is not None:
        found["outputs"] += (workspace,)
    return Op(**found)


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
