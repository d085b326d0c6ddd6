"""What is compiled once on a machine: the inner loops of solvers, in groups that packages name by entry points."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
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

    @property
    def after(self) -> str:
        """The group whose kernels they call, "" where there is none."""

    def ready(self) -> bool:
        """Whether nothing is left to compile; what is kept on disk is loaded."""

    def compiler(self) -> Popen[bytes]:
        """A process that compiles them and ends."""


class Warming(NamedTuple):
    """How far compiling is: what is compiled now, and the seconds of a core that are done, of how many."""

    compiling: tuple[str, ...]
    done: float
    total: float


def kernel_groups() -> dict[str, KernelGroup]:
    """All groups of all packages by name."""
    return {name: group for point in plugins(KERNELS).values() for name, group in load_plugin(point).items()}


def warm(cancelled: Callable[[], bool], names: Collection[str] | None = None) -> Iterator[Warming]:
    """Compile every group that is not ready, or those of these names, one to a core; where it stands, now and then, until all is done.

    A group waits for the one whose kernels it calls, which would be compiled twice. A cancellation ends the compilers.
    """
    asked = {name: group for name, group in kernel_groups().items() if names is None or name in names}
    waiting = {name: group for name, group in asked.items() if not group.ready()}
    total = float(sum(group.seconds for group in waiting.values()))
    done = 0.0
    running: dict[str, tuple[KernelGroup, Popen[Any], float]] = {}
    while (waiting or running) and not cancelled():
        for name, group in list(waiting.items()):
            if len(running) < (os.cpu_count() or 1) and not {group.after} & {*waiting, *running}:
                running[name] = (waiting.pop(name), group.compiler(), time.monotonic())
        time.sleep(PAUSE_S)
        for name in [name for name, (_, compiler, _) in running.items() if compiler.poll() is not None]:
            done += running.pop(name)[0].seconds
        begun = sum(min(time.monotonic() - start, group.seconds) for group, _, start in running.values())
        yield Warming(tuple(group.use for group, _, _ in running.values()), done + begun, total)
    for _, compiler, _ in running.values():
        compiler.terminate()
