"""Makes a propagated torch module plainer: numbers for sizes, one name a tensor, no operand that is not read."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from memplan.torch.devices import CPU


def fix_numbers(module: GraphModule) -> None:
    """Write the numbers that nodes computed into their users, and drop the nodes."""
    numbers = {
        node: node.meta["val"]
        for node in module.graph.nodes
        if node.op in ("placeholder", "call_function")
        and "val" in node.meta
        and isinstance(node.meta["val"], (int, float, bool, complex))
    }
    if not numbers:
        return
    for node in module.graph.nodes:
        if any(arg in numbers for arg in node.all_input_nodes):
            node.args = map_arg(node.args, lambda n: numbers.get(n, n))
            node.kwargs = map_arg(node.kwargs, lambda n: numbers.get(n, n))
    for node in reversed(list(numbers)):
        if node.op == "call_function":
            module.graph.erase_node(node)


_FILLS: dict[Any, int | None] = {
    torch.ops.aten.zeros_like.default: 0, torch.ops.aten.ones_like.default: 1,
    torch.ops.aten.new_zeros.default: 0, torch.ops.aten.new_ones.default: 1,
    torch.ops.aten.full_like.default: None, torch.ops.aten.new_full.default: None,
}  # fmt: skip
"""Ops that read nothing but the shape of an operand, with what they fill in (None: their last argument)."""


_NAMES = (torch.ops.aten.detach.default, torch.ops.aten.alias.default, torch.ops.aten.lift_fresh.default)


_LIKE: dict[Any, Any] = {
    torch.ops.aten.expand_as.default: torch.ops.aten.expand.default,
    torch.ops.aten.view_as.default: torch.ops.aten.view.default,
}
"""Views that take their shape from another tensor, and those that are told it."""


def simplify(module: GraphModule) -> None:
    """Leave out what gives a tensor a second name; take sizes as numbers where another tensor gives them."""
    for node in list(module.graph.nodes):
        if node.target in _NAMES:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
        elif node.target is torch.ops.aten.copy.default and _same(
            *(a.meta.get("val") for a in node.args[:2])
        ):
            node.replace_all_uses_with(node.args[1])
            module.graph.erase_node(node)
        elif node.target in _FILLS:
            _fill(module, node)
        elif node.target in _LIKE:
            node.target = _LIKE[node.target]
            node.args = (node.args[0], [int(n) for n in node.meta["val"].shape])


def _same(a: Any, b: Any) -> bool:
    """Whether one fake tensor may stand for the other."""
    return (a.shape, a.dtype, a.stride()) == (b.shape, b.dtype, b.stride())


def _fill(module: GraphModule, node: Node) -> None:
    value, fill = node.meta["val"], _FILLS[node.target]
    number = node.args[-1] if fill is None else fill
    if not value.is_contiguous() or not isinstance(number, (int, float, bool)):
        return
    with module.graph.inserting_before(node):
        options = {"dtype": value.dtype, "device": CPU}
        size = [int(n) for n in value.shape]
        made = module.graph.call_function(torch.ops.aten.full.default, (size, number), options)
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    module.graph.erase_node(node)
