"""What is live when: the sets of ops executed decide it, nothing else does.

A storage is live between its first and its last touch, so live(D) = sum of size x ([some touch in D] -
[all touches in D]): a cut function, submodular in the set D of executed ops. Storages that lie in the arena
from the start (to the end) lose the second (third) bracket and stay submodular.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

from memplan.problem.problem import Problem

MOST_OPS_CERTAIN = 20_000
"""Ops beyond which `certain_bound` is not computed: its memory is quadratic, 1 bit a pair."""


@dataclass(frozen=True)
class LiveModel:
    """A problem without spills, reduced to what the live bytes depend on.

    size      bytes per storage that is ever live between two steps
    opening   per storage, whether it is live from the start; closing: whether it stays to the end
    touched   per op, the storages it writes or reads
    extra     per op, bytes that are live during its step alone
    over      per op that may work in place: bytes saved, and the storages one of which must die with it
    backward  whether the ops are executed from last to first: then a storage dies with the op that touches it first
    storages  the problem's number of each storage
    """

    size: tuple[int, ...]
    opening: tuple[bool, ...]
    closing: tuple[bool, ...]
    touched: tuple[tuple[int, ...], ...]
    extra: tuple[int, ...]
    over: dict[int, tuple[int, tuple[int, ...]]]
    preds: tuple[tuple[int, ...], ...]
    succs: tuple[tuple[int, ...], ...]
    backward: bool = False
    storages: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        """Number of ops."""
        return len(self.touched)

    @property
    def touches(self) -> list[list[int]]:
        """Per storage, the ops that touch it."""
        found: list[list[int]] = [[] for _ in self.size]
        for i, storages in enumerate(self.touched):
            for s in storages:
                found[s].append(i)
        return found

    @property
    def reversed(self) -> LiveModel:
        """The same model with time turned round: an order of it, read from its end, has the same live bytes."""
        return replace(
            self,
            opening=self.closing,
            closing=self.opening,
            preds=self.succs,
            succs=self.preds,
            backward=not self.backward,
        )

    @property
    def competitors(self) -> list[list[int]]:
        """Per op, the storages that it touches and that another op may write over; none going forwards.

        Going backwards an op that touches one of these first takes that possibility from the other op, so that it
        may be moved to the front only when the storage has been touched already.
        """
        if not self.backward:
            return [[] for _ in range(self.n)]
        by: dict[int, list[int]] = {}
        for i, (_, sources) in self.over.items():
            for s in sources:
                by.setdefault(s, []).append(i)
        return [[s for s in self.touched[i] if any(j != i for j in by.get(s, ()))] for i in range(self.n)]


def live_model(problem: Problem) -> LiveModel:
    """The model of plans without spills; with operands anywhere, of what must lie in the arena."""
    options = problem.options
    anywhere = problem.target.direct
    extra = [0] * problem.n
    touched: list[list[int]] = [[] for _ in range(problem.n)]
    size: list[int] = []
    opening: list[bool] = []
    closing: list[bool] = []
    number: dict[int, int] = {}
    for k, s in enumerate(problem.storages):
        if anywhere and not s.pinned:
            continue
        fleeting = len(s.touches) == 1 and not s.resident and k not in problem.overwritable
        if fleeting or (s.is_constant and options.weights == "stream"):
            for i in s.touches:
                extra[i] += s.size
            continue
        number[k] = len(size)
        size.append(s.size)
        opening.append(s.resident and s.is_input)
        closing.append(s.resident and s.is_output)
        for i in s.touches:
            touched[i].append(number[k])
    over = {}
    for i, (written, sources) in problem.inplace_pairs.items():
        dying = tuple(number[s] for s in sources if s in number)
        if dying and not (anywhere and not problem.storages[written].pinned):
            over[i] = problem.storages[written].size, dying
    return LiveModel(
        tuple(size),
        tuple(opening),
        tuple(closing),
        tuple(map(tuple, touched)),
        tuple(extra),
        over,
        problem.preds,
        problem.succs,
        storages=tuple(number),
    )


def contracted(model: LiveModel) -> tuple[LiveModel, list[list[int]]]:
    """The model with every op that works in place joined to the op before it, and which ops each of its ops stands for.

    Joined is an op that waits for one other alone, touches nothing but that one's result, which nobody else wants, and a
    result of the same size: right after the other it takes no more bytes than that did, and leaves as many. Orders of
    the joined ops have the same live bytes, and the least peak is the same.
    """
    touchers = [set(ops) for ops in model.touches]
    touched, groups = [set(storages) for storages in model.touched], [[i] for i in range(model.n)]
    stands = list(range(model.n))  # for each op, the one it is joined to
    over, extra = dict(model.over), model.extra
    for k in sorted(over):
        saved, sources = over[k]
        before = {stands[p] for p in model.preds[k]}
        if len(before) != 1 or len(touched[k]) != 2:
            continue
        (j,) = before
        for s in sources:
            (z,) = touched[k] - {s} if s in touched[k] else {s}
            kept = model.opening[s] or model.closing[s] or model.opening[z] or z == s
            alone = touchers[s] == {j, k} and touchers[z] - {k} <= set(model.succs[k])
            roomy = extra[k] <= extra[j] and all(model.size[x] >= over[j][0] for x in over.get(j, (0, ()))[1])
            if alone and roomy and not kept and model.size[s] == model.size[z] == saved:
                touched[j] = touched[j] - {s} | {z}
                touchers[z] = touchers[z] - {k} | {j}
                touchers[s] = set()
                stands[k], touched[k] = j, set()
                groups[j] += groups[k]
                del over[k]
                break
    kept_ops = [i for i in range(model.n) if stands[i] == i]
    number = {i: x for x, i in enumerate(kept_ops)}
    preds: list[set[int]] = [set() for _ in kept_ops]
    succs: list[set[int]] = [set() for _ in kept_ops]
    for i in range(model.n):
        for p in model.preds[i]:
            a, b = number[stands[p]], number[stands[i]]
            if a != b:
                preds[b].add(a)
                succs[a].add(b)
    contracted = replace(
        model,
        touched=tuple(tuple(sorted(touched[i])) for i in kept_ops),
        extra=tuple(extra[i] for i in kept_ops),
        over={number[i]: x for i, x in over.items()},
        preds=tuple(map(tuple, map(sorted, preds))),
        succs=tuple(map(tuple, map(sorted, succs))),
    )
    return contracted, [groups[i] for i in kept_ops]


def live_peak(model: LiveModel, order: Sequence[int]) -> int:
    """The largest sum of live bytes at a step of `order`; linear."""
    return max(live_profile(model, order), default=0)


def live_profile(model: LiveModel, order: Sequence[int]) -> list[int]:
    """The live bytes at each step of `order`."""
    left = [len(t) for t in model.touches]
    present = list(model.opening)
    live = sum(z for z, there in zip(model.size, present, strict=True) if there)
    profile = []
    for i in order:
        for s in model.touched[i]:
            if not present[s]:
                present[s] = True
                live += model.size[s]
        saved, sources = model.over.get(i, (0, ()))
        profile.append(live + model.extra[i] - (saved if any(left[s] == 1 for s in sources) else 0))
        for s in model.touched[i]:
            left[s] -= 1
            if not left[s] and not model.closing[s]:
                live -= model.size[s]
    return profile


def certain_bound(model: LiveModel) -> int:
    """The most bytes that are live at some op's step under every order: O(n x (storages + edges) / 64).

    A storage is live at an op it does not touch if an ancestor has touched it and a descendant will.
    """
    if not 0 < model.n <= MOST_OPS_CERTAIN:
        return 0
    import numpy as np

    n = model.n
    before, after = [0] * n, [0] * n
    for i in range(n):
        before[i] = reduce(or_, (before[p] | 1 << p for p in model.preds[i]), 0)
    for i in reversed(range(n)):
        after[i] = reduce(or_, (after[j] | 1 << j for j in model.succs[i]), 0)
    total = np.array(model.extra, dtype=np.int64)
    for i, (saved, _) in model.over.items():
        total[i] -= saved
    everywhere = (1 << n) - 1
    for z, first, last, ops in zip(model.size, model.opening, model.closing, model.touches, strict=True):
        begun = everywhere if first else reduce(or_, (after[i] for i in ops), 0)
        needed = everywhere if last else reduce(or_, (before[i] for i in ops), 0)
        mask = (begun & needed) | sum(1 << i for i in ops)
        bits = np.frombuffer(mask.to_bytes(-(-n // 8), "little"), dtype=np.uint8)
        total += z * np.unpackbits(bits, bitorder="little", count=n).astype(np.int64)
    opening = sum(z for z, first in zip(model.size, model.opening, strict=True) if first)
    closing = sum(z for z, last in zip(model.size, model.closing, strict=True) if last)
    return max(int(total.max()), opening, closing)
