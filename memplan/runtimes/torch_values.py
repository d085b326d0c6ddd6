"""Values to execute a torch module with: its own, the user's, and seeded ones where there are none.

Integers that index a table stay below its length; what a square root, a logarithm or a variance is taken from is
positive; scales are near 1; a weight is normal with variance 1 over the terms it is summed in (LeCun),
so that activations stay finite through a deep network.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import GraphModule, Node

from memplan.base.errors import ExecutionError
from memplan.torch.bodies import attribute, is_body
from memplan.torch.module import epilogue
from memplan.torch.propagate import COPY

LIMIT = 64
"""How many uses of a value are looked at to find its role."""
PASS = frozenset(
    """view _unsafe_view reshape expand permute transpose t unsqueeze squeeze slice select clone contiguous
    to _to_copy add mul split chunk flatten""".split()
)
"""Ops that hand on the elements of their first operand, or nearly so."""
INDEXED = {
    "index": 0,
    "index_select": 0,
    "index_copy": 0,
    "index_put": 0,
    "index_add": 0,
    "gather": 0,
    "scatter": 0,
    "scatter_add": 0,
    "embedding": 0,
    "nll_loss_forward": 0,
    "nll_loss_backward": 1,
}
"""Ops that take indices, and the operand they index."""
SCALES = {
    ("layer_norm", 2),
    ("native_layer_norm", 1),
    ("native_layer_norm", 2),
    ("batch_norm", 1),
    ("native_batch_norm", 1),
    ("_native_batch_norm_legit_functional", 1),
    ("_native_batch_norm_legit_no_training", 1),
    ("group_norm", 2),
    ("native_group_norm", 1),
    ("rms_norm", 2),
}
VARIANCES = {
    ("batch_norm", 4),
    ("native_batch_norm", 4),
    ("_native_batch_norm_legit_functional", 4),
    ("_native_batch_norm_legit_no_training", 4),
}
ROOTS = frozenset({"sqrt", "rsqrt", "log"})


def is_real(value: Any) -> bool:
    """Whether a tensor has data."""
    return isinstance(value, Tensor) and not isinstance(value, FakeTensor) and not value.is_meta


def state_of(module: GraphModule, seed: int) -> dict[str, Tensor]:
    """CPU values of what the module's get_attr nodes read, by target; without data they are seeded."""
    found = {}
    for node in module.graph.nodes:
        if node.op == "get_attr" and node.target not in found:
            value = attribute(module, node.target)
            if is_body(value):
                continue
            found[node.target] = value.detach().cpu() if is_real(value) else seeded(node, seed)
    return found


def inputs_of(module: GraphModule, seed: int) -> dict[str, Any]:
    """A seeded value for each placeholder, by the node's name; a number stays what it was traced with."""
    nodes = [node for node in module.graph.nodes if node.op == "placeholder"]
    return {
        n.name: seeded(n, seed) if isinstance(n.meta.get("val"), Tensor) else n.meta.get("val") for n in nodes
    }


def with_state(module: GraphModule, state: Mapping[str, Tensor]) -> GraphModule:
    """The module with these values for its attributes and its own bodies; those that it updates are copies of its own."""
    updated = {node.target for node in epilogue(module).values()}
    root = torch.nn.Module()
    for target, value in state.items():
        *path, name = target.split(".")
        holder = root
        for part in path:
            if not hasattr(holder, part):
                holder.add_module(part, torch.nn.Module())
            holder = getattr(holder, part)
        holder.register_buffer(name, value.clone() if target in updated else value)
    for name, child in module.named_children():
        if is_body(child):
            root.add_module(name, child)
    return GraphModule(root, module.graph)


def seeded(node: Node, seed: int) -> Tensor:
    """A value for a placeholder or attribute, drawn from the seed and its name."""
    like: Tensor = node.meta["val"]
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{node.name}".encode()))
    shape = tuple(int(n) for n in like.shape)
    if like.dtype == torch.bool:
        drawn = torch.rand(shape, generator=generator) < 0.8
    elif not like.dtype.is_floating_point and not like.dtype.is_complex:
        drawn = torch.randint(0, _length(node), shape, generator=generator)
    else:
        drawn = _float(node, shape, generator)
    value = torch.empty_strided(shape, like.stride(), dtype=like.dtype)
    try:
        return value.copy_(drawn)
    except RuntimeError as error:
        raise ExecutionError(
            f"no value of dtype {like.dtype} can be made for '{node.name}'", "give it with --inputs"
        ) from error


def _float(node: Node, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    roles = [(_packet(user), position) for user, position in _uses(node)]
    if any(role in VARIANCES or role[0] in ROOTS for role in roles):
        return torch.rand(shape, generator=generator) + 0.5
    if any(role in SCALES for role in roles):
        return torch.rand(shape, generator=generator) * 0.4 + 0.8
    drawn = torch.randn(shape, generator=generator)
    if node.op == "get_attr" or any(user.target is COPY for user in node.users):  # a weight or state
        return drawn / math.sqrt(max(1, math.prod(shape[1:]))) if len(shape) > 1 else drawn * 0.1
    return drawn


def _length(node: Node) -> int:
    """The least length of what a whole number indexes, 2 where it indexes nothing."""
    found = []
    for user, position in _uses(node):
        kind = _packet(user)
        if kind not in INDEXED or position == INDEXED[kind]:
            continue
        table = user.args[INDEXED[kind]].meta["val"]  # type: ignore[union-attr]
        if kind == "embedding":
            axis = 0
        elif kind.startswith("nll"):
            axis = -1
        elif kind in ("index", "index_put"):
            axis = next((i for i, x in enumerate(user.args[1]) if x is not None), 0)  # type: ignore[arg-type]
        else:
            axis = int(user.args[1])  # type: ignore[arg-type]
        found.append(int(table.shape[axis]) if table.dim() else 1)
    return max(1, min(found)) if found else 2


def _uses(node: Node) -> Iterator[tuple[Node, int]]:
    """(user, operand number) of a value and of what hands it on, nearest first."""
    queue, seen, count = [node], {node}, 0
    while queue and count < LIMIT:
        value = queue.pop(0)
        for user in value.users:
            count += 1
            yield user, next((i for i, arg in enumerate(user.args) if _holds(arg, value)), -1)
            if user not in seen and _packet(user) in PASS:
                seen.add(user)
                queue.append(user)


def _holds(arg: Any, value: Node) -> bool:
    return arg is value or (isinstance(arg, (tuple, list)) and value in arg)


def _packet(node: Node) -> str:
    packet = getattr(node.target, "overloadpacket", None)
    return (
        str(packet.__name__) if packet is not None else ("split" if node.op == "call_function" else node.op)
    )
