"""Whether a plan honours its pins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from memplan.base.errors import OptionError
from memplan.problem.pins import parse_pin
from memplan.problem.plan import Residency


class Fault(NamedTuple):
    """What is wrong with storage `tensor`, and where."""

    tensor: str
    message: str
    step: int | None = None
    offset: int | None = None


def pin_faults(
    pins: Mapping[str, str],
    residencies: Mapping[str, Sequence[Residency]],
    touches: Mapping[str, Sequence[int]],
    moved: set[str],
) -> Iterator[Fault]:
    """Faults of storages against their pins. `touches` are the steps that write or read each storage of the graph.

    keep: one residency covers every touch; host: neither residency nor move; offset: every residency lies there.
    """
    for name, word in pins.items():
        if name not in touches:
            yield Fault(name, f"'{name}' is pinned, but no storage of the graph")
            continue
        try:
            pin = parse_pin(word)
        except OptionError as error:
            yield Fault(name, f"'{name}': {error.message}")
            continue
        parts, steps = residencies.get(name, ()), touches[name]
        if pin.host and (parts or name in moved):
            yield Fault(
                name, f"'{name}' is pinned to host, but placed or moved", parts[0].start if parts else None
            )
        if pin.keep and steps:
            whole = len(parts) == 1 and parts[0].start <= min(steps) and max(steps) < parts[0].stop
            if not whole:
                spans = ", ".join(f"[{r.start}, {r.stop})" for r in parts) or "nowhere"
                yield Fault(
                    name,
                    f"'{name}' is pinned to stay in steps {min(steps)} to {max(steps)}, "
                    f"it is resident in {spans}",
                    min(steps),
                )
        for r in parts:
            if pin.offset is not None and r.offset != pin.offset:
                yield Fault(
                    name, f"'{name}' lies at {r.offset}, it is pinned to {pin.offset}", r.start, r.offset
                )
