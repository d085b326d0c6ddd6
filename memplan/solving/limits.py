"""What a solve may spend and how it reports."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from memplan.base.clock import Clock
from memplan.base.errors import OptionError
from memplan.problem.plan import Plan, relative_gap


class Progress(NamedTuple):
    """One line of a solver's progress.

    Args:
        phase: what the solver is at, in a word or two; of a notice, the sentence.
        value: the best so far, in the objective's bytes or seconds; None without a plan.
        bound: what is proved so far, in the same unit.
        seconds: since the start.
        nodes: what the phase has expanded (sets, states, branches), where it counts anything.
        notice: whether it is a sentence to be read by whoever waits, whether or not they watch the values.
    """

    phase: str
    value: float | None
    bound: float
    seconds: float
    nodes: int | None = None
    notice: bool = False

    @property
    def gap(self) -> float | None:
        """(value - bound) / value, 0 where the value is 0, None without a value."""
        return relative_gap(self.value, self.bound)


@dataclass(frozen=True)
class Limits:
    """What a solve may spend, and what it is told and tells; its clock starts when it is made.

    All limits made of these go by its clock. A solver looks at `spent()` at least every 0.1 s and answers
    with its best plan once it is true.

    Args:
        time_limit_s: seconds.
        workers: processor cores.
        seed: of whatever is random.
        progress: is told of every improvement.
        cancel: is asked often whether somebody wants the solve to stop.
        start: answers to the same problem, at other capacities or found by others: where a solver may begin.
        bound: holds for the problem, proved elsewhere: a solver whose value meets it may stop.
        compiles: whether to wait for what is compiled once on a machine; False: do without what is not there.
        clock: stands while something is compiled.
        started: the seconds of the clock at which it was made.
    """

    time_limit_s: float = 10.0
    workers: int = 1
    seed: int = 0
    progress: Callable[[Progress], None] | None = None
    cancel: Callable[[], bool] | None = None
    start: tuple[Plan, ...] = ()
    bound: float = 0
    compiles: bool = True
    clock: Clock = field(default_factory=Clock, repr=False, compare=False)
    started: float = 0.0

    @property
    def seconds(self) -> float:
        """What went by since `started`, both by the clock."""
        return self.clock.seconds - self.started

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.time_limit_s - self.seconds)

    def spent(self) -> bool:
        """Whether the time is up or somebody wants the solve to stop."""
        return self.seconds >= self.time_limit_s or self.cancelled()

    def cancelled(self) -> bool:
        """Whether somebody wants the solve to stop."""
        return self.cancel is not None and self.cancel()

    def report(self, phase: str, value: float | None, bound: float, nodes: int | None = None) -> None:
        """Tell the caller how far the solve is: the arguments are the fields of `Progress`."""
        if self.progress is not None:
            self.progress(Progress(phase, value, bound, self.seconds, nodes))

    def notify(self, sentence: str) -> None:
        """Tell the caller what is waited for."""
        if self.progress is not None:
            self.progress(Progress(sentence, None, 0, self.seconds, notice=True))

    def quiet(self) -> Limits:
        """The same for another problem than the caller's: its values are no news to them, its notices are."""
        return replace(self, progress=self.progress and partial(_pass_notices, self.progress))

    def sooner(self, seconds: float) -> Limits:
        """Limits that end so many seconds earlier, but leave half of the time."""
        return replace(self, time_limit_s=max(self.time_limit_s - seconds, self.time_limit_s / 2))

    def share(self, part: float) -> Limits:
        """Limits of `part`, from 0 to 1, of the remaining time, starting now."""
        return replace(self, time_limit_s=self.remaining_s * part, started=self.clock.seconds)


def _pass_notices(tell: Callable[[Progress], None], news: Progress) -> None:
    if news.notice:
        tell(news)


MOST_SECONDS = 1e9
"""The longest time limit that means anything; beyond, clocks of some solvers overflow."""


def limits_for(
    time_limit_s: float,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    compiles: bool = True,
) -> Limits:
    """The limits a caller asks for, starting now; all cores where `workers` is None. OptionError where it
    makes no sense.
    """
    if not (isinstance(time_limit_s, int | float) and 0 < time_limit_s <= MOST_SECONDS):
        raise OptionError(f"time limit {time_limit_s!r}", "it is a positive number of seconds, 10^9 at most")
    if workers is not None and not (isinstance(workers, int) and 1 <= workers < 2**31):
        raise OptionError(f"workers {workers!r}", "it is a whole number from 1, or None for all cores")
    if not (isinstance(seed, int) and 0 <= seed < 2**31):
        raise OptionError(f"seed {seed!r}", "it is a whole number from 0 to 2^31 - 1")
    return Limits(time_limit_s, workers or os.cpu_count() or 1, seed, progress, cancel, compiles=compiles)
