"""What goes on while a command solves: the live line says how far it is, and Ctrl-C ends it with the best so far."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from memplan.cli.common import print_stderr
from memplan.cli.terminal import overwrite
from memplan.solving.capacities import NotFoundInTime
from memplan.solving.limits import Progress


class LiveLine:
    """Best value, bound, gap and time on one line of a terminal, none when piped; each notice on a line of its own."""

    def __init__(self) -> None:
        self.shown = False
        self.said: set[str] = set()
        self.enabled = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        if progress.notice:
            if progress.phase not in self.said:
                self.clear()
                print_stderr(progress.phase)
            self.said.add(progress.phase)
            return
        if not self.enabled:
            return
        gap = "-" if progress.gap is None else f"{100 * progress.gap:.1f} %"
        best = "-" if progress.value is None else f"{progress.value:,.10g}"
        nodes = "" if progress.nodes is None else f", {progress.nodes:,} nodes"
        line = f"{progress.phase}: best {best}, bound {progress.bound:,.10g}, gap {gap}{nodes}, {progress.seconds:.1f} s"
        overwrite(line)
        self.shown = True

    def clear(self) -> None:
        """Wipe the line before other output."""
        if self.shown:
            overwrite()


@contextmanager
def interruptible() -> Iterator[Any]:
    """A `cancel` callback that turns true on the first Ctrl-C; a second one does what it would do elsewhere.

    KeyboardInterrupt where there is nothing to show when it is pressed.
    """
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        if len(pressed) > 1 and callable(before):
            before(number, frame)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    except NotFoundInTime:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
