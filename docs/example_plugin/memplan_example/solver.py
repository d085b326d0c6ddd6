"""`keep_or_reload`: an order in which everything stays in the scratchpad, or else everything around each op."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from memplan import Capabilities, Limits, Plan, Problem, Solver, Status, pack


class Stay(NamedTuple):
    """Storage `s` is present in steps [start, stop); `load` at its start and `store` at its first step if set."""

    s: int
    start: int
    stop: int
    load: bool
    store: bool


@dataclass(frozen=True)
class KeepOrReload(Solver):
    """Fields of a solver are the options of its spec string: `keep_or_reload{tries=50}`.

    tries  orders in which keeping everything is attempted, the program's first, then random ones
    """

    name: ClassVar[str] = "keep_or_reload"
    summary: ClassVar[str] = (
        "an example: keeps everything if that fits, else reloads everything around each op"
    )
    supports: ClassVar[Capabilities] = Capabilities(("traffic",))

    tries: int = 20

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The first order in which everything can stay, else the program's with all operands reloaded."""
        program = tuple(range(problem.n))
        tries = [(order, True) for order in self.orders(problem, random.Random(limits.seed))] + [
            (program, False)
        ]
        for order, keep in tries:
            if limits.spent() and keep:
                continue
            stays = stays_of(problem, order, keep)
            storages = [problem.storages[stay.s] for stay in stays]
            found = pack(
                [stay.start for stay in stays],
                [stay.stop for stay in stays],
                [s.size for s in storages],
                problem.capacity,
                alignment=problem.target.scratchpad.alignment,
                offsets=[s.offset for s in storages],
                workers=limits.workers,
                time_limit_s=max(0.05, 0.2 * limits.remaining_s),
                cancel=limits.cancel,
            )
            if found.peak is not None:
                return self.plan(problem, limits, order, stays, list(found.offsets))
        return self.no_answer(problem, limits, Status.UNKNOWN, "what must stay leaves no room for an op")

    def orders(self, problem: Problem, dice: random.Random) -> Iterator[tuple[int, ...]]:
        """The program's order, then random ones where the options allow another."""
        yield tuple(range(problem.n))
        for _ in range(self.tries - 1 if problem.options.order == "free" else 0):
            waiting = [len(sources) for sources in problem.preds]
            ready = [i for i, count in enumerate(waiting) if count == 0]
            order = []
            while ready:
                i = ready.pop(dice.randrange(len(ready)))
                order.append(i)
                for later in problem.succs[i]:
                    waiting[later] -= 1
                    if not waiting[later]:
                        ready.append(later)
            yield tuple(order)

    def plan(
        self, problem: Problem, limits: Limits, order: tuple[int, ...], stays: list[Stay], offsets: list[int]
    ) -> Plan:
        """The plan in memplan's words. The bound is left at the one that always holds."""
        residencies = [
            problem.residency(x.s, x.start, x.stop, offset) for x, offset in zip(stays, offsets, strict=True)
        ]
        moves = [problem.load(x.s, x.start, x.start) for x in stays if x.load]
        moves += [problem.store(x.s, x.start + 1, x.start + 1) for x in stays if x.store]
        moves.sort(key=lambda move: (*problem.turn(move), move.tensor))
        return self.answer(problem, limits, order=order, residencies=residencies, moves=moves)


def stays_of(problem: Problem, order: tuple[int, ...], keep: bool) -> list[Stay]:
    """When each storage is present: from its first touch to its last, or at each touch alone."""
    step = {i: t for t, i in enumerate(order)}
    stream = problem.options.weights == "stream"
    stays = []
    for k, s in enumerate(problem.storages):
        steps = sorted(step[i] for i in s.touches)
        if s.resident:  # the caller's own buffer
            start, stop = 0 if s.is_input else steps[0], problem.n if s.is_output else steps[-1] + 1
            stays.append(Stay(k, start, stop, False, False))
        elif s.keep or (keep and not (s.is_constant and stream)):
            stays.append(Stay(k, steps[0], steps[-1] + 1, s.in_host, s.is_output and not s.in_host))
        else:
            store = not s.in_host and (s.is_output or len(steps) > 1)
            stays += [Stay(k, t, t + 1, s.in_host or n > 0, store and n == 0) for n, t in enumerate(steps)]
    return stays
