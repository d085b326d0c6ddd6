"""Random numbers of compiled searches."""

from __future__ import annotations

import numpy as np

from memplan_solvers.common.arrays import Words
from memplan_solvers.jit import inlined


@inlined(allocates=False)
def rand(state: Words) -> float:
    """A uniform number in [0, 1) by xorshift64*; `state` has one word, which is never 0."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return float((x * np.uint64(2685821657736338717)) >> np.uint64(11)) / 9007199254740992.0
