"""What is compiled once on a machine: the inner loops of solvers, in groups that packages name by entry points."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from subprocess import Popen
from typing import Any, NamedTuple, Protocol

from memplan.base.plugins import KERNELS, load_plugin, plugins

PAUSE_S = 0.1
"""Seconds between two looks at the compilers."""


class KernelGroup(Protocol):
    """Kernels that are compiled together."""

    @property
    def use(self) -> str:
        """What they are for."""

    @property
    def seconds(self) -> int:
        """About how long a core compiles them."""

    def ready(self) -> bool:
        """Whether nothing is left to compile; what is kept on disk is loaded."""

    def compiler(self) -> Popen[bytes]:
        """A process that compiles them and ends."""


class Warming(NamedTuple):
    """How far compiling is: what is compiled now, and the seconds of a core that are done, of how many."""

    compiling: tuple[str, ...]
    done: float
    total: float


def kernel_groups() -> list[KernelGroup]:
    """All groups of all packages, in the order that their packages name them."""
    return [group for point in plugins(KERNELS).values() for group in load_plugin(point).values()]


def warm(cancelled: Callable[[], bool]) -> Iterator[Warming]:
    """Compile every group that is not ready, one to a core; where it stands, now and then, until all is done.

    Later groups call kernels of earlier ones, so they start in the order named. A cancellation ends the compilers.
    """
    waiting = [group for group in kernel_groups() if not group.ready()]
    total = float(sum(group.seconds for group in waiting))
    done = 0.0
    running: list[tuple[KernelGroup, Popen[Any], float]] = []
    while (waiting or running) and not cancelled():
        while waiting and len(running) < (os.cpu_count() or 1):
            running.append((waiting[0], waiting.pop(0).compiler(), time.monotonic()))
        time.sleep(PAUSE_S)
        done += sum(group.seconds for group, compiler, _ in running if compiler.poll() is not None)
        running = [run for run in running if run[1].poll() is None]
        begun = sum(min(time.monotonic() - start, group.seconds) for group, _, start in running)
        yield Warming(tuple(group.use for group, _, _ in running), done + begun, total)
    for _, compiler, _ in running:
        compiler.terminate()
