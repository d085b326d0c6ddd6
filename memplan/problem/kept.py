"""What is kept between its touches, and so there at other ops' steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memplan.problem.storage import Storage

MOST_WORK = 20_000_000
"""Kept storages times ops beyond which, under free orders, only the largest ones are followed."""


def certainly_kept(
    storages: Sequence[Storage],
    preds: Sequence[Sequence[int]],
    succs: Sequence[Sequence[int]],
    program_order: bool,
) -> list[list[int]]:
    """Per op, the kept storages that are resident at its step under every order, though it does not touch them.

    A storage is, where an ancestor has touched it and a descendant will (in program order, where an earlier op has
    and a later one will). `preds` and `succs` are per op. Beyond `MOST_WORK` some are left out.
    """
    found: list[list[int]] = [[] for _ in preds]
    kept = [k for k, s in enumerate(storages) if s.keep and len(s.touches) > 1]
    for k in sorted(kept, key=lambda k: -storages[k].size)[: MOST_WORK // max(len(preds), 1)]:
        touches: Sequence[int] = storages[k].touches
        if (
            end := storages[k].held_by
        ) >= 0:  # until the parts are joined: what touches it later may load it again
            before = range(end + 1) if program_order else _reach(preds, (end,)) | {end}
            touches = [i for i in touches if i in before]
        if program_order:
            across: Iterable[int] = range(min(touches) + 1, max(touches))
        else:
            across = sorted(_reach(succs, touches) & _reach(preds, touches))
        for i in across:
            if i not in storages[k].touches:
                found[i].append(k)
    return found


def _reach(neighbours: Sequence[Sequence[int]], ops: Iterable[int]) -> set[int]:
    """The ops that can be reached from `ops`."""
    seen: set[int] = set()
    todo = list(ops)
    while todo:
        for j in neighbours[todo.pop()]:
            if j not in seen:
                seen.add(j)
                todo.append(j)
    return seen
