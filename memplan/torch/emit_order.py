"""Writes a plan down as an fx graph whose tensors torch allocates itself; see `memplan.torch.emit`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.judge.actions import Copied, Executed, Finished, Given, Location
from memplan.judge.events import events_of, note
from memplan.judge.walk import walk
from memplan.problem.plan import Move, Plan
from memplan.torch import offload
from memplan.torch.devices import device_of
from memplan.torch.program import Program
from memplan.torch.propagate import COPY, fake_like

Held = tuple[str, str | None]
"""A storage and the memory it is in; None for one of the caller's, and for all where nothing is moved."""


class Ordered:
    """Writes down the executions of a plan, and with `moves` its moves; linear in operands and moves.

    Every use of a tensor is of what the latest execution made, or move brought, and so is every view: the module holds a
    storage exactly as long as the plan does.

    held     the node of each storage, where it is
    views    views of storages, by the node that they were derived from
    given    what is no op: inputs, attributes, what is computed beforehand; by its node in the source
    """

    def __init__(self, source: GraphModule, graph: Graph, plan: Plan, moves: bool) -> None:
        self.source, self.graph, self.plan, self.moves = source, graph, plan, moves
        self.device = device_of(source)
        self.program = Program(source)
        self.names = self.program.names
        self.out = torch.fx.Graph()
        self.held: dict[Held, Node] = {}
        self.views: dict[tuple[str, Node], Node] = {}
        self.given: dict[Node, Node] = {}

    def module(self) -> GraphModule:
        """The module, called as the source is."""
        for node in self.program.preface({op.name for op in self.graph.ops}):
            self.given[node] = self.out.node_copy(node, lambda n: self.given[n])
            if isinstance(name := self.names.get(node), str):
                self.held.setdefault((name, None), self.given[node])
        events = events_of(self.plan)
        for action in walk(self.graph, self.plan):
            match action:
                case Given(place):
                    self.held[place.storage, self._where(place)] = self.held[place.storage, None]
                case Copied(move, source, destination) if self.moves:
                    self._move(move, source, destination)
                case Executed(step, op):
                    if (made := self._executed(action)) is not None:
                        made.meta["memplan_op"] = op.name
                        made.meta["memplan"] = note(self.graph, self.plan, events, op, step)
                case Finished(outputs):
                    self._end(outputs)
        self.out._codegen = self.source.graph._codegen
        return GraphModule(self.source, self.out)

    def _executed(self, execution: Executed) -> Node | None:
        """The op on what its operands are now. Where things move, a view is derived for each use, and nothing is done now."""
        op = execution.op
        if op.view and self.moves:
            return None
        if op.view:
            return self._view(op, self.held[self.graph.storage_of[op.inputs[0]], None])
        node, made = self._call(op, lambda name: self._find(name, execution.reads))
        for name, result in made.items():
            self.held[name, self._where(execution.writes.get(name))] = result
        return node

    def _call(self, op: Op, operand: Callable[[str], Node]) -> tuple[Node, dict[str, Node]]:
        """The op's node and those of its results, by name."""
        source = self.program.node[op.name]
        copies = {source: self._copied(source, operand)}
        for item in self.program.items.get(source, ()):
            copies[item] = self.out.node_copy(item, lambda n: copies[n])
        made = {str(self.names[n]): copy for n, copy in copies.items() if isinstance(self.names[n], str)}
        if any(user.target is not operator.getitem for user in source.users):  # reads the list as a whole
            made = dict(self._taken(self.names[source], copies[source])) | made
        return copies[source], made

    def _copied(self, source: Node, operand: Callable[[str], Node]) -> Node:
        """The call of a source node on what operands are now; a body of a higher-order op is no tensor."""
        return self.out.node_copy(
            source, lambda n: _map(self.names[n], operand) if n in self.names else self.given[n]
        )

    def _taken(self, tree: Any, node: Node) -> Iterator[tuple[str, Node]]:
        """The tensors in a node's result, by name."""
        if isinstance(tree, str):
            yield tree, node
        for i, item in enumerate(tree if isinstance(tree, list) else ()):
            if item is not None:
                yield from self._taken(item, self.out.call_function(operator.getitem, (node, i)))

    def _find(self, name: str, reads: Mapping[str, Location]) -> Node:
        """A tensor as it is now, read where the plan says."""
        root = self.graph.storage_of.get(name, name)
        return self._derived(name, self.held[root, self._where(reads.get(root))])

    def _where(self, place: Location | None) -> str | None:
        return place.memory if place is not None and self.moves else None

    def _derived(self, name: str, base: Node) -> Node:
        """The view `name` of the storage that `base` holds."""
        if self.graph.storage_of.get(name, name) == name:
            return base
        if (name, base) not in self.views:
            self._view(self.graph.ops[self.graph.producer[name]], base)
        return self.views[name, base]

    def _view(self, op: Op, base: Node) -> Node:
        """The views that an op makes of the storage that `base` holds."""
        over = self._derived(op.inputs[0], base)
        node, made = self._call(op, lambda name: over)
        self.views |= {(name, base): view for name, view in made.items()}
        return node

    def _move(self, move: Move, source: Location, destination: Location) -> None:
        """A storage copied to the host, or from there to the device."""
        held, fake = self.held[source.storage, source.memory], self.program.fakes[move.tensor]
        if self.plan.is_load(move):
            node = self.out.call_function(offload.load, (held, str(self.device)))
        else:
            node, fake = self.out.call_function(offload.store, (held,)), fake_like(fake, FakeTensorMode())
        told = {
            "step": move.due,
            "move": "load" if self.plan.is_load(move) else "store",
            "tensor": move.tensor,
        }
        node.meta["memplan"] = told | {"from": move.source, "to": move.destination}
        node.meta["val"] = fake
        self.held[destination.storage, destination.memory] = node

    def _end(self, outputs: Mapping[str, Location]) -> None:
        """Updates and results."""

        def final(node: Node) -> Any:
            return _map(self.names[node], lambda name: self._find(name, outputs))

        for node in self.program.ending:
            if node.op == "output":
                self.out.output(map_arg(node.args[0], final)).meta = dict(node.meta)
            else:
                target, value = node.args
                self.out.call_function(COPY, (self.given[target], final(value)))


def _map(tree: Any, value: Callable[[str], Any]) -> Any:
    """A tree of tensor names with each name replaced."""
    if isinstance(tree, str):
        return value(tree)
    return [_map(item, value) for item in tree] if isinstance(tree, list) else None
