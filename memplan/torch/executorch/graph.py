"""From a method that ExecuTorch has lowered to a Graph: the ops that its runtime executes, on the tensors that it places."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from executorch.exir import memory
from executorch.exir.schema import DeviceType, TensorShapeDynamism
from executorch.exir.tensor import TensorSpec
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from memplan.base.errors import GraphError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.ir.soundness import sound_ops
from memplan.machine.profile import Profile, load_profile
from memplan.torch.executorch.source import PROFILE
from memplan.torch.graph import dtype_name

RETURN = "return"
"""The op that stands for the end of a method; no node can be called so."""


@dataclass(frozen=True)
class ExecutedMethod:
    """A lowered method, as a graph and as ExecuTorch has it.

    Args:
        graph: its ops and tensors; ops are called what their nodes are.
        node: the node of each op, by the op's name.
        spec: what ExecuTorch knows of each storage, by the storage's name.
    """

    graph: Graph
    node: dict[str, Node]
    spec: dict[str, TensorSpec]


def executed(module: GraphModule, name: str) -> ExecutedMethod:
    """A method as memory planning finds it, its nodes' specs set; kernels write over operands as the profile says.

    GraphError where the size of a tensor has no upper bound, or a tensor lies on another device than the CPU. Linear.
    """
    return _Builder(load_profile(PROFILE)).executed(module, name)


def block(node: Node) -> Iterator[Node]:
    """The nodes that stand together with that of an op: what allocates its results, itself, what takes them apart."""
    allocs = list(_allocs(node))
    yield from allocs
    yield node
    for source in (*allocs, node):
        yield from (user for user in source.users if user.target is operator.getitem)


def _allocs(node: Node) -> Iterator[Node]:
    return (x for x in node.all_input_nodes if x.target is memory.alloc)


@dataclass
class _Builder:
    profile: Profile
    names: dict[Node, tuple[str, ...]] = field(default_factory=dict)  # of the tensors in a node's result
    tensors: dict[str, Tensor] = field(default_factory=dict)
    storage: dict[TensorSpec, str] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    node: dict[str, Node] = field(default_factory=dict)
    changes: dict[str, set[str]] = field(default_factory=dict)  # storages that an op writes and has not made

    def executed(self, module: GraphModule, name: str) -> ExecutedMethod:
        returned: tuple[str, ...] = ()
        for node in module.graph.nodes:
            if node.op == "placeholder":
                self._results(node, "input")
            elif node.target is operator.getitem:
                whole = self.names[node.args[0]]
                self.names[node] = whole[node.args[1] : node.args[1] + 1]
            elif node.op == "call_function" and node.target is not memory.alloc:
                self._call(node)
            elif node.op == "output":
                returned = self._return(node)
        self._hold_unread(returned)
        changed = set().union(*self.changes.values())
        ops = sound_ops(self.tensors.values(), self._in_order_of_changes(changed))
        outputs = tuple(dict.fromkeys((*returned, *sorted(changed))))
        graph = Graph(name, tuple(self.tensors.values()), ops, outputs)
        spec = {storage: spec for spec, storage in self.storage.items()}
        return ExecutedMethod(graph, self.node, spec)

    def _results(self, node: Node, kind: str) -> list[str]:
        """Name what the node gives; the names of what it makes anew."""
        given, new = node.meta.get("spec"), []
        several = isinstance(given, (list, tuple))
        specs: Any = given if several else [given]
        sources = (node, *_allocs(node))
        items = {u.args[1]: u.name for x in sources for u in x.users if u.target is operator.getitem}
        names = []
        for i, spec in enumerate(specs):
            if not isinstance(spec, TensorSpec):
                names.append("")  # a number
                continue
            if spec not in self.storage:
                label = RETURN if node.op == "output" else node.name
                label = items.get(i, f"{label}.{i}") if several else label
                self._add(label, spec, kind)
                new.append(label)
            names.append(self.storage[spec])
        self.names[node] = tuple(names)
        return new

    def _add(self, name: str, spec: TensorSpec, kind: str) -> None:
        if spec.shape_dynamism == TensorShapeDynamism.DYNAMIC_UNBOUND:
            raise GraphError(
                f"the size of '{name}' has no upper bound, so that ExecuTorch allocates it at run time",
                "export the model with bounded dimensions",
            )
        if spec.device != DeviceType.CPU:
            raise GraphError(f"'{name}' lies on the device {spec.device.name}", "plan what runs on the CPU")
        self.storage[spec] = name
        self.tensors[name] = _tensor(name, spec, "constant" if spec.const else kind)

    def _call(self, node: Node) -> None:
        """Add the op of a node, and what it makes."""
        read = [x for x in node.all_input_nodes if x.target is not memory.alloc]
        inputs = tuple(dict.fromkeys(name for x in read for name in self.names.get(x, ()) if name))
        # a number that an op computes is no tensor
        after = tuple(x.name for x in read if x.name in self.node and not any(self.names[x]))
        view = node.target is memory.view
        if view:
            root = self._root(inputs[0])
            self.names[node] = (node.name,)
            self.tensors[node.name] = replace(
                _tensor(node.name, node.meta["spec"], "activation"), place=(root, 0)
            )
            made = [node.name]
        else:
            made = self._results(node, "activation")
        for alloc in _allocs(node):
            self.names[alloc] = self.names[node]
        kind = str(node.target) if isinstance(node.target, OpOverload) else str(node.target.__name__)  # type: ignore[union-attr]
        changed = {self._root(name) for x in _changed(node) for name in self.names.get(x, ())}
        over = [] if view or changed else self._overwritten(node, kind)
        self.ops.append(
            Op(
                name=node.name,
                kind=kind,
                inputs=inputs,
                outputs=tuple(made),
                view=view,
                overwrites=tuple((made[0], name) for name in over) if len(made) == 1 else (),
                once=bool(changed),
                after=after,
            )
        )
        self.node[node.name] = node
        self.changes[node.name] = changed

    def _overwritten(self, node: Node, kind: str) -> list[str]:
        """The operands over which the kernel may write its one result."""
        operands = [self.names.get(x, ("",)) if isinstance(x, Node) else ("",) for x in node.args]
        flat = [names[0] for names in operands if len(names) == 1]
        wanted = self.profile.kernel(kind).overwrites or ()
        over = [flat[k] for k in wanted if k < len(flat)]
        # an operand that the call names twice is still in use when its first use ends
        return [name for name in over if name and flat.count(name) == 1]

    def _return(self, node: Node) -> tuple[str, ...]:
        """What the method returns; an op of its own where ExecuTorch places something that only the return names."""
        returned = tuple(name for x in node.all_input_nodes for name in self.names.get(x, ()) if name)
        new = self._results(node, "activation")
        if new:
            read = {name for op in self.ops for name in op.inputs} | {*returned}
            last = tuple(op.name for op in self.ops if not read.intersection(op.outputs))
            inputs = tuple(dict.fromkeys(returned))
            self.ops.append(Op(RETURN, RETURN, inputs, tuple(new), once=True, after=last))
            self.node[RETURN], self.changes[RETURN] = node, set()
        return returned

    def _hold_unread(self, returned: tuple[str, ...]) -> None:
        """Let the first op hold the inputs that nothing reads: they have a place too, while the run begins."""
        used = {name for op in self.ops for name in op.inputs} | {*returned}
        unread = tuple(t.name for t in self.tensors.values() if t.kind == "input" and t.name not in used)
        first = next((i for i, op in enumerate(self.ops) if not op.view), None)
        if unread and first is not None:
            self.ops[first] = replace(self.ops[first], inputs=(*self.ops[first].inputs, *unread))

    def _in_order_of_changes(self, changed: set[str]) -> Iterator[Op]:
        """The ops, those that touch a storage which some op changes in the program's order about each change."""
        writer: dict[str, str] = {}
        readers: dict[str, list[str]] = {}
        for op in self.ops:
            before = dict.fromkeys(op.after)
            for root in sorted(changed & ({*map(self._root, op.inputs)} | self.changes[op.name])):
                if root in writer:
                    before[writer[root]] = None
                if root in self.changes[op.name]:
                    before.update(dict.fromkeys(readers.pop(root, [])))
                    writer[root] = op.name
                else:
                    readers.setdefault(root, []).append(op.name)
            yield replace(op, after=tuple(before))

    def _root(self, name: str) -> str:
        place = self.tensors[name].place
        return name if place is None else place[0]


def _tensor(name: str, spec: TensorSpec, kind: str) -> Tensor:
    dense = [int(n) for n in spec.stride] == _dense(spec.shape)
    return Tensor(
        name=name,
        nbytes=int(spec.nbytes()),
        kind=kind,
        dtype=dtype_name(spec.dtype),
        shape=tuple(int(n) for n in spec.shape),
        strides=None if dense else tuple(int(n) for n in spec.stride),
    )


def _dense(shape: Any) -> list[int]:
    """The strides of a row-major tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= int(size)
    return strides[::-1]


def _changed(node: Node) -> Iterator[Node]:
    """The operands that a call writes to, but for what is allocated for its results."""
    if not isinstance(node.target, OpOverload):
        return
    for i, argument in enumerate(node.target._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = node.args[i] if i < len(node.args) else node.kwargs.get(argument.name)
            if isinstance(value, Node) and value.target is not memory.alloc:
                yield value
