"""Plan JSON of version 1, read: loads and stores between the scratchpad and host memory, issued and due at steps.

A load issued at step s begins at boundary s, before that step; a store issued at step s begins once the step has ended,
at boundary s + 1. Both are due at a boundary, but that in the step model a store took no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memplan.base.errors import PlanError
from memplan.io.reader import JsonReader
from memplan.machine.target import Target
from memplan.problem.plan import InPlace, Move, Residency


def residency_1(item: JsonReader, target: Target) -> Residency:
    """A residency, which names no memory: it is in the scratchpad."""
    start, stop, offset, size = (item.whole(key) for key in ("start", "stop", "offset", "size"))
    return Residency(item.text("tensor"), target.scratchpad.name, start, stop, offset, size)


def moves_1(items: Sequence[JsonReader], target: Target, timed: bool) -> tuple[Move, ...]:
    """The moves in the order in which they queued: by the step of issue, stores after loads, then as in the file.

    Args:
        items: the moves of the file.
        target: the machine, with two memories.
        timed: whether latency is minimised, so that moves take time.
    """
    pad, host = target.scratchpad.name, target.host.name
    found: list[tuple[int, bool, Move]] = []
    for item in items:
        kind, tensor, issue, due = (
            item.text("kind"),
            item.text("tensor"),
            item.whole("issue"),
            item.whole("due"),
        )
        if kind not in ("load", "store"):
            raise PlanError(f"{item.where}: unknown kind '{kind}'", "known: load, store")
        if kind == "load":
            move = Move(tensor, host, pad, issue, due, target.copying_queues(host, pad)[0])
        else:
            queue = target.copying_queues(pad, host)[0]
            move = Move(tensor, pad, host, issue + 1, due if timed else due + 1, queue)
        found.append((issue, kind == "store", move))
    return tuple(move for *_, move in sorted(found, key=lambda x: x[:2]))


def inplace_1(pairs: Mapping[str, str], residencies: Sequence[Residency]) -> tuple[InPlace, ...]:
    """The in-place pairs, storage written over by output: an output is written where its first residency begins."""
    step: dict[str, int] = {}
    for r in residencies:
        step[r.tensor] = min(step.get(r.tensor, r.start), r.start)
    return tuple(sorted(InPlace(step.get(b, 0), b, a) for b, a in pairs.items()))
