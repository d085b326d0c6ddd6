"""Teaching the guide of the annealing in PyTorch: how much rounds gained, by the touch at which they began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from memplan.solver import Budget
from memplan_solvers.latency import anneal_kernel as kernel
from memplan_solvers.latency.anneal import Anneal, make_search
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.timed import Array, flatten
from memplan_solvers.malloc_game.actors import Case
from memplan_solvers.malloc_game.guide import HIDDEN, INPUTS, LEAST, MOST, Guide, static_inputs, with_state
from memplan_solvers.malloc_game.guided import QUEUED

ROUNDS, PARTS = 80, 4
"""Rounds of an annealing per touch, and the parts of its cooling that are told apart."""


class Experience(NamedTuple):
    """What annealing was like, by touch and how it was served: x, float32[r, INPUTS]; the share of a part's rounds that
    began there, and of its gain, float32[r]."""

    x: Array
    rounds: Array
    gain: Array


def experience(case: Case, seed: int) -> Experience:
    """Anneal a case with rounds that begin anywhere. Deterministic."""
    timed = flatten(case.problem(), Budget(60.0))
    rows: list[Experience] = []
    if timed is not None and timed.movable.any():
        start, static = tuned(timed, Budget(60.0), 0.0), static_inputs(timed)
        search, anneal = make_search(timed, start, seed, QUEUED), Anneal()
        for part in range(PARTS):
            search.tally[:] = 0.0
            hot, cold = (start.seconds * anneal.hot * (anneal.cold / anneal.hot) ** (p / PARTS) for p in (part, part + 1))
            kernel.run(timed, search, ROUNDS * len(timed.touch) // PARTS, hot, cold)
            total = search.tally.sum((1, 2))
            if total.min() <= 0.0:
                continue
            for served in range(3):
                there = np.flatnonzero(search.tally[0, served] > 0)
                x = with_state(static, np.full(len(static), served), (part + 0.5) / PARTS)[there]
                counts = (search.tally[:, served, there] / total[:, None]).astype(np.float32)
                rows.append(Experience(x, counts[0], counts[1]))
    none = Experience(np.zeros((0, INPUTS), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    return Experience(*map(np.concatenate, zip(none, *rows, strict=True)))


def teach(taught: Sequence[Experience], held: Sequence[Experience], epochs: int, seed: int,
          tell: Callable[[dict[str, float]], None]) -> Guide:  # fmt: skip
    """A guide taught by Poisson regression of the gain on the rounds; `tell` hears the losses, 1 where it knows nothing."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    known, unknown = ([torch.from_numpy(np.concatenate(part)) for part in zip(*e, strict=True)] for e in (taught, held))
    middle, spread = known[0].mean(0), known[0].std(0) + 1e-3
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)

    def loss(rows: list[torch.Tensor]) -> torch.Tensor:
        x, rounds, gain = rows
        log = net((x - middle) / spread)[:, 0].clamp(LEAST, MOST)
        total: torch.Tensor = (rounds * log.exp() - gain * log).sum() / rounds.sum()
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
    scaled = first / spread
    parts = scaled.T, bias - scaled @ middle, last.T, shift
    return Guide(*(np.ascontiguousarray(part.numpy().copy()) for part in parts))
