"""What aten kernels allocate, asked of the kernels themselves: each is run once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves, tree_map_only

from memplan.base.errors import GraphError
from memplan.torch.allocations import allocated
from memplan.torch.bodies import written
from memplan.torch.devices import CPU, device_of

Call = tuple[Any, ...]
"""An op with the layouts of its operands, and all else that it is called with: calls alike need the same memory."""


class KernelMemory(NamedTuple):
    """Bytes that a kernel allocates.

    scratch   at the most beyond its results
    results   for the storage of each tensor that the node makes, in order: some are larger than what lies in them, and what the
              kernel leaves out has none
    """

    scratch: int
    results: tuple[int, ...]


def taken(module: GraphModule) -> dict[str, KernelMemory]:
    """What the kernel of each aten op takes on the CPU, by the name of the node; kernels of other devices are not asked.

    Each kind of call is run once, on zeros. GraphError where a kernel fails. The state of the random generator stays as it is.
    """
    if device_of(module) != CPU:
        return {}
    with ThreadPoolExecutor(
        1
    ) as pool:  # which is under none of the modes and profilers that this thread may be under
        return pool.submit(_measured, module).result()


def _measured(module: GraphModule) -> dict[str, KernelMemory]:
    """See `taken`."""
    known: dict[Call, KernelMemory] = {}
    found: dict[str, KernelMemory] = {}
    with torch.random.fork_rng(devices=()), torch.no_grad():
        for node in module.graph.nodes:
            if isinstance(node.target, OpOverload) and node.target._schema.returns:
                call = _call(node)
                known[call] = known.get(call) or _asked(node)
                found[node.name] = known[call]
    return found


def _asked(node: Node) -> KernelMemory:
    """What the call takes, seen in one run."""
    target: Any = node.target
    args, kwargs = map_arg(node.args, _zeros), map_arg(node.kwargs, _zeros)
    try:
        result, seen = allocated(lambda: target(*args, **kwargs))
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise GraphError(
            f"op '{node.name}' ({written(node)}) cannot be run to see what its kernel allocates: {words}",
            "load the model without a runtime",
        ) from error
    pairs = zip(tree_leaves(node.meta.get("val")), tree_leaves(result), strict=True)
    real = [made for fake, made in pairs if isinstance(fake, torch.Tensor)]
    nbytes = (x.untyped_storage().nbytes() if isinstance(x, torch.Tensor) else 0 for x in real)
    return KernelMemory(seen.peak - seen.held, tuple(nbytes))


def _zeros(node: Node) -> Any:
    """An operand of the node's layout, or several."""
    return tree_map_only(torch.Tensor, _alike, node.meta.get("val"))


def _alike(fake: torch.Tensor) -> torch.Tensor:
    """A real tensor of zeros, laid as the fake one is."""
    return torch.empty_strided(fake.shape, fake.stride(), dtype=fake.dtype).zero_()


def _call(node: Node) -> Call:
    """What tells calls of different memory apart."""
    return (
        node.target,
        tuple(_parts(node.args)),
        tuple(sorted((k, *_parts(v)) for k, v in node.kwargs.items())),
    )


def _parts(arg: Any) -> Iterator[Any]:
    if isinstance(arg, Node):
        for value in tree_leaves(arg.meta.get("val")):
            yield (
                (str(value.dtype), tuple(value.shape), value.stride())
                if isinstance(value, torch.Tensor)
                else value
            )
    elif isinstance(arg, (tuple, list)):
        yield "("
        for item in arg:
            yield from _parts(item)
        yield ")"
    else:
        yield str(arg)
