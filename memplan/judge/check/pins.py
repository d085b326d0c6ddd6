"""Whether a plan honours its pins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from memplan.base.errors import OptionError
from memplan.judge.check.violation import Violation
from memplan.judge.copies import HOME, Copies
from memplan.judge.plan_view import PlanView
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
    moved: Set[str],
) -> Iterator[Fault]:
    """Faults of storages against their pins. `touches` are the steps that write or read each of them, of those that are
    storages of the graph.

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


def pins(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """What the options pin: residencies count but for those in which a storage is at home before step 0."""
    words, root = view.options.pins, view.graph.storage_of
    if not words:
        return
    at_home = view.options.io == "host"
    placed: dict[str, list[Residency]] = {}
    for s, memory in [(s, m.name) for s in words for m in view.target.addressed]:
        made = zip(view.residencies.get((s, memory), ()), copies.found.get((s, memory), ()), strict=False)
        placed.setdefault(s, []).extend(r for r, c in made if not (at_home and c.makers == (HOME,)))
    touches: dict[str, list[int]] = {s: [] for s in words if root.get(s) == s}
    for t, op in enumerate(view.ops):
        idle = op.view or op.name in view.joined
        for s in () if idle else dict.fromkeys(root[x] for x in (*op.inputs, *op.outputs)):
            if s in touches:
                touches[s].append(t)
    for f in pin_faults(words, placed, touches, view.moved):
        yield Violation("pins", f.message, f.step, (f.tensor,), () if f.offset is None else (f.offset,))
