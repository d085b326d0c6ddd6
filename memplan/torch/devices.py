"""The one device that a torch program lies on, and a program put onto another.

Programs are analysed on the CPU, since a build of torch without a device cannot trace all ops on fake tensors of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_aggregate

from memplan.base.errors import GraphError

CPU = torch.device("cpu")


def home_of(module: GraphModule, inputs: Sequence[Any]) -> torch.device:
    """The device of a module's tensors, the CPU where they have none (`meta`); GraphError names two and a
    tensor of each.

    A scalar on the CPU may lie beside tensors of another device, as torch allows it.
    """
    found: dict[torch.device, str] = {}
    for name, device, scalar in _lying(module, inputs):
        if device.type != "meta" and not (scalar and device.type == "cpu"):
            found.setdefault(_numbered(device), name)
    if len(found) > 1:
        where = ", ".join(f"'{name}' on {device}" for device, name in found.items())
        raise GraphError(
            f"the program's tensors lie on several devices: {where}",
            "a plan is of one memory: export the part on each device by itself",
        )
    return next(iter(found), CPU)


def device_of(module: GraphModule) -> torch.device:
    """The device of a module in normal form, of which every value has the same."""
    values = (node.meta.get("val") for node in module.graph.nodes)
    return next((value.device for value in values if isinstance(value, torch.Tensor)), CPU)


def is_there(device: torch.device) -> bool:
    """Whether this machine, and this build of torch, has the device."""
    if device.type == "cpu":
        return True
    runtime = torch.get_device_module(device)
    return bool(runtime.is_available()) and (device.index or 0) < runtime.device_count()


def write_device(graph: Graph, device: torch.device) -> None:
    """Write every device that the graph's nodes state as `device`."""

    def written(value: Any) -> Any:
        return device if isinstance(value, torch.device) else value

    for node in graph.nodes:
        node.args = map_aggregate(node.args, written)
        node.kwargs = map_aggregate(_with_device(node.kwargs), written)


def _lying(module: GraphModule, inputs: Sequence[Any]) -> Iterator[tuple[str, torch.device, bool]]:
    """(name, device, whether it is a scalar) of inputs, attributes and what nodes make on a device they state."""
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    given = [(node.name, value) for node, value in zip(placeholders, inputs, strict=True)]
    for name, value in (*given, *module.named_parameters(), *module.named_buffers()):
        if isinstance(value, torch.Tensor):
            yield name, value.device, value.dim() == 0
    for node in module.graph.nodes:
        if node.op not in ("placeholder", "get_attr", "output"):
            for device in _stated(node):
                yield node.name, device, _is_scalar(node)


def _stated(node: Node) -> list[torch.device]:
    """The devices that a node puts its result on; the CPU for an op that makes a tensor and is told none."""
    schema = node.target._schema if isinstance(node.target, OpOverload) else None
    if schema is not None and not schema.returns:  # a check
        return []
    found: list[torch.device] = []
    map_aggregate(
        (node.args, _with_device(node.kwargs)),
        lambda x: found.append(x) if isinstance(x, torch.device) else None,
    )
    makes = schema is not None and any(argument.name == "device" for argument in schema.arguments)
    return found or ([CPU] if makes and not node.all_input_nodes else [])


def _with_device(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments, with a device for a device's name."""
    return {k: torch.device(v) if k == "device" and isinstance(v, str) else v for k, v in kwargs.items()}


def _is_scalar(node: Node) -> bool:
    value = node.meta.get("val")
    return value.dim() == 0 if isinstance(value, torch.Tensor) else node.args[:1] == ([],)


def _numbered(device: torch.device) -> torch.device:
    """The device with its number, 0 where it is told none."""
    return device if device.type == "cpu" or device.index is not None else torch.device(device.type, 0)
