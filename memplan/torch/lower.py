"""An exported program brought to functional aten ops in the pass that computes its fake values.

The result is that of `ExportedProgram.run_decompositions({})`, which traces the whole program twice more;
here only the few ops are traced that may or may not alias their operands, such as `reshape`, and those whose
schema hides a mutation.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class NotFunctional(Exception):
    """An op changes its operands, or holds other programs: this pass is not for it."""


def is_plain(program: Any) -> bool:
    """Whether an ExportedProgram is for this pass: of fixed sizes, changing nothing, aten ops or opaque ones
    throughout.
    """
    signature = program.graph_signature
    changed = (signature.buffers_to_mutate, signature.user_inputs_to_mutate, signature.backward_signature)
    if any(changed) or program.range_constraints:
        return False
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    return all(target is operator.getitem or _changes_nothing(target) for target in calls)


def _changes_nothing(target: Any) -> bool:
    """Whether this is an op that by its schema leaves its operands as they are; one schema does not say it."""
    hides = target is torch.ops.aten.native_batch_norm.default
    return isinstance(target, OpOverload) and not target._schema.is_mutable and not hides


def lowered(
    module: GraphModule, inputs: list[Any], state: Mapping[str, Any], mode: FakeTensorMode
) -> GraphModule:
    """The module on fake `inputs` and `state` with every op functional, its fake values as `meta["val"]`.

    NotFunctional where an op turns out to change an operand, or fails on fake values, which torch's own way may not, or
    says in better words. Linear in the graph.
    """
    lowering = _Lowering(module, state, mode)
    try:
        lowering.run(*inputs, enable_io_processing=False)
    except Exception as error:
        raise NotFunctional from error
    lowering.out._codegen = module.graph._codegen
    lowering.out.eliminate_dead_code()
    return GraphModule(module, lowering.out)


def _is_kept(target: Any) -> bool:
    """Whether an op stays as it is: one that has a kernel of its own, or is made of others but never aliases
    an operand.
    """
    if target is operator.getitem:
        return True
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(target.name(), "CompositeImplicitAutograd")
    aliases = any(argument.alias_info is not None for argument in target._schema.arguments)
    unsure = torch.Tag.maybe_aliasing_or_mutating in target.tags
    return not (composite and (aliases or unsure))


class _Lowering(Interpreter):
    """Runs the module on fake values and writes each node, or what it is made of, to the graph `out`."""

    def __init__(self, module: GraphModule, state: Mapping[str, Any], mode: FakeTensorMode) -> None:
        super().__init__(module)
        self.state, self.mode, self.out = state, mode, Graph()
        self.made: dict[Node, Any] = {}
        self.writer: dict[int, Node] = {}
        self.alive: list[Any] = []

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.state[target]

    def run_node(self, n: Node) -> Any:
        if n.op == "call_function" and not _is_kept(n.target):
            return self._parts(n)
        whole = self.made.get(n.args[0]) if n.target is operator.getitem else None  # type: ignore[arg-type]
        with self.mode, torch.no_grad():
            value = super().run_node(n)
        if isinstance(whole, (tuple, list)):
            self.made[n] = whole[n.args[1]]  # type: ignore[index]
            return value
        new = self.out.node_copy(n, lambda x: self.made[x])
        new.meta = dict(n.meta)
        self._record(new, value)
        self.made[n] = new
        return value

    def _parts(self, n: Node) -> Any:
        """Write what the op of a node is made of."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        with self.mode, torch.no_grad(), _Recorder(self, n), enable_python_dispatcher():
            value = n.target(*args, **kwargs)  # type: ignore[operator]
        self.made[n] = tree_map_only(torch.Tensor, lambda x: self.writer[id(x)], value)
        return value

    def _record(self, node: Node, value: Any) -> None:
        """Let `node` be what makes `value`."""
        if node.op != "output":
            node.meta["val"] = value
        if isinstance(value, torch.Tensor):
            self.alive.append(value)  # as long as it is known by its id
            self.writer[id(value)] = node

    def call(self, n: Node, target: Any, args: Any, kwargs: Any, value: Any) -> None:
        """Write a call that node `n` is made of."""
        operands = tree_map_only(torch.Tensor, lambda x: self.writer[id(x)], (args, kwargs))
        name = target.overloadpacket.__name__  # as torch's own tracing has it
        new = self.out.create_node("call_function", target, operands[0], operands[1], name)
        new.meta = dict(n.meta)
        self._record(new, value)
        if isinstance(value, (tuple, list)):
            for i, item in enumerate(value):
                part = self.out.call_function(operator.getitem, (new, i))
                part.meta = dict(n.meta)
                self._record(part, item)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes every op called under it to a lowering's graph."""

    def __init__(self, lowering: _Lowering, node: Node) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lowering, self.node = lowering, node

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.is_mutable:
            raise NotFunctional
        value = func(*args, **kwargs)
        self.lowering.call(self.node, func, args, kwargs, value)
        return value
