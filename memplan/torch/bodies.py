"""Higher-order torch ops: which bodies they run on what operands, and the bytes that those need meanwhile.

What counts is what eager torch does, which executes the plans: a compiled flex_attention keeps a tile of its
scores, the eager one all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import torch
from torch import nn
from torch._higher_order_ops.flex_attention import sdpa_dense
from torch._ops import HigherOrderOperator
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from memplan.base.errors import GraphError

SPACE = "workspace"
"""The key of a node's `meta` under which the scratch memory of a higher-order op is kept, in bytes."""

_Call = tuple[int, list[Any]]
"""The position of a body among an op's arguments, and what the body is called with."""


def _cond(args: Sequence[Any]) -> list[_Call]:
    return [(1, list(args[3])), (2, list(args[3]))]


def _while_loop(args: Sequence[Any]) -> list[_Call]:
    return [(0, [*args[2], *args[3]]), (1, [*args[2], *args[3]])]


def _map(args: Sequence[Any]) -> list[_Call]:
    return [(0, [*(x[0] for x in args[1]), *args[2]])]


def _scan(args: Sequence[Any]) -> list[_Call]:
    return [(0, [*args[1], *(x[0] for x in args[2]), *args[3]])]


def _flex_attention(args: Sequence[Any]) -> list[_Call]:
    """The bodies are written for a score and its four indices; the mask is last of its tuple."""
    score = args[0].new_empty((), dtype=torch.promote_types(args[0].dtype, torch.float32))
    indices = [args[0].new_empty((), dtype=torch.int32) for _ in range(4)]
    return [(3, [score, *indices, *args[7]]), (4, [*indices, *args[8]])]


_CALLS: dict[str, Callable[[Sequence[Any]], list[_Call]]] = {
    "cond": _cond, "while_loop": _while_loop, "map_impl": _map, "scan": _scan, "flex_attention": _flex_attention,
    "auto_functionalized": lambda args: [], "auto_functionalized_v2": lambda args: [],
}  # fmt: skip
_CARRIED = {"while_loop": 2, "scan": 1}
"""The argument that holds what a loop carries from one turn to the next."""


def attribute(module: Any, target: str) -> Any:
    """The attribute of a module under a dotted name."""
    for part in target.split("."):
        module = getattr(module, part)
    return module


def is_body(value: Any) -> TypeGuard[GraphModule]:
    """Whether an attribute is a body of a higher-order op."""
    return isinstance(value, GraphModule)


def written(node: Node) -> str:
    """The op of a call as its user wrote it: of a functionalized custom op, that op."""
    if str(node.target).startswith("auto_functionalized"):
        return str(node.args[0])
    return "map" if str(node.target) == "map_impl" else str(node.target)


def draws(target: Any) -> bool:
    """Whether an op may draw random numbers; a higher-order op may, since its body may."""
    tags = getattr(target, "tags", ())
    return isinstance(target, HigherOrderOperator) or torch.Tag.nondeterministic_seeded in tags


def draws_now(module: nn.Module, node: Node) -> bool:
    """Whether the call draws random numbers, itself or in a body: not where it is told to drop nothing."""
    functionalized = str(node.target).startswith("auto_functionalized")
    target, args = (node.args[0], ()) if functionalized else (node.target, node.args)
    if isinstance(target, HigherOrderOperator):
        calls_in = ((body, n) for body in bodies(module, node) for n in body.graph.nodes)
        return any(draws_now(body, n) for body, n in calls_in if n.op == "call_function")
    return draws(target) and not any(value in (0, False) for value in _dropping(target, args, node.kwargs))


def _dropping(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """What a call says of whether, and how much, it drops."""
    schema = target._schema.arguments
    said = {a.name: a.default_value for a in schema if a.has_default_value()}
    said |= dict(zip((a.name for a in schema), args, strict=False)) | dict(kwargs)
    return [said[name] for name in ("train", "training", "dropout_p") if name in said]


def refuse_unknown(node: Node) -> None:
    """GraphError where the node is a higher-order op of whose bodies nothing is known."""
    if isinstance(node.target, HigherOrderOperator) and str(node.target) not in _CALLS:
        raise GraphError(
            f"node '{node.name}' is the higher-order op '{node.target}', whose scratch memory is not known",
            f"export the model without it; known are {', '.join(sorted(_CALLS))}",
        )


def calls(target: Any, args: Sequence[Any]) -> Iterator[tuple[GraphModule, list[Any]]]:
    """Per body of a higher-order op called with `args`: the body, and one turn's operands of it."""
    for position, operands in _CALLS[str(target)](args):
        for body in filter(is_body, tree_leaves(args[position])):
            yield body, operands


def workspace(module: nn.Module, node: Node, args: Sequence[Any]) -> int:
    """Bytes that a higher-order op needs beside its operands, the fake values `args`, and its results.

    The peak of its hungriest body, itself propagated, in program order; of an attention that of its eager
    kernel, which makes whole matrices of scores. What a loop carries counts twice: as read and as written.
    """
    if str(node.target) == "flex_attention":
        return _peak(_eager_attention(args))
    position = _CARRIED.get(str(node.target))
    carried = {} if position is None else dict(_storages(node.args[position]))
    return sum(carried.values()) + max(map(_peak, bodies(module, node)), default=0)


def _eager_attention(args: Sequence[Any]) -> GraphModule:
    """The aten ops of flex_attention's eager kernel on fake operands."""
    values, spec = tree_flatten(args)

    def kernel(*tensors: torch.Tensor) -> Any:
        given = iter(tensors)
        operands = [next(given) if isinstance(x, torch.Tensor) else x for x in values]
        return sdpa_dense(*tree_unflatten(operands, spec))

    return make_fx(kernel)(*(x for x in values if isinstance(x, torch.Tensor)))


def bodies(module: nn.Module, node: Node) -> Iterator[GraphModule]:
    """The bodies among a node's operands."""
    for arg in node.all_input_nodes:
        if arg.op == "get_attr" and is_body(body := attribute(module, str(arg.target))):
            yield body


def _peak(body: GraphModule) -> int:
    """Most bytes that the body's own values, its results too, occupy at a time; operands and constants do not count."""
    nodes = list(body.graph.nodes)
    given = {s for n in nodes if n.op in ("placeholder", "get_attr") for s, _ in _storages(n)}
    last = {s: i for i, n in enumerate(nodes) for x in (n, *n.all_input_nodes) for s, _ in _storages(x)}
    live: dict[int, int] = {}
    peak = 0
    for i, node in enumerate(nodes):
        live.update((s, nbytes) for s, nbytes in _storages(node) if s not in given)
        peak = max(peak, sum(live.values()) + node.meta.get(SPACE, 0))
        live = {s: nbytes for s, nbytes in live.items() if last[s] > i}
    return peak


def _storages(tree: Any) -> Iterator[tuple[int, int]]:
    """The storages of the fake values of nodes, with their bytes."""
    for node in tree_leaves(tree):
        for value in tree_leaves(node.meta.get("val")) if isinstance(node, Node) else ():
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                yield int(storage._cdata), int(storage.nbytes())
