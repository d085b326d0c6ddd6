"""Which states of a layer another one makes superfluous, in numba."""

from __future__ import annotations

from memplan_solvers.common.arrays import Flags, Ints
from memplan_solvers.jit import inner, kernel
from memplan_solvers.search.layer import Layer
from memplan_solvers.search.remaining_cost import Terms, split_row
from memplan_solvers.search.state import SubproblemArrays, first_bit


@inner(allocates=False)
def turns_into(flat: SubproblemArrays, layer: Layer, a: int, b: int, terms: Terms) -> bool:
    """Whether state a turns into state b of the same set by evictions and stores, having paid no more with these."""
    inside, clean = split_row(layer.row[a], terms)
    other_inside, other_clean = split_row(layer.row[b], terms)
    slack = layer.paid[b] - layer.paid[a]
    for w in range(terms.storage_words):
        bits = inside[w] & ~other_inside[w]
        while bits != 0 and slack >= 0:
            s = (w << 6) + first_bit(bits)
            slack -= flat.reload[s]
            if (clean[w] >> (s & 63)) & 1 == 0:
                slack -= flat.store[s]
            bits &= bits - 1
        bits = inside[w] & other_inside[w] & ~clean[w] & other_clean[w]
        while bits != 0 and slack >= 0:
            slack -= flat.store[(w << 6) + first_bit(bits)]
            bits &= bits - 1
        if slack < 0:
            return False
    return bool(slack >= 0)


@kernel(allocates=False)
def dominate(
    flat: SubproblemArrays, layer: Layer, order: Ints, keep: Flags, kept: Ints, terms: Terms
) -> None:
    """Clear `keep` of states that another of the same set turns into at no more cost.

    `order` lists states by set, then by what was paid. Each is compared with the cheapest that remain, as
    many as there is room for in `kept`.
    """
    count = 0
    standing = -1
    for x in range(order.shape[0]):
        b = order[x]
        if layer.set_of[b] != standing:
            standing = layer.set_of[b]
            count = 0
        worse = False
        for y in range(count):
            if turns_into(flat, layer, kept[y], b, terms):
                worse = True
                break
        keep[b] = not worse
        if not worse and count < kept.shape[0]:
            kept[count] = b
            count += 1
