"""Finds the fake value of every node of a module in normal form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Interpreter, Node

from memplan.base.errors import GraphError
from memplan.torch.bodies import SPACE, attribute, calls, is_body, workspace, written
from memplan.torch.fakes import fake_state, fault, symbols


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
            inner = Propagation(body, fake_state(body, self.mode), self.mode)
            inner.run(*operands, enable_io_processing=False)
        return result

    def run_node(self, n: Node) -> Any:
        if n.target is torch.ops.aten.copy_.default:  # an update, at the end
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
