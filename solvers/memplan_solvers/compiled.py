"""Kernels are compiled once on a machine, by a process of their own, and read from numba's cache ever after.

Compiling takes seconds, and is no part of a solve. `ready` is for who can do without: it waits no longer than the
budget lasts. `load` is for a solver that was asked for by name: it waits, and says how long, to be taken off its clock.
The process goes on when nobody waits any more, as long as this one lives; the next plan finds what it has compiled.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import warnings
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

from memplan.base.children import end_with_parent, start
from memplan.solving.solver import Budget

KERNELS = {
    "assign": "memplan_solvers.latency.msa",
    "anneal": "memplan_solvers.latency.anneal",
    "game": "memplan_solvers.malloc_game.guided",
    "pack": "memplan_solvers.offsets.packer",
    "peak": "memplan_solvers.peak.search",
    "repair": "memplan_solvers.offsets.ejection_chains",
    "search": "memplan_solvers.search.search",
}
"""Modules whose `warm` calls every kernel of a kind once."""

PAUSE_S = 0.02
"""Seconds between two looks at a compiler."""

_loaded: set[str] = set()
_lock = threading.Lock()
_compilers: dict[str, subprocess.Popen[bytes]] = {}


def ready(name: str, budget: Budget) -> bool:
    """Whether the kernels called `name` are compiled by the time the budget is spent; they are loaded then."""
    if name in _loaded:
        return True
    with _lock:
        if name in _loaded or _load(name):
            return True
        if name not in _compilers:
            _compilers[name] = _compiler(name)
    budget.report(f"compiling {name}, once on this machine", None, 0)
    while _compilers[name].poll() is None:
        if budget.spent():
            return False
        time.sleep(PAUSE_S)
    with _lock:
        if name not in _loaded and not _load(name):
            _warn()
            _warm(name)
    return True


def load(name: str, budget: Budget) -> Budget:
    """The budget, its clock put back by what compiling or loading the kernels called `name` took."""
    before = budget.seconds
    while not ready(name, replace(budget, time_limit_s=float("inf"))):
        if budget.spent():  # cancelled
            break
    return replace(budget, started=budget.started + budget.seconds - before)


@cache
def _warn() -> None:
    """Say once that nothing could be kept on disk."""
    warnings.warn(
        "memplan's compiled kernels cannot be kept on disk, so they are compiled anew for this process: "
        "set NUMBA_CACHE_DIR to a folder that can be written and has room",
        RuntimeWarning,
        stacklevel=2,
    )


def _warm(name: str) -> None:
    import_module(KERNELS[name]).warm()
    _loaded.add(name)


def _load(name: str) -> bool:
    """Load from the cache; False where something is not there."""
    from numba.core import event

    me = threading.get_ident()

    class Refusal(event.Listener):  # type: ignore[misc,unused-ignore]
        def on_start(self, event: Any) -> None:
            if threading.get_ident() == me:
                raise _NotCompiled

        def on_end(self, event: Any) -> None:
            pass

    try:
        with event.install_listener("numba:compile", Refusal()):
            _warm(name)
    except _NotCompiled:
        return False
    return True


class _NotCompiled(Exception):
    """Something would have to be compiled."""


def _compiler(name: str) -> subprocess.Popen[bytes]:
    """A process that compiles; interrupts from the terminal do not reach it."""
    return start(
        __name__,
        name,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


if __name__ == "__main__":
    from memplan_solvers import jit

    end_with_parent()
    jit.when_not_kept = sys.exit  # who asked compiles for itself: not everything twice
    _warm(sys.argv[1])
