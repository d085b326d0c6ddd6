"""Placements made in one pass: storages in some order, each in the cheapest place that still has a hole for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from memplan.problem.placeable import Place
from memplan.solving.limits import Limits
from memplan_solvers.common.holes import smallest_hole
from memplan_solvers.common.occupancy import Occupancy
from memplan_solvers.placement.layout import PlacedBlock, PlacementLayout, blocks_of, capacity_of
from memplan_solvers.placement.lives import Lives, Pair

ROUNDS = 60
"""Fillings in orders that were changed at random, in all."""

FEW = 1_000
"""Storages that are placed though the time is up, since without them there is no answer."""

STILL = 20
"""Such fillings in a row without a better one after which no more are made."""


class Filling:
    """A placement that grows: what lies where, storage by storage."""

    def __init__(self, lives: Lives) -> None:
        self.lives = lives
        self.places: list[Place | None] = [None] * len(lives.items)
        self.pairs: list[Pair] = []
        self.over, self.under = set[int](), set[int]()  # outputs and operands of these pairs
        self.contents = {name: _Contents(lives.n) for name in lives.addressed}
        self.capacity = {m: capacity_of(lives, m, _all_blocks(lives, m)) for m in lives.addressed}
        self.partners: dict[int, list[Pair]] = {}
        for pair in lives.pairs:
            self.partners.setdefault(pair.output, []).append(pair)
            self.partners.setdefault(pair.operand, []).append(pair)

    def put(self, k: int, places: Iterable[Place]) -> bool:
        """Place storage `k` in the first of the places that has a hole for it; False where none has."""
        for place in places:
            spans = self.lives.spans(k, place)
            if not spans or self._shares(k, place) or self._fits(k, place, spans):
                self.places[k] = place
                return True
        return False

    def _fits(self, k: int, place: Place, spans: Sequence[tuple[int, int]]) -> bool:
        inside, end = self.contents[place.memory], self.capacity[place.memory]
        found = []
        for start, stop in spans:
            taken = inside.occupied.taken(start, stop)
            if place.offset is None:
                offset = smallest_hole(taken, place.size, end, place.alignment)
            else:
                clash = any(low < place.offset + place.size and place.offset < high for low, high, _ in taken)
                offset = -1 if place.size and clash or place.offset + place.size > end else place.offset
            if offset < 0:
                return False
            found.append((start, stop, offset))
        for start, stop, offset in found:
            inside.add(k, start, stop, offset, place.size)
        return True

    def _shares(self, k: int, place: Place) -> bool:
        """Place it over, or under, its partner in a pair, where both then lie apart from all else."""
        inside = self.contents[place.memory]
        for pair in self.partners.get(k, ()):
            other = pair.operand if k == pair.output else pair.output
            lying = self.places[other]
            if lying is None or lying.memory != place.memory:
                continue
            if pair.output in self.over or pair.operand in self.under:
                continue
            offset = inside.offset[other]
            if self.lives.may_share(pair.output, pair.operand, place.memory) is None:
                continue
            if offset % place.alignment or place.offset not in (None, offset):
                continue
            ((start, stop),) = self.lives.spans(k, place)
            taken = inside.occupied.taken(start, stop)
            if all(who == other or high <= offset or offset + place.size <= low for low, high, who in taken):
                inside.add(k, start, stop, offset, place.size)
                self.pairs.append(pair)
                self.over.add(pair.output)
                self.under.add(pair.operand)
                return True
        return False

    def layout(self) -> PlacementLayout:
        """The layout, once every storage has a place."""
        places = [p for p in self.places if p is not None]
        blocks, offsets = dict[str, list[PlacedBlock]](), dict[str, list[int]]()
        for memory, inside in self.contents.items():
            blocks[memory] = blocks_of(self.lives, places, self.pairs, memory)[0]
            at = {(k, start): offset for k, start, offset in inside.begun}
            offsets[memory] = [at[b.members[0][:2]] for b in blocks[memory]]
        return PlacementLayout(self.lives, tuple(places), tuple(sorted(self.pairs)), blocks, offsets)


class _Contents:
    """What lies in one memory."""

    def __init__(self, steps: int) -> None:
        self.occupied = Occupancy(steps)
        self.offset: dict[int, int] = {}
        self.begun: list[tuple[int, int, int]] = []

    def add(self, k: int, start: int, stop: int, offset: int, size: int) -> None:
        self.occupied.add(k, start, stop, offset, offset + size)
        self.offset[k] = offset
        self.begun.append((k, start, offset))


def _all_blocks(lives: Lives, memory: str) -> list[PlacedBlock]:
    return [
        PlacedBlock(0, 1, p.size, p.alignment, p.offset)
        for item in lives.items
        for p in item.places
        if p.memory == memory
    ]


def filled(
    lives: Lives, order: Iterable[int], stop: Callable[[], bool], fastest: bool = False
) -> PlacementLayout | None:
    """The placement that takes the storages in this order, each in its cheapest place with a hole.

    With `fastest`, in the fastest memory instead, whatever it costs. None where a storage finds no place, or `stop`
    says so.
    """
    filling = Filling(lives)
    for k in order:
        if stop():
            return None
        places = lives.items[k].places
        if not filling.put(k, places if fastest else sorted(places, key=lambda p: p.cost)):
            return None
    return filling.layout()


def fastest_first(lives: Lives, stop: Callable[[], bool] = lambda: False) -> PlacementLayout | None:
    """What a compiler without costs does: by first touch, each storage in the fastest memory that has a hole for it.

    Those that can lie in one memory alone come first.
    """
    order = sorted(range(len(lives.items)), key=lambda k: (_free(lives, k), lives.first[k], k))
    return filled(lives, order, stop, fastest=True)


def without_addresses(lives: Lives, stop: Callable[[], bool]) -> PlacementLayout | None:
    """The placement in the memories that need no addresses, which takes no time to find: as far as storages can lie there.

    Workspaces, which are seldom together, take the cheapest holes, as others do that have no other place: `FEW` of these in
    any case, more until `stop` says that the time is up. None where one of them finds none.
    """

    def has_room(k: int) -> bool:
        item = lives.items[k]
        return item.is_workspace or any(p.memory not in lives.addressed for p in item.places)

    filling = Filling(lives)
    order = sorted(range(len(lives.items)), key=lambda k: (has_room(k), _free(lives, k)))
    for at, k in enumerate(order):
        places = sorted(lives.items[k].places, key=lambda p: (p.memory in lives.addressed, p.cost))
        if (at >= FEW and not has_room(k) and stop()) or not filling.put(k, places):
            return None
    return filling.layout()


def _free(lives: Lives, k: int) -> bool:
    return len(lives.items[k].places) > 1


def _saving(lives: Lives, k: int) -> float:
    """What the cheapest place of a storage saves against the dearest: none, where it has no choice."""
    costs = [p.cost for p in lives.items[k].places]
    return max(costs) - min(costs)


def _extent(lives: Lives, k: int) -> tuple[int, int]:
    """The bytes and the steps that the storage takes in its cheapest place, at least one."""
    place = min(lives.items[k].places, key=lambda p: p.cost)
    return max(1, place.size), max(1, sum(stop - start for start, stop in lives.spans(k, place)))


def best_filled(
    lives: Lives, limits: Limits, patience: Limits, enough: float = 0.0
) -> PlacementLayout | None:
    """The cheapest of many fillings: by several ranks, and in the best rank's order changed at random.

    Never dearer than `fastest_first` where that finds a placement; ends at a cost of `enough`, and is cut off by
    `patience`, as long as there is none by `limits`. Where even the first is cut off nothing is placed that need not be.
    The seed is that of the limits.
    """
    return _best_of_many(lives, limits, patience, enough) or without_addresses(lives, limits.spent)


def _best_of_many(lives: Lives, limits: Limits, patience: Limits, enough: float) -> PlacementLayout | None:
    everything = range(len(lives.items))
    saving = [_saving(lives, k) for k in everything]
    extent = [_extent(lives, k) for k in everything]
    ranks: list[list[float]] = [
        [-saving[k] / (extent[k][0] * extent[k][1]) for k in everything],
        [-saving[k] / extent[k][0] for k in everything],
        [-saving[k] / extent[k][0] - extent[k][1] for k in everything],
        [-float(extent[k][0]) for k in everything],
        [-float(extent[k][1]) for k in everything],
    ]
    best, chosen = fastest_first(lives, limits.spent), ranks[0]
    if best is not None and best.cost <= enough:
        return best
    for rank in ranks:
        found = filled(lives, _ranked(lives, rank), patience.spent if best else limits.spent)
        if found is not None and (best is None or found.cost < best.cost):
            best, chosen = found, rank
        if patience.spent() or (best is not None and best.cost <= enough):
            return best
    rng, since = random.Random(limits.seed), 0
    places = {value: at for at, value in enumerate(sorted(set(chosen)))}
    current = [float(places[value]) for value in chosen]
    for _ in range(ROUNDS):
        reach = max(1.0, len(places) * rng.choice((0.02, 0.1, 0.3)))
        changed = [value + rng.uniform(-reach, reach) * (rng.random() < 0.3) for value in current]
        found = filled(lives, _ranked(lives, changed), patience.spent if best else limits.spent)
        since += 1
        if found is not None and (best is None or found.cost < best.cost):
            best, current, since = found, changed, 0
        if since > STILL or patience.spent() or (best is not None and best.cost <= enough):
            break
    return best


def _ranked(lives: Lives, rank: Sequence[float]) -> list[int]:
    """The storages by rank, those with a single place before all others."""
    return sorted(range(len(lives.items)), key=lambda k: (_free(lives, k), rank[k], k))
