"""What a solver can do, and what of a problem is beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from memplan.machine.target import Target
from memplan.machine.two_level import beyond_two_level
from memplan.problem.problem import Problem
from memplan.solving.posed import lying_elsewhere, posed

OPERANDS = ("scratchpad", "direct")
"""Where ops find their operands: all of them in fast memory, or in the backing memory too, without a copy."""

FREEDOMS = ("inplace", "reuse", "join", "recompute")
"""What a plan may do, but need not: a solver that knows nothing of it answers all the same."""


PINNED = {
    "keep": "keep",
    "host": "host",
    "memory": "a memory by its name",
    "offset": "an offset in the first memory",
}
"""Kinds of pins, as `Pin.kinds` calls them, and in words."""


@dataclass(frozen=True)
class Capabilities:
    """The problems that a solver plans for; by default what every solver of scratchpad machines can do.

    What it lacks of `FREEDOMS` is no reason to refuse a problem: it is asked for a plan that does without, and of
    its bound as much is kept as holds for the whole problem.

    Args:
        objectives: what it can minimise.
        memories: "scratchpad", machines with one fast memory and a backing memory alone, or "any" target.
        operands: of `OPERANDS`, the kinds of machine that it knows.
        accesses: whether its traffic counts what ops read and write in slow memory themselves.
        queues: numbers of copying queues that it knows, None for any.
        orders: words of the option order that it knows.
        io: words of the option io that it knows.
        pins: of `PINNED`, the kinds of pins that it honours.
        inplace: whether it writes outputs over operands, at their last use.
        reuse: whether it does so before, over what was stored.
        join: whether it lays operands side by side in what joins them.
        recompute: whether it executes ops again.

    >>> from memplan import Capabilities
    >>> Capabilities(("traffic",)).objectives
    ('traffic',)
    """

    objectives: tuple[str, ...] = ("traffic", "peak")
    memories: str = "scratchpad"
    operands: tuple[str, ...] = OPERANDS
    accesses: bool = False
    queues: tuple[int, ...] | None = (1, 2)
    orders: tuple[str, ...] = ("free", "program")
    io: tuple[str, ...] = ("host", "resident", "external")
    pins: tuple[str, ...] = ("keep", "host", "offset")
    inplace: bool = True
    reuse: bool = False
    join: bool = False
    recompute: bool = False

    def words(self) -> dict[str, str]:
        """Each of them in words, by the column of a table."""
        return {
            "minimises": ", ".join(self.objectives),
            "targets": "any" if self.memories == "any" else "two memories",
            "operands": ", ".join(self.operands),
            "queues": "any" if self.queues is None else ", ".join(map(str, self.queues)),
            "order": ", ".join(self.orders),
            "io": ", ".join(self.io),
            "pins": ", ".join(self.pins),
            "may use": ", ".join(freedom for freedom in FREEDOMS if getattr(self, freedom)),
        }

    def lacks(self, problem: Problem) -> list[str]:
        """What of the problem is beyond it, in words that follow "does not plan for"; nothing if it is a fair question."""
        problem = posed(problem)
        options, target = problem.options, problem.target
        found = []
        if options.objective not in self.objectives:
            found.append(f"objective {options.objective}")
        beyond = beyond_two_level(target)
        if beyond and self.memories == "scratchpad":
            if options.objective == "peak":
                found.append(f"objective peak on target '{target.name}', where {lying_elsewhere(problem)}")
            else:
                found.append(f"target '{target.name}' with {beyond}")
        elif self.queues is not None and target.queues not in self.queues:
            found.append(f"target '{target.name}' with {target.queues} copying queues")
        operands = OPERANDS[target.direct]
        if not beyond and operands not in self.operands:
            found.append(_operands_beyond(target))
        if not (beyond or self.accesses) and options.objective == "traffic" and target.direct:
            found.append(f"objective traffic where ops use '{target.host.name}' directly")
        if options.order not in self.orders:
            found.append(f"order {options.order}")
        if options.io not in self.io:
            found.append(f"io {options.io}")
        asked = {kind for pin in problem.pins.values() for kind in pin.kinds}
        found += [f"pins to {PINNED[kind]}" for kind in sorted(asked - set(self.pins))]
        return found


def _operands_beyond(target: Target) -> str:
    if target.direct:
        return f"ops that use '{target.host.name}' directly"
    return f"operands that must all be in '{target.scratchpad.name}'"
