"""What a solve may spend and how it reports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from memplan.base.errors import OptionError
from memplan.problem.plan import Plan, relative_gap


class Progress(NamedTuple):
    """One line of a solver's progress.

    Args:
        phase: what the solver is at, in a word or two.
        value: the best so far, in the objective's bytes or seconds; None without a plan.
        bound: what is proved so far, in the same unit.
        seconds: since the start.
        nodes: what the phase has expanded (sets, states, branches), where it counts anything.
    """

    phase: str
    value: float | None
    bound: float
    seconds: float
    nodes: int | None = None

    @property
    def gap(self) -> float | None:
        """(value - bound) / value, 0 where the value is 0, None without a value."""
        return relative_gap(self.value, self.bound)


@dataclass(frozen=True)
class Budget:
    """What a solve may spend, and what it is told and tells; its clock starts when it is made.

    A solver looks at `spent()` at least every 0.1 s and answers with its best plan once it is true.

    Args:
        time_limit_s: seconds.
        workers: processor cores.
        seed: of whatever is random.
        progress: is told of every improvement.
        cancel: is asked often whether somebody wants the solve to stop.
        start: answers to the same problem at other capacities, evaluated: where a solver may begin.
        bound: holds for the problem, proved elsewhere: a solver whose value meets it may stop.
        started: when, by time.monotonic.
    """

    time_limit_s: float = 10.0
    workers: int = 1
    seed: int = 0
    progress: Callable[[Progress], None] | None = None
    cancel: Callable[[], bool] | None = None
    start: tuple[Plan, ...] = ()
    bound: float = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.monotonic() - self.started

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.time_limit_s - self.seconds)

    def spent(self) -> bool:
        """Whether the time is up or somebody wants the solve to stop."""
        return self.seconds >= self.time_limit_s or (self.cancel is not None and self.cancel())

    def report(self, phase: str, value: float | None, bound: float, nodes: int | None = None) -> None:
        """Tell the caller how far the solve is: the arguments are the fields of `Progress`."""
        if self.progress is not None:
            self.progress(Progress(phase, value, bound, self.seconds, nodes))

    def share(self, part: float) -> Budget:
        """A budget of `part`, from 0 to 1, of the remaining time, starting now."""
        return replace(self, time_limit_s=self.remaining_s * part, started=time.monotonic())


MOST_SECONDS = 1e9
"""The longest time limit that means anything; beyond, clocks of some solvers overflow."""


def budget_for(
    time_limit_s: float,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Budget:
    """The budget a caller asks for, starting now; all cores where `workers` is None. OptionError where it makes no sense."""
    if not (isinstance(time_limit_s, int | float) and 0 < time_limit_s <= MOST_SECONDS):
        raise OptionError(f"time limit {time_limit_s!r}", "it is a positive number of seconds, 10^9 at most")
    if workers is not None and not (isinstance(workers, int) and 1 <= workers < 2**31):
        raise OptionError(f"workers {workers!r}", "it is a whole number from 1, or None for all cores")
    if not (isinstance(seed, int) and 0 <= seed < 2**31):
        raise OptionError(f"seed {seed!r}", "it is a whole number from 0 to 2^31 - 1")
    return Budget(time_limit_s, workers or os.cpu_count() or 1, seed, progress, cancel)
