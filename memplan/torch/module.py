"""The form every torch program is brought into: a flat GraphModule of functional aten ops.

Its nodes are placeholders, get_attr of parameters, buffers and bodies, calls of aten overloads and of higher-order ops
(`torch_bodies`; their bodies are in this form too), getitem, and, last,
`aten.copy_` of the next value into each placeholder or buffer that the program updates. Every size in it is
a number, every node carries its fake value as `meta["val"]`, and everything lies on one device.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.node import map_aggregate

from memplan.torch.bodies import bodies, is_body, refuse_unknown
from memplan.torch.devices import CPU, home_of, write_device
from memplan.torch.fakes import fake_like, fake_state
from memplan.torch.propagate import Propagation
from memplan.torch.retrace import counts_along, retraced
from memplan.torch.simplify import fix_numbers, simplify

COPY = torch.ops.aten.copy_.default
_ARITHMETIC = frozenset(
    {"_operator", "operator", "math", "torch", "builtins", "torch.fx.experimental.symbolic_shapes"}
)


def normal_form(module: GraphModule, inputs: Sequence[Any]) -> GraphModule:
    """A copy of `module` in the form above, made for `inputs` (fake, meta or real tensors, or numbers).

    GraphError where an op has no aten form, a shape depends on data, or tensors lie on several devices. Linear in
    the graph.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    home = home_of(module, inputs)
    flat = _on_cpu(module)
    fakes = [fake_like(x, mode) if isinstance(x, torch.Tensor) else x for x in inputs]
    state = fake_state(flat, mode)
    for _ in range(2):  # a normalisation may come to light only once its layer is traced
        if _is_functional(flat):
            break
        for name, value in (*flat.named_parameters(), *flat.named_buffers()):
            state.setdefault(name, fake_like(value, mode))
        flat = _on_cpu(retraced(flat, fakes, state, mode))
        state = fake_state(flat, mode)
    Propagation(flat, state, mode).run(*fakes, enable_io_processing=False)
    fix_numbers(flat)
    simplify(flat)
    _bring_home(flat, home)
    flat.recompile()
    return flat


def on_cpu(module: GraphModule) -> GraphModule:
    """A copy of a module in normal form that computes on the CPU; its attributes lie where they lay."""
    flat, mode = copied(module), FakeTensorMode()
    for name, child in list(flat.named_children()):
        if is_body(child):
            setattr(flat, name, on_cpu(child))
    write_device(flat, CPU)
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
    graph, copy = module.graph, torch.fx.Graph()
    mapping: dict[Node, Node] = {}
    result = copy.graph_copy(graph, mapping, return_output_node=True)
    assert isinstance(result, tuple)
    value, old = result
    copy.output(value).meta = dict(old.meta)
    for before, after in mapping.items():
        after.meta = dict(before.meta)
    copy._codegen = graph._codegen
    return GraphModule(module, copy)


def _on_cpu(source: GraphModule) -> GraphModule:
    """A copy, of its bodies too, without checks that return nothing, and with the CPU for every device."""
    module = copied(source)
    for name, child in list(module.named_children()):
        if is_body(child):
            setattr(module, name, _on_cpu(child))
    for node in reversed(module.graph.nodes):
        checks = isinstance(node.target, torch._ops.OpOverload) and not node.target._schema.returns
        if not node.users and (checks or (node.op == "get_attr")):
            module.graph.erase_node(node)
        elif node.op == "call_module" and node.target == "_guards_fn":
            module.graph.erase_node(node)
    write_device(module, CPU)
    module.recompile()
    return module


def _bring_home(module: GraphModule, home: torch.device) -> None:
    """Put a module that was analysed on the CPU back onto its device."""
    if home == CPU:
        return
    for child in module.children():
        if is_body(child):
            _bring_home(child, home)
    write_device(module, home)
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
            if node.target._schema.is_mutable or counts_along(node.target, node.args):
                return False
        elif isinstance(node.target, torch._ops.HigherOrderOperator):
            refuse_unknown(node)
            if not all(_is_functional(body) for body in bodies(module, node)):
                return False
        elif node.target is not operator.getitem and not _is_arithmetic(node):
            return False
    return True


def _is_arithmetic(node: Node) -> bool:
    """Whether the node computes a size: a plain function of numbers."""
    module = getattr(node.target, "__module__", "")
    return module in _ARITHMETIC and not any(
        isinstance(arg.meta.get("val"), torch.Tensor) or "val" not in arg.meta for arg in node.all_input_nodes
    )
