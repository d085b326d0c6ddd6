"""The walk over sets of storages that make room, against all subsets."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from memplan_solvers.common.arrays import Ints
from memplan_solvers.jit import kernel
from memplan_solvers.search.layered_search import Engine
from memplan_solvers.search.state import SubproblemArrays
from memplan_solvers.search.subproblem import PROHIBITIVE, whole
from memplan_solvers.search.subsets import Leavers, begin, give_back, is_exhausted, new_leavers, take

from tests.agree import random_problem


@kernel
def freeing(
    flat: SubproblemArrays, i: int, present: Ints, leavers: Leavers, lack: int, minimal: bool, found: Ints
) -> int:
    """Write the sets of storages that free `lack` bytes before op i to `found`, as bits; how many."""
    count = 0
    walk = begin(flat, i, present, leavers)
    chosen = np.int64(0)
    while True:
        over = is_exhausted(walk, lack, minimal)
        if walk.freed >= lack and (minimal or over):
            found[count] = chosen
            count += 1
        if over:
            if walk.depth == 0:
                break
            walk = give_back(flat.size, leavers, walk)
            chosen ^= np.int64(1) << leavers.storage[leavers.chosen[walk.depth]]
        else:
            chosen |= np.int64(1) << leavers.storage[walk.at]
            walk = take(flat.size, leavers, walk)
    return count


@pytest.mark.slow(reason="compiles kernels of its own")
def test_each_set_that_frees_enough_is_met_once_and_with_minimal_no_superset() -> None:
    several = 0
    for seed in range(150):
        dice = random.Random(seed)
        subproblem = whole(random_problem(seed, "traffic", pins=False))
        if not subproblem.n or not subproblem.size:
            continue
        flat, i = Engine(subproblem).flat, dice.randrange(subproblem.n)
        count = len(subproblem.size)
        present = sorted(dice.sample(range(count), min(count, 8)))
        may_leave = [
            s for s in present
            if subproblem.size[s] and subproblem.reload[s] < PROHIBITIVE and s not in subproblem.touched[i]
        ]  # fmt: skip
        sizes = subproblem.size
        lack = dice.randint(1, 1 + sum(sizes[s] for s in may_leave) * 2 // 3)
        subsets = [c for k in range(len(may_leave) + 1) for c in combinations(may_leave, k)]
        enough = [c for c in subsets if sum(sizes[s] for s in c) >= lack]
        needed = [c for c in enough if all(sum(sizes[s] for s in c) - sizes[s] < lack for s in c)]
        for minimal, expected in ((True, needed), (False, enough)):
            found = np.zeros(2 ** len(may_leave) + 1, np.int64)
            met = freeing(flat, i, np.array(present, np.int64), new_leavers(count), lack, minimal, found)
            assert sorted(found[:met].tolist()) == sorted(sum(1 << s for s in c) for c in expected), seed
        several += len(needed) > 1
    assert several > 15
