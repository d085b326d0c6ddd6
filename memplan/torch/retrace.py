"""Traces a module anew to aten ops without mutations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Interpreter

from memplan.base.errors import GraphError
from memplan.torch.bodies import attribute
from memplan.torch.fakes import fault, symbols


def counts_along(target: Any, args: Sequence[Any]) -> bool:
    """Whether this is a batch normalisation that changes its running statistics, which its schema hides."""
    return target is torch.ops.aten.native_batch_norm.default and args[3] is not None and bool(args[5])


def retraced(
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
        if not counts_along(target, args):
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
