"""Torch modules in normal form as bytes and back, node by node: pickling one as it is loses what its nodes carry."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from memplan.ir.model import Model


@dataclass(frozen=True)
class TorchModel(Model):
    """A model whose source is a torch module in normal form; it can be pickled, which the module itself cannot.

    The program behind it, from which `at` makes the model at other sizes, stays behind.
    """

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"source": packed(self.source), "at": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"source": unpacked(state["source"])})


@dataclass(frozen=True)
class PackedModule:
    """A GraphModule with its nodes' values, as `torch.fx` packs it."""

    data: bytes

    def module(self) -> Any:
        """The module, its nodes' values fake tensors of a mode of their own."""
        from torch._subclasses.fake_tensor import FakeTensorMode
        from torch.fx._graph_pickler import GraphPickler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return GraphPickler.loads(self.data, FakeTensorMode(allow_non_fake_inputs=True))


def packed(source: Any) -> Any:
    """A torch module packed; any other source as it is."""
    if type(source).__module__.partition(".")[0] != "torch":
        return source
    from torch.fx import GraphModule
    from torch.fx._graph_pickler import GraphPickler, Options

    if not isinstance(source, GraphModule):
        return source
    return PackedModule(GraphPickler.dumps(_without_bases(source), Options(ops_filter=None)))


def _without_bases(source: Any) -> Any:
    """A copy of the module, of its bodies too, whose nodes' values are no views: torch cannot pack a fake view's base."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.node import map_aggregate

    from memplan.torch.bodies import is_body
    from memplan.torch.module import copied
    from memplan.torch.propagate import fake_like

    mode = FakeTensorMode()

    def fresh(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        made = fake_like(value, mode)
        made.fake_device = value.device
        return made

    module = copied(source)
    for name, child in list(module.named_children()):
        if is_body(child):
            setattr(module, name, _without_bases(child))
    for node in module.graph.nodes:
        if "val" in node.meta:
            node.meta["val"] = map_aggregate(node.meta["val"], fresh)
    return module


def unpacked(source: Any) -> Any:
    """What `packed` was given."""
    return source.module() if isinstance(source, PackedModule) else source
