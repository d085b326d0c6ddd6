"""Teaching the guide of the annealing in PyTorch: how much rounds gained, by their kind and where they began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch import nn

from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Floats32
from memplan_solvers.latency.anneal import Anneal, make_annealing
from memplan_solvers.latency.anneal_kernel import KINDS, STATES, run_rounds
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.msa import tuned
from memplan_solvers.malloc_game.actors import TrainingCase
from memplan_solvers.malloc_game.guide import (
    HIDDEN,
    INPUTS,
    LEAST,
    MOST,
    Guide,
    static_inputs,
    with_state,
)
from memplan_solvers.malloc_game.guided import QUEUED

ROUNDS, PARTS = 240, 4
"""Rounds of an annealing per touch, and the parts of its cooling that are told apart."""

BATCH, TOLD = 8192, 50
"""Rows of experience that a step of learning sees; steps between two losses that are told."""


class Experience(NamedTuple):
    """What annealing was like: a row for each touch, state that it was in, and part of the cooling."""

    x: Annotated[Floats32, "rows, inputs"]
    work: Annotated[
        Floats32, "rows, kinds"
    ]  # the share of the part's work whose rounds began there, by kind of round
    gain: Annotated[Floats32, "rows, kinds"]  # and of its gain


def experience(case: TrainingCase, seed: int) -> Experience:
    """Anneal a case with the usual rounds. Deterministic."""
    timed = make_arrays(case.problem(), Limits(60.0))
    rows: list[Experience] = []
    if timed is not None and timed.movable.any():
        start, static, k = tuned(timed, Limits(60.0), 0.0), static_inputs(timed), len(timed.touch)
        search, anneal = make_annealing(timed, start, seed, QUEUED), Anneal()
        for part in range(PARTS):
            search = search._replace(work=np.zeros((STATES, k, KINDS)), gain=np.zeros((STATES, k, KINDS)))
            hot, cold = (anneal.heat(timed, start, at / PARTS) for at in (part, part + 1))
            run_rounds(timed, search, ROUNDS * k // PARTS, hot, cold)
            tally = np.stack([search.work, search.gain])
            total = tally.sum((1, 2, 3))
            if total.min() <= 0.0:
                continue
            for state in range(STATES):
                there = np.flatnonzero(tally[0, state].any(1))
                x = with_state(static, np.full(k, state), (part + 0.5) / PARTS)[there]
                shares = (tally[:, state, there] / total[:, None, None]).astype(np.float32)
                rows.append(Experience(x, shares[0], shares[1]))
    return Experience(*map(np.concatenate, zip(*rows, strict=True))) if rows else NOTHING


NOTHING = Experience(*(np.zeros((0, columns), np.float32) for columns in (INPUTS, KINDS, KINDS)))
"""What nobody lived through."""


def teach(
    taught: Sequence[Experience],
    held: Sequence[Experience],
    steps: int,
    seed: int,
    tell: Callable[[dict[str, float]], None],
) -> Guide:
    """A guide taught by Poisson regression of the gain on the work; `tell` hears the losses, 1 where it knows nothing."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    known, unknown = (
        [torch.from_numpy(np.concatenate(part)) for part in zip(*e, strict=True)] for e in (taught, held)
    )
    middle, deviation = known[0].mean(0), known[0].std(0) + 1e-3
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, KINDS))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def loss(rows: list[torch.Tensor], whole: torch.Tensor) -> torch.Tensor:
        x, work, gain = rows
        log = net((x - middle) / deviation).clamp(LEAST, MOST)
        total: torch.Tensor = (work * log.exp() - gain * log).sum() / whole
        return total

    mean = known[1].sum() / len(known[0])
    for step in range(1, steps + 1):
        rows = torch.randint(len(known[0]), (BATCH,))
        optimizer.zero_grad()
        loss([part[rows] for part in known], mean * BATCH).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        rate.step()
        if step % TOLD == 0:
            with torch.no_grad():
                losses = {
                    name: loss(e, e[1].sum()).item() for name, e in (("taught", known), ("held out", unknown))
                }
            tell({"step": step} | losses)
    first, bias, last, shift = (parameter.detach() for parameter in net.parameters())
    scaled = first / deviation
    parts = scaled.T, bias - scaled @ middle, last.T, shift
    return Guide(*(np.ascontiguousarray(part.numpy().copy()) for part in parts))
