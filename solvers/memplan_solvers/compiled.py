"""Kernels are compiled once on a machine, by a process of their own, and read from numba's cache ever after.

Compiling is no part of a solve: whoever needs kernels waits here, the clock of its solve standing, and the caller is told
of it; so a first plan is as good as any later one. A cancellation ends the wait, and leaves what can be done without. The
process goes on when nobody waits any more, as long as this one lives; the next plan finds what it has compiled.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from memplan.base.children import end_with_parent, start
from memplan.solving.limits import Limits


class Kind(NamedTuple):
    """The module whose `warm` calls every kernel of a kind once, what they are for, about how many seconds compiling
    takes a core, the kind whose kernels they call, and the kind that is compiled beside them, since who needs them needs it too.
    """

    name: str
    module: str
    use: str
    seconds: int
    after: str = ""
    beside: str = ""

    def ready(self) -> bool:
        """Whether nothing is left to compile; what is kept on disk is loaded."""
        with _lock:
            return self.name in _loaded or _warm(self.name, unless=lambda: True)

    def compiler(self) -> subprocess.Popen[bytes]:
        """The one process that compiles them for this one, to disk; interrupts from the terminal do not reach it."""
        with _lock:
            if self.name not in _compilers:
                _compilers[self.name] = start(
                    __name__,
                    self.name,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            return _compilers[self.name]


KERNELS = {
    kind.name: kind
    for kind in (
        Kind("assign", "memplan_solvers.latency.msa", "memory space assignment", 10),
        Kind("anneal", "memplan_solvers.latency.anneal", "annealing", 25, after="assign"),
        Kind(
            "game",
            "memplan_solvers.malloc_game.guided",
            "the mallocGame and its annealing",
            60,
            after="anneal",
        ),
        Kind("peak", "memplan_solvers.peak.search", "the search for the least peak", 4),
        Kind(
            "search",
            "memplan_solvers.search.search",
            "the search over order and spills",
            20,
            after="peak",
            beside="frontiers",
        ),
        Kind("frontiers", "memplan_solvers.search.frontier", "the bounds of that search", 12, after="peak"),
        Kind("pack", "memplan_solvers.offsets.packer", "exact packing", 3),
        Kind("repair", "memplan_solvers.offsets.ejection_chains", "packing by repair", 3),
        Kind("recompute", "memplan_solvers.recompute.anneal", "annealing of executions", 5),
    )
}
"""By the name that their users call them."""

PAUSE_S = 0.02
"""Seconds between two looks at a compiler."""

_loaded: set[str] = set()
_lock = threading.RLock()
_compilers: dict[str, subprocess.Popen[bytes]] = {}


def load(name: str, limits: Limits) -> bool:
    """Whether the kernels called `name`, and those beside them, are loaded, compiled before if need be; False where the solve is
    cancelled meanwhile, or nothing may be compiled.

    Its clock stands until then, whatever its limit.
    """
    kind = KERNELS[name]
    missing = {part for part in (name, kind.beside) if part} - _loaded
    if not missing:
        return True
    with limits.clock.standing():
        loaded = _obtain(kind, missing, limits)
    if not loaded:
        limits.clock.given_up[kind.use] = None
    return loaded


def _obtain(kind: Kind, missing: set[str], limits: Limits) -> bool:
    """`load` of the kinds that are missing, which are there for the sake of `kind`."""
    with _lock:
        cold = [part for part in sorted(missing) if not (part in _loaded or _warm(part, unless=lambda: True))]
        if not (cold and limits.compiles):
            return not cold
        compilers = [KERNELS[part].compiler() for part in cold]
    limits.notify(
        f"compiling {kind.use}, some {kind.seconds} s, once on this machine and not part of the time limit"
    )
    while any(compiler.poll() is None for compiler in compilers):
        if limits.cancelled():
            return False
        time.sleep(PAUSE_S)
    with _lock:
        cold = [part for part in cold if not (part in _loaded or _warm(part, unless=lambda: True))]
        if not cold:
            return True
        _warn()
        return all(_warm(part, unless=limits.cancelled) for part in cold)


@cache
def _warn() -> None:
    """Say once that nothing could be kept on disk."""
    warnings.warn(
        "memplan's compiled kernels cannot be kept on disk, so they are compiled anew for this process: "
        "set NUMBA_CACHE_DIR to a folder that can be written and has room",
        RuntimeWarning,
        stacklevel=2,
    )


def _warm(name: str, unless: Callable[[], bool] = lambda: False) -> bool:
    """Load from the cache what is there and compile the rest; False as soon as there is a rest and `unless` says so."""
    from numba.core import event

    me = threading.get_ident()

    class Refusal(event.Listener):  # type: ignore[misc,unused-ignore]
        def on_start(self, event: Any) -> None:
            if threading.get_ident() == me and unless():
                raise _NotCompiled

        def on_end(self, event: Any) -> None:
            pass

    try:
        with event.install_listener("numba:compile", Refusal()):
            import_module(KERNELS[name].module).warm()
    except _NotCompiled:
        return False
    _loaded.add(name)
    return True


class _NotCompiled(Exception):
    """Something would have to be compiled."""


if __name__ == "__main__":
    from memplan_solvers import jit

    end_with_parent()
    jit.way.when_not_kept = sys.exit  # who asked compiles for itself: not everything twice
    _warm(sys.argv[1])
