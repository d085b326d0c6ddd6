"""From a torch program in normal form to a Graph: what aliases, what is constant, how many bytes."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from memplan.base.errors import GraphError
from memplan.base.units import MAX_BYTES
from memplan.ir.declarations import completed
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.ir.soundness import sound_ops
from memplan.torch.bodies import SPACE, draws, draws_now, written
from memplan.torch.dialect import JOINING, lie_side_by_side, overwrites
from memplan.torch.flops import flops
from memplan.torch.kernels import KernelMemory, taken
from memplan.torch.module import epilogue, tensors_in
from memplan.torch.propagate import COPY


def build(module: GraphModule, name: str, eager: bool = False) -> Graph:
    """The graph of a module in normal form; tensors and ops are called what their nodes are.

    Views are what shares its operand's bytes in truth: `contiguous` of something contiguous is an alias, a
    `reshape` that has to copy a clone. Values made of constants alone are constants. Linear.

    With `eager` it is what eager torch does when it is called: nothing is computed beforehand, inputs lie in memory of the
    caller's, as constants do, kernels take the memory that they were seen to take, and random numbers are drawn in the
    program's order. GraphError where a kernel cannot be run.
    """
    return _Builder(module, eager, taken(module) if eager else {}).graph(name)


def span_bytes(tensor: torch.Tensor) -> int:
    """Bytes from the first to the last element of a strided tensor, both included."""
    if tensor.numel() == 0:
        return 0
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return int((steps + 1) * tensor.element_size())


def dtype_name(dtype: torch.dtype) -> str:
    """memplan's name of a dtype: torch's own, float8 as ONNX writes it."""
    text = str(dtype).removeprefix("torch.")
    return text.replace("_", "") if text.startswith("float8") else text


def leaves(module: GraphModule) -> dict[Node, Any]:
    """Per node the name of its tensor, or nested lists of names where it makes several.

    A tensor taken out by getitem is called what the first node is called that does so.
    """
    named: dict[Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "call_function" and node.target is operator.getitem:
            whole, key = node.args
            branch = named.get(whole)
            if isinstance(branch, list) and isinstance(branch[key], _Leaf):
                branch[key].name = branch[key].name or node.name
            named[node] = branch[key] if isinstance(branch, list) else None
        elif "val" in node.meta:
            named[node] = _leaf(node.meta["val"], node.name, (), None)
    return {node: _names(tree) for node, tree in named.items()}


@dataclass
class _Leaf:
    """A tensor that a node makes: where in its result, and its name once that is known."""

    default: str
    name: str | None


def _leaf(value: Any, node: str, path: tuple[int, ...], name: str | None) -> Any:
    if isinstance(value, torch.Tensor):
        return _Leaf(".".join([node, *map(str, path)]), name)
    if isinstance(value, (tuple, list)):
        return [_leaf(item, node, (*path, i), name) for i, item in enumerate(value)]
    return None


def _names(tree: Any) -> Any:
    if isinstance(tree, _Leaf):
        return tree.name or tree.default
    return [_names(item) for item in tree] if isinstance(tree, list) else None


def flat_names(tree: Any) -> list[str]:
    """The tensor names in a tree of `leaves`, in order."""
    if isinstance(tree, str):
        return [tree]
    return [name for item in tree for name in flat_names(item)] if isinstance(tree, list) else []


@dataclass
class _Builder:
    module: GraphModule
    eager: bool
    taken: Mapping[str, KernelMemory]
    drawn: tuple[str, ...] = ()
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constant: set[str] = field(default_factory=set)
    ops: list[Op] = field(default_factory=list)
    root: dict[int, tuple[str, int]] = field(default_factory=dict)

    def graph(self, name: str) -> Graph:
        self.names = leaves(self.module)
        renewed = epilogue(self.module)
        output = next(node for node in self.module.graph.nodes if node.op == "output")
        returned = [*output.all_input_nodes, *renewed]
        targets = set(renewed.values())
        for node in self.module.graph.nodes:
            if node.op == "placeholder" or node in targets:
                self._add(node, "constant" if self.eager else "input")
            elif node.op == "get_attr":
                self._add(node, "constant")
            elif node.op == "call_function" and node.target not in (operator.getitem, COPY):
                self._call(node)
        updates = [(self.names.get(value), self.names[target]) for value, target in renewed.items()]
        kept = [
            (str(new), str(old)) for new, old in updates if self._kind(new) == "activation" and not self.eager
        ]
        tensors = tuple(self.tensors.values())
        outputs = tuple(dict.fromkeys(n for node in returned for n in flat_names(self.names.get(node))))
        return Graph(name, tensors, sound_ops(tensors, self.ops), outputs, tuple(kept))

    def _kind(self, name: Any) -> str | None:
        return self.tensors[name].kind if isinstance(name, str) and name in self.tensors else None

    def _add(self, node: Node, kind: str) -> None:
        values, names = list(tensors_in(node.meta.get("val"))), flat_names(self.names.get(node))
        asked = self.taken.get(node.name)
        for k, (value, name) in enumerate(zip(values, names, strict=True)):
            place = self._place(value, name)
            nbytes = span_bytes(value) if asked is None or place is not None else asked.results[k]
            if nbytes > MAX_BYTES:
                raise GraphError(f"tensor '{name}' has {nbytes} bytes", "sizes are whole bytes up to 2^62")
            self.tensors[name] = Tensor(
                name=name,
                nbytes=nbytes,
                kind=kind,
                dtype=dtype_name(value.dtype),
                shape=tuple(int(size) for size in value.shape),
                strides=_strides(value),
                place=place,
            )
            if kind == "constant":
                self.constant.add(name)

    def _place(self, value: torch.Tensor, name: str) -> tuple[str, int] | None:
        """Where the tensor lies in the storage that an earlier one has; None for the first of its storage."""
        first = int(value.storage_offset()) * value.element_size()
        root, at = self.root.setdefault(_storage(value), (name, first))
        return None if root == name else (root, first - at)

    def _call(self, node: Node) -> None:
        target: Any = node.target
        read = [x for arg in node.all_input_nodes for x in flat_names(self.names.get(arg))]
        inputs = list(dict.fromkeys(read))
        made = list(tensors_in(node.meta.get("val")))
        if not made:
            return
        base = self._aliased(node, made)
        if not self.eager and base is None and not draws(target) and set(inputs) <= self.constant:
            self._add(node, "constant")
            return
        self._add(node, "activation")
        kind, outputs = written(node), tuple(flat_names(self.names[node]))
        if base is not None:
            inputs = list(dict.fromkeys([base, *inputs]))
        op = Op(
            name=node.name,
            kind=kind,
            inputs=tuple(inputs),
            outputs=outputs,
            flops=None if base else flops(target, *_values(node), node.meta["val"]),
            view=base is not None,
            overwrites=() if base else overwrites(kind, tuple(inputs), outputs),
            joins=() if base else self._joins(node, kind),
            once=draws_now(self.module, node),
            source=_source(node),
        )
        space = self.taken[node.name].scratch if node.name in self.taken else node.meta.get(SPACE, 0)
        op, nbytes = completed(op, self._operands(node), self.tensors, space)
        if self.eager and draws_now(self.module, node):
            op, self.drawn = replace(op, after=self.drawn), (op.name,)
        if op.view and base is None:
            self._lay(op, made)
        if base is not None and not op.view:
            raise GraphError(
                f"op '{op.name}' is declared no view, yet its result lies in the bytes of '{base}'",
                f"leave `view` out of what is declared of '{kind}': what aliases, torch tells",
            )
        if nbytes and not op.view:
            name = f"{node.name}.workspace"
            self.tensors[name] = Tensor(name, nbytes, "workspace")
            op = replace(op, outputs=(*outputs, name), workspace=name)
        self.ops.append(op)

    def _lay(self, op: Op, made: list[torch.Tensor]) -> None:
        """Put what a declared view writes, the fake values `made`, where its first operand lies."""
        if not op.inputs:
            return
        operand = self.tensors[op.inputs[0]]
        root, first = operand.place or (operand.name, 0)
        for name, value in zip(op.outputs, made, strict=True):
            self.tensors[name] = replace(self.tensors[name], place=(root, first))
            begins = int(value.storage_offset()) * value.element_size()
            self.root[_storage(value)] = (root, begins - first)  # for views of it

    def _operands(self, node: Node) -> list[str | None]:
        """The tensors of the call in order, None for each that is optional and left out."""
        if not isinstance(node.target, OpOverload):
            return [x for arg in node.all_input_nodes for x in flat_names(self.names.get(arg))]
        found: list[str | None] = []
        for k, argument in enumerate(node.target._schema.arguments):
            if "Tensor" in str(argument.type):
                value = node.args[k] if k < len(node.args) else node.kwargs.get(argument.name)
                for item in value if isinstance(value, (tuple, list)) else (value,):
                    found.append(self.names[item] if isinstance(item, Node) else None)
        return found

    def _joins(self, node: Node, kind: str) -> tuple[tuple[str, int], ...]:
        """What a `cat` or `stack` joins, first bytes aside."""
        if kind not in JOINING:
            return ()
        args, options = _values(node)
        axis = args[1] if len(args) > 1 else options.get("dim", 0)
        parts: Any = node.args[0] if node.args else node.kwargs["tensors"]
        operands = args[0] if args else options["tensors"]
        alike = lie_side_by_side(kind, operands, axis, node.meta["val"])
        return tuple((self.names[part], 0) for part in parts) if alike else ()

    def _aliased(self, node: Node, made: list[torch.Tensor]) -> str | None:
        """The operand in whose storage all of the results lie, if there is one."""
        homes = {_storage(value) for value in made}
        if len(homes) > 1:
            return None
        for arg in node.all_input_nodes:
            operands = tensors_in(arg.meta.get("val"))
            for value, name in zip(operands, flat_names(self.names.get(arg)), strict=True):
                if _storage(value) in homes:
                    return name
        return None


def _source(node: Node) -> tuple[str, ...]:
    """The module, by its dotted name, in which the call was written; empty where that is not known."""
    stack = node.meta.get("nn_module_stack") or {}
    innermost = next(reversed(stack.values()), ("",))[0]
    return (innermost,) if innermost else ()


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _strides(tensor: torch.Tensor) -> tuple[int, ...] | None:
    """The strides in elements, None where they are a row-major tensor's."""
    return None if tensor.is_contiguous() else tuple(int(stride) for stride in tensor.stride())


def _values(node: Node) -> tuple[Any, Any]:
    """The fake operands of a node."""
    from torch.fx.node import map_arg

    def value(arg: Node) -> Any:
        return arg.meta.get("val")

    return map_arg(node.args, value), map_arg(node.kwargs, value)
