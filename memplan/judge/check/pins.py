"""Whether a plan honours its pins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from memplan.base.errors import OptionError
from memplan.judge.check.violation import Violation
from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView
from memplan.problem.pins import parse_pin
from memplan.problem.plan import Residency


class Pinned(NamedTuple):
    """What of a plan a storage's pin is about.

    Args:
        residencies: where its bytes lie, in any order.
        touches: the steps that write or read it.
        retreats: memories in which it may lie whatever its pin says: its home, and the backing memory.
        moved: whether it is in a move.
    """

    residencies: Sequence[Residency]
    touches: Sequence[int]
    retreats: frozenset[str]
    moved: bool


class Fault(NamedTuple):
    """What is wrong, and where."""

    message: str
    step: int | None = None
    offset: int | None = None


def pin_faults(name: str, word: str, found: Pinned, first: str) -> Iterator[Fault]:
    """Faults of the storage against its pin.

    keep: one residency covers every touch, and away from its retreats it has no other; host: neither residency nor
    move; memory, or `first` where only an offset is given: every residency lies there or in a retreat, and there at
    the offset.
    """
    try:
        pin = parse_pin(word)
    except OptionError as error:
        yield Fault(f"'{name}': {error.message}")
        return
    rows = found.residencies
    if pin.host and (rows or found.moved):
        yield Fault(f"'{name}' is pinned to host, but placed or moved", rows[0].start if rows else None)
    place = pin.memory or (first if pin.offset is not None else None)
    if pin.keep and found.touches:
        yield from _leaves(name, found, place)
    for r in rows if place is not None else ():
        if r.memory != place and r.memory not in found.retreats:
            yield Fault(f"'{name}' lies in {r.memory}, it is pinned to {place}", r.start, r.offset)
        elif r.memory == place and pin.offset not in (None, r.offset):
            yield Fault(f"'{name}' lies at {r.offset}, it is pinned to {pin.offset}", r.start, r.offset)


def _leaves(name: str, found: Pinned, place: str | None) -> Iterator[Fault]:
    """That no residency, or more than one, serves all touches of what is to be kept."""
    first, last = min(found.touches), max(found.touches)
    whole = [r for r in found.residencies if r.start <= first and last < r.stop and place in (None, r.memory)]
    away = [r for r in found.residencies if r.memory not in found.retreats]
    if not whole or any(r not in whole for r in away):
        spans = ", ".join(f"[{r.start}, {r.stop})" for r in found.residencies) or "nowhere"
        message = f"'{name}' is pinned to stay in steps {first} to {last}, it is resident in {spans}"
        yield Fault(message, first)


def _lying(view: PlanView, copies: Copies, storage: str, memory: str) -> Sequence[Residency]:
    """Where its bytes lie there: those of a joined op's operand in the op's output."""
    if storage not in view.parts:
        return view.residencies.get((storage, memory), ())
    size, found = view.nbytes[storage], copies.found.get((storage, memory), ())
    return [
        Residency(storage, memory, c.start, c.stop, c.offset, size) for c in found if c.offset is not None
    ]


def pins(view: PlanView, copies: Copies) -> Iterator[Violation]:
    """What the options pin."""
    asked = view.options.pins
    if not asked:
        return
    storages = set(view.graph.storage_of.values())
    for name in sorted(asked.keys() - storages):
        yield Violation("pins", f"'{name}' is pinned, but no storage of the graph", None, (name,))
    touches: dict[str, list[int]] = {s: [] for s in asked}
    for t, op in enumerate(view.ops):
        idle = op.view or op.name in view.joined
        for s in () if idle else {view.graph.storage_of[x] for x in (*op.inputs, *op.outputs)} & asked.keys():
            touches[s].append(t)
    backing = view.target.backing
    for s in sorted(asked.keys() & storages):
        rows = [r for m in view.target.memories for r in _lying(view, copies, s, m.name)]
        retreats = {view.home(s)} | ({backing.name} if backing else set())
        found = Pinned(rows, touches[s], frozenset(retreats), s in view.moved)
        for f in pin_faults(s, asked[s], found, view.target.memories[0].name):
            yield Violation("pins", f.message, f.step, (s,), () if f.offset is None else (f.offset,))
