"""Pins of one call: tensors become storages, and what makes no sense on the target with these options is refused."""

from __future__ import annotations

from collections.abc import Mapping

from memplan.base.errors import OptionError, nearest
from memplan.base.units import MAX_BYTES
from memplan.ir.graph import Graph
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.pins import Pin, parse_pin


def resolve_pins(
    pins: Mapping[str, str | int], graph: Graph, target: Target, options: Options
) -> dict[str, str]:
    """The pins in canonical words by storage, sorted; a whole number is an offset, a view's pin is its storage's.

    OptionError where a tensor is unknown, or its pin makes no sense on this target with these options.
    """
    found: dict[str, str] = {}
    outputs = graph.output_storages
    for name, word in pins.items():
        if name not in graph.tensor:
            close = nearest(name, graph.tensor)  # a graph has too many names to list them all
            hint = (
                close
                if close.startswith("did")
                else f"its tensors are named like '{next(iter(graph.tensor), '')}'"
            )
            raise OptionError(f"pinned tensor '{name}' is not in graph '{graph.name}'", hint)
        pin = parse_pin(f"@{word}" if isinstance(word, int) else word)
        storage = graph.storage_of[name]
        if pin.host and graph.tensor[storage].kind == "workspace":
            raise OptionError(
                f"workspace '{name}' cannot be pinned to host",
                "an op works in it while it runs: pin a tensor, or give more memory",
            )
        if found.setdefault(storage, str(pin)) != str(pin):
            raise OptionError(
                f"tensor '{name}' is pinned to {pin}, but its storage '{storage}' to {found[storage]}",
                "views share one storage: pin it once",
            )
        kind = graph.tensor[storage].kind
        _sensible(name, pin, kind, kind == "input" or storage in outputs, target, options)
    return dict(sorted(found.items()))


def _sensible(name: str, pin: Pin, kind: str, io: bool, target: Target, options: Options) -> None:
    """Refuse a pin that contradicts the target or the options by itself."""
    what, alignment = f"pin '{name}' to {pin}", target.scratchpad.alignment
    if kind == "constant" and options.weights == "ignore":
        raise OptionError(f"{what}: it is a constant, and constants are not placed", "use --weights tensor")
    if kind == "constant" and options.weights == "stream" and pin.keep:
        raise OptionError(f"{what}: streamed constants leave after each use", "use --weights tensor")
    if pin.host and not target.direct:
        raise OptionError(
            f"{what}: on target '{target.name}' every operand must be in the scratchpad",
            "choose a target whose operands may be served from host",
        )
    if pin.host and options.io == "resident" and io and kind != "constant":
        raise OptionError(f"{what}: resident inputs and outputs lie in the scratchpad", "use --io host")
    if pin.offset is not None and pin.offset % alignment:
        raise OptionError(
            f"{what}: the offset is not a multiple of the alignment {alignment}",
            f"the nearest below is {pin.offset // alignment * alignment}",
        )
    if pin.offset is not None and pin.offset > MAX_BYTES:
        raise OptionError(
            f"{what}: the offset is beyond 2^62 bytes", "give bytes from the scratchpad's begin"
        )
