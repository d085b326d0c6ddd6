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

    OptionError where a tensor or memory is unknown, or a pin makes no sense on this target with these options.
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
        storage = graph.storage_of[name]
        kind = graph.tensor[storage].kind
        pin = _on_target(name, parse_pin(f"@{word}" if isinstance(word, int) else word), target)
        if pin.host and kind == "workspace":
            raise OptionError(
                f"workspace '{name}' cannot be pinned to host",
                "an op works in it while it runs: pin a tensor, or give more memory",
            )
        if found.setdefault(storage, str(pin)) != str(pin):
            raise OptionError(
                f"tensor '{name}' is pinned to {pin}, but its storage '{storage}' to {found[storage]}",
                "views share one storage: pin it once",
            )
        _sensible(name, pin, kind, kind == "input" or storage in outputs, target, options)
    return dict(sorted(found.items()))


def _on_target(name: str, pin: Pin, target: Target) -> Pin:
    """The pin with its memory settled: none where it is the first one, `host` where it is a backing memory without
    addresses."""
    if pin.host and target.backing is None:
        raise OptionError(
            f"pin '{name}' to {pin}: target '{target.name}' has no backing memory",
            f"its memories are {', '.join(target.memory)}",
        )
    addressed = [m.name for m in target.addressed]
    if pin.host and target.host.name in addressed:
        return Pin(memory=target.host.name)
    if pin.memory is None:
        return pin
    if pin.memory not in target.memory:
        raise OptionError(
            f"pin '{name}' to {pin}: no memory of target '{target.name}' is called '{pin.memory}'",
            nearest(pin.memory, {*target.memory, "keep", "host"}),
        )
    if target.memory[pin.memory].readonly:
        raise OptionError(
            f"pin '{name}' to {pin}: nothing is placed in '{pin.memory}', which is readonly",
            f"pin it to one of {', '.join(addressed)}",
        )
    if pin.memory not in addressed:
        if pin.keep or pin.offset is not None:
            raise OptionError(
                f"pin '{name}' to {pin}: no addresses are planned in '{pin.memory}'",
                f"pin it to {pin.memory}, or set addresses = true in the target's file",
            )
        return Pin(host=True)
    if pin.memory == addressed[0] and (pin.offset is not None or len(addressed) == 1):
        if not (pin.keep or pin.offset is not None):
            raise OptionError(
                f"pin '{name}' to {pin}: target '{target.name}' places nothing anywhere else",
                f"pin it to keep, which holds it in '{pin.memory}'",
            )
        return pin._replace(memory=None)
    return pin


def _sensible(name: str, pin: Pin, kind: str, io: bool, target: Target, options: Options) -> None:
    """Refuse a pin that contradicts the target or the options by itself."""
    what = f"pin '{name}' to {pin}"
    memory = target.memory[pin.memory or target.scratchpad.name]
    if kind == "constant" and options.weights == "ignore":
        raise OptionError(f"{what}: it is a constant, and constants are not placed", "use --weights tensor")
    if kind == "constant" and options.weights == "stream" and pin.keep:
        raise OptionError(f"{what}: streamed constants leave after each use", "use --weights tensor")
    if io and kind != "constant" and options.io == "external":
        raise OptionError(f"{what}: external inputs and outputs lie with the caller", "use --io host")
    if pin.host and not target.direct:
        raise OptionError(
            f"{what}: on target '{target.name}' every operand must be in the scratchpad",
            "choose a target whose operands may be served from host",
        )
    if (pin.host or pin.memory) and options.io == "resident" and io and kind != "constant":
        raise OptionError(f"{what}: resident inputs and outputs lie in the scratchpad", "use --io host")
    if pin.offset is not None and pin.offset % memory.alignment:
        raise OptionError(
            f"{what}: the offset is not a multiple of the alignment {memory.alignment}",
            f"the nearest below is {pin.offset // memory.alignment * memory.alignment}",
        )
    if pin.offset is not None and pin.offset > MAX_BYTES:
        raise OptionError(
            f"{what}: the offset is beyond 2^62 bytes", f"give bytes from the begin of '{memory.name}'"
        )
