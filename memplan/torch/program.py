"""A module in normal form, taken apart: which node is which op, and where each tensor comes from."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from torch.fx import GraphModule, Node

from memplan.torch.graph import leaves
from memplan.torch.propagate import COPY


class TorchProgram:
    """A module in normal form, taken apart.

    node     the node of each op, by name
    names    per node the name of its tensor, or nested lists of names where it makes several
    fakes    the fake value of each tensor, by name: its dtype, shape and strides
    items    the getitem nodes that take a node's result apart, in order, nested ones behind
    ending   the updates and the output
    """

    def __init__(self, module: GraphModule) -> None:
        nodes = list(module.graph.nodes)
        self.all = nodes
        self.node: dict[str, Node] = {n.name: n for n in nodes}
        self.names = leaves(module)
        self.fakes: dict[str, Any] = {}
        self.items: dict[Node, list[Node]] = {}
        owner: dict[Node, Node] = {}
        for n in nodes:
            self.fakes.update(_paired(self.names.get(n), n.meta.get("val")))
            if n.target is operator.getitem:
                owner[n] = owner.get(n.args[0], n.args[0])
                self.items.setdefault(owner[n], []).append(n)
        self.ending = [n for n in nodes if n.target is COPY or n.op == "output"]

    def preface(self, planned: set[str]) -> Iterator[Node]:
        """Inputs, attributes and what is computed from constants alone, with their getitems."""
        for n in self.all:
            if n.name in planned or n in self.ending or n.target is operator.getitem:
                continue
            yield n
            yield from self.items.get(n, ())


def _paired(names: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """The tensors of a node's fake value, by name."""
    if isinstance(names, str):
        yield names, value
    elif isinstance(names, list) and isinstance(value, (list, tuple)):
        for name, item in zip(names, value, strict=True):
            yield from _paired(name, item)
