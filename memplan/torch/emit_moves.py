"""Writes a plan down as an fx graph with every move in it; see `memplan.torch.emit`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from memplan.ir.graph import Graph
from memplan.judge.actions import Copied, Executed, Finished, Given, Location, Voided
from memplan.judge.events import events_of, note
from memplan.judge.walk import walk
from memplan.problem.plan import Plan
from memplan.torch import scratchpad
from memplan.torch.devices import CPU, device_of, is_there
from memplan.torch.inplace import Overwriting, overwriting
from memplan.torch.lock import one_at_a_time
from memplan.torch.program import TorchProgram
from memplan.torch.propagate import COPY


def pad_names(plan: Plan) -> dict[str, str]:
    """The buffer of an emitted module that is each memory with addresses: `memplan_scratchpad` is the first memory,
    `memplan_scratchpad_K` its memory K > 0."""
    numbers = {name: k for k, name in enumerate(plan.target.memory)}
    return {
        m.name: f"memplan_scratchpad_{numbers[m.name]}" if numbers[m.name] else "memplan_scratchpad"
        for m in plan.target.addressed
    }


class Mover:
    """Writes down what happens as a plan is obeyed; linear in nodes, residencies and moves.

    nodes    what holds each storage at each place, at an unaligned one its layout alone; the caller's own at no place
    derived  views of storages, by the node that they were derived from
    """

    def __init__(self, source: GraphModule, graph: Graph, plan: Plan, poison: bool) -> None:
        self.source, self.graph, self.plan, self.poison = source, graph, plan, poison
        self.device = device_of(source)
        self.program = TorchProgram(source)
        self.names = self.program.names
        self.events = events_of(plan)
        self.inplace = {(pair.step, pair.output): pair.operand for pair in plan.inplace}
        self.out = torch.fx.Graph()
        self.step = 0
        self.pads: dict[str, Node] = {}
        self.nodes: dict[Location, Node] = {}
        self.derived: dict[tuple[str, Node], Node] = {}
        self.copied: dict[tuple[int, Location], Node] = {}

    def module(self) -> GraphModule:
        """The module; its scratchpads hold as many bytes as the plan uses, on the source's device.

        Where that device is not there, they are fake tensors, as the source's own must be.
        """
        happening = walk(self.graph, self.plan)
        self._preface()
        for action in happening:
            self._act(action)
        self.out._codegen = self.source.graph._codegen
        holder = GraphModule(self.source, self.source.graph)
        peaks = self.plan.peaks
        for memory, name in pad_names(self.plan).items():
            with nullcontext() if is_there(self.device) else FakeTensorMode():
                pad = torch.zeros(peaks[memory], dtype=torch.uint8, device=self.device)
            holder.register_buffer(name, pad, persistent=False)
        return one_at_a_time(GraphModule(holder, self.out))

    def _preface(self) -> None:
        copied: dict[Node, Node] = {}
        planned = {op.name for op in self.graph.ops}
        for node in self.program.preface(planned):
            copied[node] = self.out.node_copy(node, lambda n: copied[n])
            if isinstance(name := self.names.get(node), str):
                self.nodes.setdefault(_outside(name), copied[node])
        self.pads = {memory: self.out.get_attr(name) for memory, name in pad_names(self.plan).items()}
        self.given = copied
        for name, node in self._unnamed(copied):
            self.nodes.setdefault(_outside(name), node)

    def _unnamed(self, copied: dict[Node, Node]) -> Iterator[tuple[str, Node]]:
        """Constants in a list that no getitem takes out."""
        for node in list(copied):
            if isinstance(self.names.get(node), list):
                yield from self._taken(self.names[node], copied[node])

    def _act(self, action: object) -> None:
        match action:
            case Given(location):
                given = self.nodes[_outside(location.storage)]
                self.nodes[location] = self._put(scratchpad.place, location, given)
            case Copied(move, source, destination):
                self.step = move.due
                base, ends = self._base(source), {"from": move.source, "to": move.destination}
                if destination.offset is None:
                    self.nodes[destination] = self._do(scratchpad.store, source, base, **ends)
                else:
                    self.nodes[destination] = self._put(scratchpad.load, destination, base, **ends)
            case Voided(boundary, location, size):
                self.step = boundary
                if self.poison:
                    self._do(scratchpad.free, location, self._pad(location), location.offset, size)
            case Executed():
                self.step = action.step
                self._execute(action)
            case Finished(outputs):
                self._end(outputs)

    def _execute(self, execution: Executed) -> None:
        op = execution.op
        if op.view:
            return
        if op.name in self.plan.joined:
            for name, location in execution.writes.items():
                node = self.nodes[location] = self._laid(name, location)
        else:
            node = self._call(execution)
        node.meta["memplan_op"] = op.name
        node.meta["memplan"] = note(self.graph, self.plan, self.events, op, self.step)

    def _call(self, execution: Executed) -> Node:
        """The op on operands as they lie now, its results put where the plan says."""
        source = self.program.node[execution.op.name]
        node = self._overwriting(execution, source)
        there = node is not None
        node = node or self._copy(source, lambda n: self._operand(n, execution.reads))
        for name, result in self._taken(self.names[source], node):
            location = execution.writes[name]
            if there:
                self.nodes[location] = result
            elif location.offset is None:
                self.nodes[location] = self.out.call_function(scratchpad.keep, (result, *self.pads.values()))
            else:
                self.nodes[location] = self._put(scratchpad.place, location, result)
        return node

    def _overwriting(self, execution: Executed, source: Node) -> Node | None:
        """The op in the form that writes over the operand that the plan says, where torch has one and it lies aligned."""
        op = execution.op
        if len(op.results) != 1 or not isinstance(source.target, OpOverload):
            return None
        written = op.results[0]
        storage = self.inplace.get((self.step, written))
        if storage is None:
            return None
        location, before = execution.writes[written], execution.reads[storage]
        if location.offset is None or location[1:] != before[1:] or location.offset % scratchpad.ALIGNMENT:
            return None
        named = [self.names.get(arg) if isinstance(arg, Node) else None for arg in source.args]
        claimed = [operand for _, operand in op.overwrites] or op.inputs
        over = next(x for x in claimed if self.graph.storage_of[x] == storage)
        if over not in named:
            return None
        a, b = self.graph.tensor[over], self.graph.tensor[written]
        form: Overwriting | None = overwriting(
            source.target, named.index(over), (a.dtype, a.layout) == (b.dtype, b.layout)
        )
        if form is None:
            return None
        result = {form.out: self._laid(written, location)} if form.out is not None else {}
        node = self._copy(source, lambda n: self._operand(n, execution.reads))
        node.target = form.target
        node.kwargs = {**node.kwargs, **result}
        return node

    def _operand(self, node: Node, reads: Mapping[str, Location]) -> Any:
        """An operand as it lies now; a body of a higher-order op is no tensor and has no place."""
        if node not in self.names:
            return self.given[node]
        root = self.graph.storage_of
        return _map(
            self.names[node],
            lambda name: self._derive(
                name, self._base(reads[root[name]] if name in root else _outside(name))
            ),
        )

    def _copy(self, source: Node, operand: Callable[[Node], Any]) -> Node:
        target: Any = source.target
        if target is torch.ops.aten.as_strided.default:
            target = scratchpad.restride
        node = self.out.call_function(target, map_arg(source.args, operand), map_arg(source.kwargs, operand))
        node.meta = {key: value for key, value in source.meta.items() if key != "memplan"}
        return node

    def _taken(self, tree: Any, node: Node) -> Iterator[tuple[str, Node]]:
        """The tensors in a node's result, by name."""
        if isinstance(tree, str):
            yield tree, node
        for i, item in enumerate(tree if isinstance(tree, list) else ()):
            if item is not None:
                yield from self._taken(item, self.out.call_function(operator.getitem, (node, i)))

    def _base(self, location: Location) -> Node:
        """What lies at a place, where kernels can read it."""
        if location.offset is None:
            node = self.nodes[location]
            if self.device == CPU or node.target is not scratchpad.store:
                return node
            return self._do(scratchpad.fetch, location, node, str(self.device))
        if location not in self.nodes:  # a part of what was joined and then moved
            self.nodes[location] = self._laid(location.storage, location)
        if location.offset % scratchpad.ALIGNMENT == 0:
            return self.nodes[location]
        key = self.step, location
        if key not in self.copied:
            self.copied[key] = self._do(
                scratchpad.read, location, self._pad(location), location.offset, self.nodes[location]
            )
        return self.copied[key]

    def _derive(self, name: str, base: Node) -> Node:
        """The view `name` of the storage that `base` holds."""
        if self.graph.storage_of.get(name, name) == name:
            return base
        if (name, base) not in self.derived:
            op = self.graph.ops[self.graph.producer[name]]
            over = self._derive(op.inputs[0], base)
            source = self.program.node[op.name]
            node = self._copy(source, lambda n: _map(self.names[n], lambda x: over))
            for view, item in self._taken(self.names[source], node):
                self.derived[view, base] = item
        return self.derived[name, base]

    def _end(self, outputs: Mapping[str, Location]) -> None:
        """Updates and results: what lies in a scratchpad, which the caller does not own, is copied out of it."""
        self.step = len(self.plan.schedule)
        self.derived.clear()
        found: dict[str, Node] = {}

        def final(name: str) -> Node:
            root = self.graph.storage_of.get(name, name)
            if root not in found:
                given = root not in outputs or self.graph.tensor[root].kind in ("input", "constant")
                location = _outside(root) if given else outputs[root]
                base = found[root] = self._base(location)
                if location.offset is not None and base.target is not scratchpad.read:
                    found[root] = self._do(
                        scratchpad.read, location, self._pad(location), location.offset, base
                    )
            return self._derive(name, found[root])

        for node in self.program.ending:
            if node.op == "output":
                results = map_arg(node.args[0], lambda n: _map(self.names[n], final))
                self.out.output(results).meta = dict(node.meta)
            else:
                target, value = node.args
                self.out.call_function(COPY, (self.given[target], _map(self.names[value], final)))

    def _laid(self, name: str, location: Location) -> Node:
        """The bytes at a place as the tensor of this name."""
        fake = self.program.fakes[name]
        layout = fake.dtype, list(fake.shape), list(fake.stride())
        return self.out.call_function(scratchpad.laid, (self._pad(location), location.offset, *layout))

    def _put(self, how: Callable[..., Any], location: Location, value: Node, **more: Any) -> Node:
        """A tensor copied to a place; itself where it is there already."""
        if location.offset is None:
            return value
        nbytes = self.graph.tensor[location.storage].nbytes
        return self._do(how, location, self._pad(location), location.offset, nbytes, value, **more)

    def _pad(self, location: Location) -> Node:
        return self.pads[str(location.memory)]

    def _do(self, how: Callable[..., Any], location: Location, *args: Any, **more: Any) -> Node:
        node = self.out.call_function(how, args)
        told = {"step": self.step, "move": how.__name__, "tensor": location.storage} | more
        if location.offset is not None:
            told |= {"memory": location.memory, "offset": location.offset}
        node.meta["memplan"] = told
        return node


def _outside(name: str) -> Location:
    """Where the caller has a tensor."""
    return Location(name, None, None)


def _map(tree: Any, value: Callable[[str], Any]) -> Any:
    """A tree of tensor names with each name replaced."""
    if isinstance(tree, str):
        return value(tree)
    return [_map(item, value) for item in tree] if isinstance(tree, list) else None
