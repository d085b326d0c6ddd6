"""What happens at each step of a plan, as annotated programs tell it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.problem.plan import InPlace, Plan, Residency


@dataclass(frozen=True)
class Events:
    """By step: residencies that begin, those that moves to a faster memory due before it fill, storages that
    moves to a slower one due at its end copy, storages that leave, and what is written in place; and all that
    is ever loaded.
    """

    begins: dict[int, list[Residency]] = field(default_factory=dict)
    loads: dict[int, list[Residency]] = field(default_factory=dict)
    stores: dict[int, list[str]] = field(default_factory=dict)
    ends: dict[int, list[Residency]] = field(default_factory=dict)
    inplace: dict[int, list[InPlace]] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)


def events_of(plan: Plan) -> Events:
    """The events of a plan; a store due at boundary t + 1 is of step t."""
    events = Events()
    starting = {(r.tensor, r.memory, r.start): r for r in plan.residencies}
    for r in plan.residencies:
        events.begins.setdefault(r.start, []).append(r)
        events.ends.setdefault(r.stop - 1, []).append(r)
    events.loaded.update(move.tensor for move in plan.moves if plan.is_load(move))
    for move in plan.moves:
        if not plan.is_load(move):
            events.stores.setdefault(move.due - 1, []).append(move.tensor)
        elif (filled := starting.get((move.tensor, move.destination, move.issue))) is not None:
            events.loads.setdefault(move.due, []).append(filled)
    for pair in plan.inplace:
        events.inplace.setdefault(pair.step, []).append(pair)
    return events


def note(graph: Graph, plan: Plan, events: Events, op: Op, step: int) -> dict[str, Any]:
    """What the plan says of the op at a step, as plain data; what is empty is left out."""
    found: dict[str, Any] = {
        "outputs": {r.tensor: placing(r) for r in events.begins.get(step, ()) if r.tensor in op.outputs},
        "inplace": {pair.output: pair.operand for pair in events.inplace.get(step, ())},
        "view_of": graph.storage_of[op.outputs[0]] if op.view else None,
        "joined": op.name in plan.joined,
        "loads": {r.tensor: placing(r) for r in events.loads.get(step, ())},
        "stores": events.stores.get(step, []),
        "frees": [r.tensor for r in events.ends.get(step, ())],
        "spilled": [name for name in op.outputs if name in events.loaded],
    }
    return {"step": step} | {key: value for key, value in found.items() if value}


def placing(r: Residency) -> dict[str, str | int]:
    """Where and when, as plain data."""
    return {"memory": r.memory, "offset": r.offset, "size": r.size, "start": r.start, "stop": r.stop}
