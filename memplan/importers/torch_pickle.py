"""Torch modules in normal form as bytes and back, node by node: pickling one as it is loses what its nodes carry."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any


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
    return PackedModule(GraphPickler.dumps(source, Options(ops_filter=None)))


def unpacked(source: Any) -> Any:
    """What `packed` was given."""
    return source.module() if isinstance(source, PackedModule) else source
