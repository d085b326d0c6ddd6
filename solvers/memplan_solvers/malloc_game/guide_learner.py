"""Teaching the guide of the annealing in PyTorch: how much rounds gained, by their kind and where they began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from memplan.solver import Budget
from memplan_solvers.latency import anneal_kernel as kernel
from memplan_solvers.latency.anneal import Anneal, make_search, spread
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.timed import Array, flatten
from memplan_solvers.malloc_game.actors import Case
from memplan_solvers.malloc_game.guide import (
    HIDDEN,
    INPUTS,
    LEAST,
    MOST,
    Guide,
    focus_of,
    static_inputs,
    with_state,
)
from memplan_solvers.malloc_game.guided import QUEUED

ROUNDS, PARTS, ASKS = 240, 4, 10
"""Rounds of an annealing per touch, the parts of its cooling that are told apart, and how often a part asks its guide."""


class Experience(NamedTuple):
    """What annealing was like, by touch and its state: x, float32[r, INPUTS]; by kind of round the share of a part's
    work that began there, and of its gain, float32[r, KINDS]."""

    x: Array
    work: Array
    gain: Array


def experience(case: Case, seed: int, guide: Guide | None = None) -> Experience:
    """Anneal a case, without a guide or led by it. Deterministic."""
    timed = flatten(case.problem(), Budget(60.0))
    rows: list[Experience] = []
    if timed is not None and timed.movable.any():
        start, static, k = tuned(timed, Budget(60.0), 0.0), static_inputs(timed), len(timed.touch)
        search, anneal = make_search(timed, start, seed, QUEUED), Anneal()
        focus = None if guide is None else focus_of(timed, guide)
        for part in range(PARTS):
            search = search._replace(tally=np.zeros((2, kernel.STATES, k, kernel.KINDS)))
            for ask in range(ASKS):
                done, later = ((part + a / ASKS) / PARTS for a in (ask, ask + 1))
                if focus is not None:
                    kind = focus(search, done)
                    search = search._replace(choices=spread(timed, kind.sum(1)), kind=kind)
                hot, cold = (anneal.heat(timed, start, at) for at in (done, later))
                kernel.run(timed, search, ROUNDS * k // (PARTS * ASKS), hot, cold)
            total = search.tally.sum((1, 2, 3))
            if total.min() <= 0.0:
                continue
            for state in range(kernel.STATES):
                there = np.flatnonzero(search.tally[0, state].any(1))
                x = with_state(static, np.full(k, state), (part + 0.5) / PARTS)[there]
                shares = (search.tally[:, state, there] / total[:, None, None]).astype(np.float32)
                rows.append(Experience(x, shares[0], shares[1]))
    return Experience(*map(np.concatenate, zip(*rows, strict=True))) if rows else NOTHING


NOTHING = Experience(*(np.zeros((0, columns), np.float32) for columns in (INPUTS, kernel.KINDS, kernel.KINDS)))
"""What nobody lived through."""


def teach(taught: Sequence[Experience], held: Sequence[Experience], epochs: int, seed: int,
          tell: Callable[[dict[str, float]], None]) -> Guide:  # fmt: skip
    """A guide taught by Poisson regression of the gain on the work; `tell` hears the losses, 1 where it knows nothing."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    known, unknown = ([torch.from_numpy(np.concatenate(part)) for part in zip(*e, strict=True)] for e in (taught, held))
    middle, deviation = known[0].mean(0), known[0].std(0) + 1e-3
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, kernel.KINDS))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)

    def loss(rows: list[torch.Tensor]) -> torch.Tensor:
        x, work, gain = rows
        log = net((x - middle) / deviation).clamp(LEAST, MOST)
        total: torch.Tensor = (work * log.exp() - gain * log).sum() / work.sum()
        return total

    for epoch in range(epochs):
        optimizer.zero_grad()
        taught_loss = loss(known)
        taught_loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if epoch % 10 == 9:
            with torch.no_grad():
                tell({"epoch": epoch + 1, "taught": taught_loss.item(), "held out": loss(unknown).item()})
    first, bias, last, shift = (parameter.detach() for parameter in net.parameters())
    scaled = first / deviation
    parts = scaled.T, bias - scaled @ middle, last.T, shift
    return Guide(*(np.ascontiguousarray(part.numpy().copy()) for part in parts))
