"""One order as a program over its gaps, every choice of them tried."""

from __future__ import annotations

import random
from itertools import product

from memplan_solvers.ilp.gaps import Gaps, ReuseGap
from memplan_solvers.place import live_bytes
from memplan_solvers.residency import Walk, blocks_of, traffic

from tests.agree import random_problem
from tests.programs import problem


def test_gaps_are_between_touches_and_what_is_forced_is_the_base() -> None:
    found = problem("x>a a>b b>c a,c>y", {"a": 4, "b": 2}, 7)
    gaps = Gaps(Walk(found, (0, 1, 2, 3)), 7)
    a, b, c = (found.number[name] for name in "abc")
    assert gaps.gaps == (ReuseGap(a, 0, 1), ReuseGap(a, 1, 3), ReuseGap(b, 1, 2), ReuseGap(c, 2, 3))
    assert gaps.base == (5, 6, 3, 6)
    assert gaps.fits([1, 1, 1, 1]) and not Gaps(gaps.walk, 6).fits([1, 1, 1, 1])  # a stays beside b and c
    assert gaps.stretches([1, 0, 1, 1])[a] == [(0, 2), (3, 4)]


def test_the_program_holds_for_the_choices_that_fit_and_its_value_is_their_traffic() -> None:
    seen = {True: 0, False: 0}
    for seed in range(150):
        found = random_problem(seed, "traffic", ops=6, pins=False)
        walk = Walk(found, tuple(range(found.n)))
        capacity = max(found.need, default=0) + random.Random(seed).randint(0, 6)
        gaps = Gaps(walk, capacity)
        if len(gaps.gaps) > 8 or max(gaps.base, default=0) > capacity:
            continue
        program, keep, store = gaps.linear()
        for kept in product((False, True), repeat=len(gaps.gaps)):
            stretches = gaps.stretches(kept)
            assert gaps.choice(stretches) == list(kept)
            x = [0] * len(program.lower)
            for variable, stays in zip(keep, kept, strict=True):
                x[variable] = int(stays)
            for s, variable in store.items():
                x[variable] = int(any(g.storage == s and not k for g, k in zip(gaps.gaps, kept, strict=True)))
            fits = live_bytes(blocks_of(walk, stretches)) <= capacity
            assert gaps.fits(kept) == fits == program.holds(x), (seed, kept)
            assert program.value(x) == traffic(found, stretches), (seed, kept)
            seen[fits] += 1
    assert min(seen.values()) > 150, seen


def test_filling_up_keeps_what_was_and_all_that_still_fits_in_turn() -> None:
    filled_up = 0
    for seed in range(150):
        dice = random.Random(seed)
        found = random_problem(seed, "traffic", ops=6, pins=False)
        capacity = max(found.need, default=0) + dice.randint(0, 6)
        gaps = Gaps(Walk(found, tuple(range(found.n))), capacity)
        if max(gaps.base, default=0) > capacity:
            continue
        kept = [False] * len(gaps.gaps)
        ranked = dice.sample(range(len(kept)), len(kept))
        expected = list(kept)
        for k in ranked:  # each is asked with those before it
            expected[k] = True
            expected[k] = gaps.fits(expected)
        assert gaps.filled(kept, ranked) == expected, seed
        filled_up += any(expected) and not all(expected)
    assert filled_up > 8
