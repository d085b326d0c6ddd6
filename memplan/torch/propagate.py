"""Fake values of everything in a torch program: of its state, and of each node in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from memplan.base.errors import GraphError
from memplan.torch.bodies import SPACE, attribute, calls, is_body, workspace, written

COPY = torch.ops.aten.copy_.default


def fake_like(tensor: torch.Tensor, mode: FakeTensorMode) -> Any:
    """A fake CPU tensor of the dtype, strides and shape of `tensor`."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise GraphError(
            f"a tensor of layout {tensor.layout} cannot be planned",
            "sparse and quantised tensors have no plain bytes; convert them first",
        )
    with mode:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)


def state_of(module: GraphModule, mode: FakeTensorMode) -> dict[str, Any]:
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


class Propagation(Interpreter):
    """Computes the fake value of every node, in bodies too, and keeps it as `meta["val"]`; a body itself has none."""

    def __init__(self, module: GraphModule, state: Mapping[str, Any], mode: FakeTensorMode) -> None:
        super().__init__(module)
        self.state, self.mode = state, mode

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.state[target] if target in self.state else attribute(self.module, target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if not isinstance(target, torch._ops.HigherOrderOperator):
            return super().call_function(target, args, kwargs)
        with symbols(self.mode):
            result = super().call_function(target, args, kwargs)
        for body, operands in calls(target, args):
            inner = Propagation(body, state_of(body, self.mode), self.mode)
            inner.run(*operands, enable_io_processing=False)
        return result

    def run_node(self, n: Node) -> Any:
        if n.target is COPY:
            return None
        try:
            with self.mode, torch.no_grad():
                value = super().run_node(n)
                if isinstance(n.target, torch._ops.HigherOrderOperator):
                    n.meta[SPACE] = workspace(self.module, n, self.fetch_args_kwargs_from_env(n)[0])
        except GraphError:
            raise
        except Exception as error:
            raise fault(
                f"op '{n.name}' ({written(n)})",
                error,
                "be given a shape",
                "do the shapes given fit the model?",
            ) from error
        if not is_body(value):
            n.meta["val"] = value
        return value


def fault(what: str, error: Exception, deed: str, hint: str) -> GraphError:
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
