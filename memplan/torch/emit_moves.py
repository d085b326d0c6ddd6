"""Writes a plan down as an fx graph with every move in it; see `memplan.torch.emit`."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import torch
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from memplan.base.errors import ExecutionError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.judge.events import events_of, note
from memplan.problem.plan import Plan, Residency
from memplan.torch import scratchpad
from memplan.torch.devices import CPU, device_of, is_there
from memplan.torch.graph import leaves
from memplan.torch.inplace import overwriting
from memplan.torch.propagate import COPY

PAD = "memplan_scratchpad"


class Program:
    """A module in normal form, taken apart.

    node     the node of each op, by name
    items    the getitem nodes that take a node's result apart, in order, nested ones behind
    ending   the updates and the output
    """

    def __init__(self, module: GraphModule) -> None:
        nodes = list(module.graph.nodes)
        self.all = nodes
        self.node: dict[str, Node] = {n.name: n for n in nodes}
        self.items: dict[Node, list[Node]] = {}
        owner: dict[Node, Node] = {}
        for n in nodes:
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


class Turn:
    """Hooks by which the threads that call a module wait for each other; a copy of the module has its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()

    def begin(self, module: Any, args: Any) -> None:
        """Before a call."""
        self.lock.acquire()

    def end(self, module: Any, args: Any, result: Any) -> None:
        """After a call, a failed one too."""
        self.lock.release()


class Mover:
    """Walks a plan's steps once; linear in nodes, residencies and moves.

    Where an operand lies is known at every step: a residency's node, or a host node. A view is derived from
    its storage when an op reads it, and again after the storage has moved.
    """

    def __init__(self, source: GraphModule, graph: Graph, plan: Plan, poison: bool) -> None:
        self.source, self.graph, self.plan, self.poison = source, graph, plan, poison
        self.device = device_of(source)
        self.program = Program(source)
        self.names = leaves(source)
        self.ops = {op.name: op for op in self.graph.ops}
        self.out = torch.fx.Graph()
        self.step = 0
        self.overwritten = plan.overwritten
        self.resident: dict[str, Residency] = {}
        self.place: dict[str, Node] = {}
        self.host: dict[str, Node] = {}
        self.derived: dict[tuple[str, Node], Node] = {}
        self.copied: dict[tuple[int, str], Node] = {}

    def module(self) -> GraphModule:
        """The module; its scratchpad holds as many bytes as the plan uses, on the source's device.

        Where that device is not there, the scratchpad is a fake tensor, as the source's own must be.
        """
        self._preface()
        self._steps()
        self._ending()
        self.out._codegen = self.source.graph._codegen
        used = max((r.offset + r.size for r in self.plan.residencies), default=0)
        holder = GraphModule(self.source, self.source.graph)
        with nullcontext() if is_there(self.device) else FakeTensorMode():
            pad = torch.zeros(used, dtype=torch.uint8, device=self.device)
        holder.register_buffer(PAD, pad, persistent=False)
        module = GraphModule(holder, self.out)
        turn = Turn()
        module.register_forward_pre_hook(turn.begin)
        module.register_forward_hook(turn.end, always_call=True)
        return module

    def _preface(self) -> None:
        copied: dict[Node, Node] = {}
        planned = set(self.ops)
        for node in self.program.preface(planned):
            copied[node] = self.out.node_copy(node, lambda n: copied[n])
            if isinstance(name := self.names.get(node), str):
                self.host.setdefault(name, copied[node])
        self.pad = self.out.get_attr(PAD)
        self.given = copied
        for name, node in self._unnamed(copied):
            self.host.setdefault(name, node)

    def _unnamed(self, copied: dict[Node, Node]) -> Iterator[tuple[str, Node]]:
        """Constants in a list that no getitem takes out."""
        for node in list(copied):
            if isinstance(self.names.get(node), list):
                yield from self._taken(self.names[node], copied[node])

    def _steps(self) -> None:
        plan, events = self.plan, events_of(self.plan)
        for step, name in enumerate(plan.schedule):
            self.step, op = step, self.ops[name]
            for r in events.begins.get(step, ()):
                self.resident[r.tensor] = r
                self.place.pop(r.tensor, None)
                if plan.options.io == "resident" and self.graph.tensor[r.tensor].kind == "input":
                    self._fill(r, scratchpad.place)
            for r in events.loads.get(step, ()):
                self._fill(r, scratchpad.load)
            if not op.view:
                self._call(op).meta["memplan"] = note(self.graph, plan, events, op, step)
            for tensor in events.stores.get(step, ()):  # as late as the residency must last
                base = self._base(tensor)
                self.host[tensor] = self._move(scratchpad.store, tensor, None, base)
            if step < len(plan.schedule) - 1:
                self._end(events.ends.get(step, []), op)

    def _end(self, ending: list[Residency], op: Op) -> None:
        overwritten = {
            (self.overwritten[x], self.resident[x].offset) for x in op.outputs if x in self.overwritten
        }
        for r in ending:
            if self.resident.get(r.tensor) is r:
                del self.resident[r.tensor]
            if self.poison and r.size and (r.tensor, r.offset) not in overwritten:
                self._move(scratchpad.free, r.tensor, r, self.pad, r.offset, r.size)

    def _ending(self) -> None:
        """Updates and results: from host memory, or copied out of the scratchpad that the caller does not own."""
        self.derived.clear()
        for node in self.program.ending:
            if node.op == "output":
                self.out.output(map_arg(node.args[0], self._result)).meta = dict(node.meta)
            else:
                target, value = node.args
                self.out.call_function(COPY, (self.given[target], self._result(value)))

    def _result(self, node: Node) -> Any:
        def final(name: str) -> Node:
            root = self.graph.storage_of.get(name, name)
            if self.plan.options.io == "resident" and root in self.resident and root not in self.given_names:
                r = self.resident[root]
                self.host[root] = self._move(scratchpad.read, root, r, self.pad, r.offset, self.place[root])
            if root not in self.host:
                raise ExecutionError(
                    f"the plan ends without a stored copy of output '{name}'", "run `check` first"
                )
            return self._derive(name, self._outside(root))

        return _map(self.names[node], final)

    @cached_property
    def given_names(self) -> set[str]:
        """What the caller holds himself: inputs and constants."""
        return {t.name for t in self.graph.tensors if t.kind in ("input", "constant")}

    def _call(self, op: Op) -> Node:
        """The op on operands as they lie now, its results put where the plan says."""
        source = self.program.node[op.name]
        node = self._overwriting(op, source)
        there = node is not None
        node = node or self._copy(source, self._operand)
        node.meta["memplan_op"] = op.name
        for name, result in self._taken(self.names[source], node):
            r = self.resident.get(name)
            if there and r is not None:
                self.place[name] = result
            elif r is not None and r.start == self.step:
                self.place[name] = self._move(
                    scratchpad.place, name, r, self.pad, r.offset, self._nbytes(name), result
                )
            elif self.plan.target.direct or not self._nbytes(name):
                self.host[name] = self.out.call_function(scratchpad.keep, (self.pad, result))
            else:
                raise self._nowhere(name, "writes")
        return node

    def _overwriting(self, op: Op, source: Node) -> Node | None:
        """The op in the form that writes over the operand that the plan says, where torch has one and it lies aligned."""
        pairs = [(name, self.overwritten[name]) for name in op.results if name in self.overwritten]
        if len(op.results) != 1 or not pairs:
            return None
        written, storage = pairs[0]
        r, before = self.resident.get(written), self.resident.get(storage)
        if r is None or before is None or r.offset != before.offset or r.offset % scratchpad.ALIGNMENT:
            return None
        named = [self.names.get(arg) if isinstance(arg, Node) else None for arg in source.args]
        claimed = [operand for _, operand in op.overwrites] or op.inputs
        over = next(x for x in claimed if self.graph.storage_of[x] == storage)
        if over not in named or not isinstance(source.target, OpOverload):
            return None
        a, b = self.graph.tensor[over], self.graph.tensor[written]
        form = overwriting(source.target, named.index(over), (a.dtype, a.layout) == (b.dtype, b.layout))
        if form is None:
            return None
        node = self._copy(source, self._operand)
        node.target = form.target
        if form.out is not None:
            made = source.meta["val"]
            layout = (made.dtype, list(made.shape), list(made.stride()))
            with self.out.inserting_before(node):
                there = self.out.call_function(scratchpad.laid, (self.pad, r.offset, *layout))
            node.kwargs = {**node.kwargs, form.out: there}
        return node

    def _operand(self, node: Node) -> Any:
        """An operand as it lies now; a body of a higher-order op is no tensor and has no place."""
        return _map(self.names[node], self._value) if node in self.names else self.given[node]

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

    def _value(self, name: str) -> Node:
        """The tensor as an op at this step reads it."""
        return self._derive(name, self._base(self.graph.storage_of.get(name, name)))

    def _base(self, root: str) -> Node:
        """Where a storage lies now."""
        r = self.resident.get(root)
        if r is not None and root in self.place:
            if r.offset % scratchpad.ALIGNMENT == 0:
                return self.place[root]
            key = self.step, root
            if key not in self.copied:
                self.copied[key] = self._move(scratchpad.read, root, r, self.pad, r.offset, self.place[root])
            return self.copied[key]
        tensor = self.graph.tensor[root]
        ignored = tensor.kind == "constant" and self.plan.options.weights == "ignore"
        if root in self.host and (ignored or self.plan.target.direct or not tensor.nbytes):
            return self._outside(root)
        raise self._nowhere(root, "reads")

    def _outside(self, root: str) -> Node:
        """The tensor outside the scratchpad, where kernels and the caller can read it."""
        node = self.host[root]
        if self.device == CPU or node.target is not scratchpad.store:
            return node
        return self._move(scratchpad.fetch, root, None, self.pad, node)

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

    def _fill(self, r: Residency, how: Callable[..., Any]) -> None:
        if r.tensor not in self.host:
            raise self._nowhere(r.tensor, "loads")
        nbytes = self._nbytes(r.tensor)
        self.place[r.tensor] = self._move(how, r.tensor, r, self.pad, r.offset, nbytes, self.host[r.tensor])

    def _move(self, how: Callable[..., Any], tensor: str, r: Residency | None, *args: Any) -> Node:
        node = self.out.call_function(how, args)
        where = r or self.resident.get(tensor)
        node.meta["memplan"] = {"step": self.step, "move": how.__name__, "tensor": tensor}
        if where is not None:
            node.meta["memplan"]["offset"] = where.offset
        return node

    def _nbytes(self, name: str) -> int:
        return self.graph.tensor[name].nbytes

    def _nowhere(self, name: str, verb: str) -> ExecutionError:
        op = self.plan.schedule[self.step]
        return ExecutionError(
            f"op '{op}' at step {self.step} {verb} '{name}', which is not there", "run `check` first"
        )


def _map(tree: Any, value: Callable[[str], Any]) -> Any:
    """A tree of tensor names with each name replaced."""
    if isinstance(tree, str):
        return value(tree)
    return [_map(item, value) for item in tree] if isinstance(tree, list) else None
