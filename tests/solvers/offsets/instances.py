"""Random buffers, small and large, and a brute force for the small ones."""

from __future__ import annotations

import random
from collections.abc import Sequence

from memplan.packing.buffers import Buffer, Gap


def tiny(rng: random.Random) -> list[Buffer]:
    """Up to 8 buffers, some aligned, fixed or with gaps, windows in some of those."""
    horizon = rng.randint(1, 7)
    plain = rng.random() < 0.4
    buffers = []
    for k in range(rng.randint(1, 8)):
        start = rng.randrange(horizon)
        stop = rng.randint(start + 1, horizon)
        size = rng.randint(0, 6)
        alignment = 1 if plain else rng.choice((1, 1, 2, 3, 4))
        offset = None if plain or rng.random() < 0.8 else rng.randrange(3) * alignment
        gaps = () if plain or rng.random() < 0.7 else tuple(_gaps(rng, start, stop, size))
        buffers.append(Buffer(f"b{k}", start, stop, size, alignment, offset, gaps))
    return buffers


def _gaps(rng: random.Random, start: int, stop: int, size: int) -> list[Gap]:
    found, at = [], start
    while at < stop and rng.random() < 0.7:
        begin = rng.randint(at, stop - 1)
        end = rng.randint(begin + 1, stop)
        low, high = sorted((rng.randint(0, size), rng.randint(0, size))) if rng.random() < 0.5 else (0, 0)
        found.append(Gap(begin, end, low, high))
        at = end
    return found


def clash(a: Buffer, x: int, b: Buffer, y: int) -> bool:
    """Whether `a` at offset x and `b` at y use a byte in the same step, byte by byte."""
    return any(_used(a, x, t) & _used(b, y, t) for t in range(max(a.start, b.start), min(a.stop, b.stop)))


def _used(b: Buffer, at: int, step: int) -> set[int]:
    low, high = 0, b.size
    for gap in b.gaps:
        if gap.start <= step < gap.stop:
            low, high = gap.low, gap.high
    return set(range(at + low, at + high))


def least_peak(buffers: Sequence[Buffer]) -> int | None:
    """The least peak of any packing, by trying every offset of every buffer; None where fixed ones collide."""
    rows = sorted(buffers, key=lambda b: (b.offset is None, -b.size))
    best = 1 + sum(b.size + b.alignment for b in buffers) + max((b.offset or 0 for b in buffers), default=0)
    beyond = best
    # A bit for each byte of each step, steps `beyond` bits apart.
    shapes = [
        sum(1 << t * beyond + byte for t in range(b.start, b.stop) for byte in _used(b, 0, t)) for b in rows
    ]

    def put(j: int, used: int, peak: int) -> None:
        nonlocal best
        if j == len(rows):
            best = min(best, peak)
            return
        b = rows[j]
        x = b.offset or 0
        while max(peak, x + b.size) < best:
            if not used & shapes[j] << x:
                put(j + 1, used | shapes[j] << x, max(peak, x + b.size))
            if b.offset is not None:
                break
            x += b.alignment

    put(0, 0, 0)
    return None if best == beyond else best


def perfect(rng: random.Random, count: int, steps: int, height: int) -> list[Buffer]:
    """A rectangle of `steps` x `height` bytes cut into `count` buffers, one of five pieces around a middle at times."""
    pieces = [(0, steps, 0, height)]
    while len(pieces) < count:
        k = max(
            rng.sample(range(len(pieces)), min(4, len(pieces))),
            key=lambda k: (pieces[k][1] - pieces[k][0]) * (pieces[k][3] - pieces[k][2]),
        )
        a, b, low, high = pieces[k]
        if rng.random() < 0.15 and b - a >= 6 and high - low >= 6:
            x, y = rng.randint(a + 1, (a + b) // 2), rng.randint((a + b) // 2 + 1, b - 1)
            u, v = rng.randint(low + 1, (low + high) // 2), rng.randint((low + high) // 2 + 1, high - 1)
            pieces[k : k + 1] = [
                (a, y, low, u),
                (y, b, low, v),
                (x, b, v, high),
                (a, x, u, high),
                (x, y, u, v),
            ]
        elif rng.random() < 0.5 and b - a >= 2:
            x = rng.randint(a + 1, b - 1)
            pieces[k : k + 1] = [(a, x, low, high), (x, b, low, high)]
        elif high - low >= 2:
            u = rng.randint(low + 1, high - 1)
            pieces[k : k + 1] = [(a, b, low, u), (a, b, u, high)]
    rng.shuffle(pieces)
    return [Buffer(str(i), a, b, high - low) for i, (a, b, low, high) in enumerate(pieces)]


def heavy_tailed(seed: int, count: int) -> list[Buffer]:
    """A large trace: lifetimes and sizes over many orders of magnitude, thousands of buffers live at a time."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        start = rng.randrange(count)
        found.append(
            Buffer(str(i), start, start + int(2 ** rng.uniform(0, 13)), int(2 ** rng.uniform(4, 22)))
        )
    return found


def training_trace(seed: int, layers: int, rounds: int) -> list[Buffer]:
    """Training steps of a network with few kinds of layers, thousands of buffers of few sizes.

    Parameters and gradients live to the end, what a layer saves until its turn in the backward pass, all else for a few
    steps.
    """
    rng = random.Random(seed)
    scale = 2 ** rng.randint(8, 12)
    kinds = [
        [scale * rng.randint(1, 40) ** 2 // rng.randint(1, 9) for _ in range(6)]
        for _ in range(rng.randint(1, 3))
    ]
    net = [rng.choice(kinds) for _ in range(layers)]
    rows: list[tuple[int, int, int]] = []
    to_the_end = [(0, size) for kind in net for size in kind[: rng.randint(2, 4)]]
    step = 0

    def scratch(kind: list[int], count: int) -> None:
        nonlocal step
        for _ in range(count):
            rows.append((step, step + rng.choice((1, 2, 2, 3, 5, 9)), rng.choice(kind)))
            step += 1

    for turn in range(rounds):
        saved: list[list[tuple[int, int]]] = []
        for kind in net:
            saved.append([])
            for _ in range(rng.randint(2, 5)):
                scratch(kind, rng.randint(1, 3))
                saved[-1].append((step, rng.choice(kind)))
                step += 1
        for kind, mine in zip(reversed(net), reversed(saved), strict=True):
            scratch(kind, rng.randint(2, 6))
            for start, size in mine:
                rows.append((start, step + rng.randint(1, 3), size))
                step += 1
            if turn == 0:
                to_the_end += [(step, size) for size in kind[:2]]
    rows += [(start, step + 10, size) for start, size in to_the_end]
    return [Buffer(str(i), *row) for i, row in enumerate(rows)]
