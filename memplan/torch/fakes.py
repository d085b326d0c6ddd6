"""Fake tensors: what stands for a program's values while it is analysed, and what goes wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from memplan.base.errors import GraphError
from memplan.torch.bodies import attribute, is_body


def fake_like(tensor: torch.Tensor, mode: FakeTensorMode) -> Any:
    """A fake CPU tensor of the dtype, strides and shape of `tensor`."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise GraphError(
            f"a tensor of layout {tensor.layout} cannot be planned",
            "sparse and quantised tensors have no plain bytes; convert them first",
        )
    with mode:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)


def fake_state(module: GraphModule, mode: FakeTensorMode) -> dict[str, Any]:
    """Fake values of the parameters, buffers and constants by the target of their get_attr."""
    made: dict[int, Any] = {}
    state = {}
    for node in module.graph.nodes:
        if node.op != "get_attr" or node.target in state:
            continue
        value = attribute(module, node.target)
        if is_body(value):
            continue
        if not isinstance(value, torch.Tensor):
            raise GraphError(
                f"node '{node.name}' reads '{node.target}', which is no tensor but a {type(value).__name__}",
                "make it a parameter, a buffer or a tensor of the module",
            )
        if id(value) not in made:
            made[id(value)] = fake_like(value, mode)
        state[node.target] = made[id(value)]
    return state


@contextmanager
def symbols(mode: FakeTensorMode) -> Iterator[None]:
    """Give the mode an environment for symbols, which while_loop asks for; no size becomes a symbol in it.

    It goes away again, since a fake view that has one cannot be pickled.
    """
    mode.shape_env = ShapeEnv(allow_scalar_outputs=False, allow_dynamic_output_shape_ops=False)
    try:
        yield
    finally:
        mode.shape_env = None


def fault(what: str, error: Exception, deed: str, hint: str) -> GraphError:
    """The error for what torch failed to do with a part of the program."""
    kind = type(error).__name__
    if kind in ("DynamicOutputShapeException", "DataDependentOutputException", "GuardOnDataDependentSymNode"):
        return GraphError(
            f"{what} makes a shape or a number that depends on data: {_words(error)}",
            "a plan needs fixed sizes; export the model without it",
        )
    return GraphError(f"{what} cannot {deed}: {_words(error)}", hint)


def _words(error: Exception) -> str:
    """The first line of a message, not too long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
