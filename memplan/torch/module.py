"""The form every torch program is brought into: a flat GraphModule of functional aten ops.

Its nodes are placeholders, get_attr of parameters, buffers and bodies, calls of aten overloads and of higher-order ops
(`torch_bodies`; their bodies are in this form too), getitem, and, last,
`aten.copy_` of the next value into each placeholder or buffer that the program updates. Every size in it is
a number, every node carries its fake value as `meta["val"]`, and everything lies on one device.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.fx.node import map_aggregate

from memplan.base.errors import GraphError
from memplan.torch.bodies import attribute, bodies, is_body, refuse_unknown
from memplan.torch.devices import CPU, home_of, write_device
from memplan.torch.lower import lowered
from memplan.torch.propagate import COPY, Propagation, fake_like, fault, state_of, symbols
from memplan.torch.simplify import fix_numbers, simplify

_ARITHMETIC = frozenset(
    {"_operator", "operator", "math", "torch", "builtins", "torch.fx.experimental.symbolic_shapes"}
)


def normal_form(module: GraphModule, inputs: Sequence[Any], plain: bool = False) -> GraphModule:
    """A copy of `module` in the form above, made for `inputs` (fake, meta or real tensors, or numbers).

    `plain`: of an exported program for which `memplan.torch.lower` is, which may raise NotFunctional.
    GraphError where an op has no aten form, a shape depends on data, or tensors lie on several devices.
    Linear in the graph.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    home = home_of(module, inputs)
    flat = _on_cpu(module)
    fakes = [fake_like(x, mode) if isinstance(x, torch.Tensor) else x for x in inputs]
    state = state_of(flat, mode)
    if plain:
        flat = lowered(flat, fakes, state, mode)
    for _ in range(0 if plain else 2):  # a normalisation may come to light only once its layer is traced
        if _is_functional(flat):
            break
        for name, value in (*flat.named_parameters(), *flat.named_buffers()):
            state.setdefault(name, fake_like(value, mode))
        flat = _on_cpu(_retraced(flat, fakes, state, mode))
        state = state_of(flat, mode)
    if not plain:
        Propagation(flat, state, mode).run(*fakes, enable_io_processing=False)
    fix_numbers(flat)
    simplify(flat)
    _bring_home(flat, home)
    flat.recompile()
    return flat


def propagated(module: GraphModule, inputs: Sequence[Any], mode: FakeTensorMode) -> GraphModule:
    """A copy of an exported program's functional module whose nodes carry their values on these fake inputs of `mode`.

    GraphError where it is not functional, so that `normal_form` would trace it for fixed sizes.
    """
    flat = _on_cpu(module)
    if not _is_functional(flat):
        raise GraphError(
            "the program changes its operands, so that it is traced for one size alone",
            "give each dimension a single size, such as --dim NAME=V",
        )
    with enable_python_dispatcher():  # composite ops take symbols in their Python form alone
        Propagation(flat, state_of(flat, mode), mode).run(*inputs, enable_io_processing=False)
    return flat


def on_cpu(module: GraphModule) -> GraphModule:
    """A copy of a module in normal form that computes on the CPU; its attributes lie where they lay."""
    flat, mode = copied(module), FakeTensorMode()
    for name, child in list(flat.named_children()):
        if is_body(child):
            setattr(flat, name, on_cpu(child))
    write_device(flat.graph, CPU)
    for node in flat.graph.nodes:
        if "val" in node.meta:
            node.meta["val"] = map_aggregate(
                node.meta["val"], lambda x: fake_like(x, mode) if isinstance(x, torch.Tensor) else x
            )
    return flat


def epilogue(module: GraphModule) -> dict[Node, Node]:
    """The placeholder or buffer that each final `copy_` renews, by the node of its next value."""
    return {node.args[1]: node.args[0] for node in module.graph.nodes if node.target is COPY}


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a value, nested tuples and lists in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)


def copied(module: GraphModule) -> GraphModule:
    """The module with a graph of its own, whose nodes carry what the old ones do."""
    return GraphModule(module, _copied(module.graph))


def _copied(graph: Graph) -> Graph:
    copy = Graph()
    mapping: dict[Node, Node] = {}
    result = copy.graph_copy(graph, mapping, return_output_node=True)
    assert isinstance(result, tuple)
    value, old = result
    copy.output(value).meta = dict(old.meta)
    for before, after in mapping.items():
        after.meta = dict(before.meta)
    copy._codegen = graph._codegen
    return copy


def _on_cpu(source: GraphModule) -> GraphModule:
    """A copy, of its bodies too, without checks that return nothing, and with the CPU for every device."""
    graph = _copied(source.graph)
    for node in reversed(graph.nodes):
        checks = isinstance(node.target, torch._ops.OpOverload) and not node.target._schema.returns
        if not node.users and (checks or (node.op == "get_attr")):
            graph.erase_node(node)
        elif node.op == "call_module" and node.target == "_guards_fn":
            graph.erase_node(node)
    write_device(graph, CPU)
    module = GraphModule(source, graph)  # writes the graph's code, so it comes last
    for name, child in list(module.named_children()):
        if is_body(child):
            setattr(module, name, _on_cpu(child))
    return module


def _bring_home(module: GraphModule, home: torch.device) -> None:
    """Put a module that was analysed on the CPU back onto its device."""
    if home == CPU:
        return
    for child in module.children():
        if is_body(child):
            _bring_home(child, home)
    write_device(module.graph, home)
    for node in module.graph.nodes:
        for value in tensors_in(node.meta.get("val")):
            value.fake_device = home  # type: ignore[attr-defined]


def _is_functional(module: GraphModule) -> bool:
    """Whether every node is an aten call without side effects, but for an epilogue of copies."""
    last = {node: i for i, node in enumerate(module.graph.nodes)}
    for node in module.graph.nodes:
        if node.op in ("call_module", "call_method"):
            return False
        if node.op != "call_function":
            continue
        if node.target is COPY:
            target, users = node.args[0], [last[user] for user in node.args[0].users]
            if node.users or target.op not in ("placeholder", "get_attr") or max(users) > last[node]:
                return False
        elif isinstance(node.target, torch._ops.OpOverload):
            if node.target._schema.is_mutable or _counts_along(node.target, node.args):
                return False
        elif isinstance(node.target, torch._ops.HigherOrderOperator):
            refuse_unknown(node)
            if not all(_is_functional(body) for body in bodies(module, node)):
                return False
        elif node.target is not operator.getitem and not _is_arithmetic(node):
            return False
    return True


def _counts_along(target: Any, args: Sequence[Any]) -> bool:
    """Whether this is a batch normalisation that changes its running statistics, which its schema hides."""
    return target is torch.ops.aten.native_batch_norm.default and args[3] is not None and bool(args[5])


def _is_arithmetic(node: Node) -> bool:
    """Whether the node computes a size: a plain function of numbers."""
    module = getattr(node.target, "__module__", "")
    return module in _ARITHMETIC and not any(
        isinstance(arg.meta.get("val"), torch.Tensor) or "val" not in arg.meta for arg in node.all_input_nodes
    )


def _retraced(
    module: GraphModule, inputs: Sequence[Any], state: Mapping[str, Any], mode: FakeTensorMode
) -> GraphModule:
    """The module traced anew without mutations; parameters and buffers stay attributes of the same names."""
    from torch.func import functional_call, functionalize
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils import _pytree as pytree

    held = {f"module.{name}": name for name in state}
    owned = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    spec: Any = None

    def program(*operands: Any) -> Any:
        nonlocal spec
        values = dict(zip(state, operands, strict=False))
        lifted = {long: values[name] for long, name in held.items() if name in owned}
        result = functional_call(_Flat(module, values), lifted, operands[len(state) :])
        results, spec = pytree.tree_flatten(result)
        return results

    try:
        with mode, torch.no_grad(), symbols(mode):
            traced = make_fx(functionalize(program, remove="mutations"))(*state.values(), *inputs)
    except GraphError:
        raise
    except Exception as error:
        raise fault(
            "the module",
            error,
            "be traced to aten ops",
            "trace it with torch.export or make_fx, for fixed shapes, first",
        ) from error
    placeholders = [node for node in traced.graph.nodes if node.op == "placeholder"]
    for name, node in zip(state, placeholders, strict=False):
        with traced.graph.inserting_before(node):
            get = traced.graph.create_node("get_attr", name)  # of the module it goes to, not of this one
        node.replace_all_uses_with(get)
        traced.graph.erase_node(node)
    output = next(node for node in traced.graph.nodes if node.op == "output")
    output.args = (pytree.tree_unflatten(output.args[0], spec),)
    flat = GraphModule(_attributes(module, traced), traced.graph)
    flat.graph._codegen = module.graph._codegen
    _rename(flat, module)
    return flat


class _Flat(torch.nn.Module):
    """Runs a module on flat operands, with other values for attributes that are neither parameter nor buffer."""

    def __init__(self, module: GraphModule, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.module, self.values = module, values

    def forward(self, *operands: Any) -> Any:
        return _Bound(self.module, self.values).run(*operands, enable_io_processing=False)


class _Bound(Interpreter):
    """Runs a module with given values for what its nodes read of it."""

    def __init__(self, module: GraphModule, values: Mapping[str, Any]) -> None:
        super().__init__(module)
        self.values = values

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.values[target] if target in self.values else attribute(self.module, target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if not _counts_along(target, args):
            return super().call_function(target, args, kwargs)
        *results, mean, variance = torch.ops.aten._native_batch_norm_legit_functional.default(*args)
        args[3].copy_(mean)
        args[4].copy_(variance)
        return tuple(results)


def _attributes(module: GraphModule, traced: GraphModule) -> Any:
    """A module that has the attributes of both."""
    for name, value in (*traced.named_buffers(), *traced.__dict__.items()):
        if isinstance(value, torch.Tensor) and not hasattr(module, name):
            setattr(module, name, value)
    for name, child in traced.named_children():
        setattr(module, name, child)  # a body, traced anew
    return module


def _rename(flat: GraphModule, module: GraphModule) -> None:
    """Give the placeholders their old names back."""
    old = [node.target for node in module.graph.nodes if node.op == "placeholder"]
    new = [node for node in flat.graph.nodes if node.op == "placeholder"]
    for name, node in zip(old, new, strict=True):
        node.target = name
        node._rename(name)
