"""Whether the packer agrees with a brute force on seeded random instances of up to 8 buffers.

`python -m tests.solvers.offsets.agree --count 5000` is the long run; the tests ask for fewer.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterable

from memplan.packing.packer import pack_buffers
from memplan.problem.plan import Status
from tests.solvers.offsets.instances import least_peak, tiny


def check(seeds: Iterable[int]) -> Counter[str]:
    """The least peak, its bound and a random capacity, for each seed; AssertionError names the first that is wrong."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng = random.Random(seed)
        buffers = tiny(rng)
        found = pack_buffers(buffers, workers=1, time_limit_s=30)
        least = least_peak(buffers)
        assert found.peak == least, (seed, found, least)
        assert found.status is (Status.INFEASIBLE if least is None else Status.OPTIMAL), (seed, found)
        assert found.bound <= (least if least is not None else 10**9)
        capacity = rng.randint(0, 20)
        fitted = pack_buffers(buffers, capacity, workers=1, time_limit_s=30)
        possible = least is not None and capacity >= least
        assert (fitted.status in (Status.FEASIBLE, Status.OPTIMAL)) == possible, (seed, capacity, fitted)
        if not possible:
            assert fitted.status is Status.INFEASIBLE, (seed, capacity, fitted)
        seen.update(
            {
                "fits" if possible else "infeasible": 1,
                "gaps": any(b.gaps for b in buffers),
                "fixed": any(b.offset is not None for b in buffers),
                "aligned": any(b.alignment > 1 for b in buffers),
            }
        )
    return seen


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5000)
    begin = time.process_time()
    count = parser.parse_args().count
    print(f"{count} instances agree: {dict(check(range(count)))}, {time.process_time() - begin:.0f} CPU s")
