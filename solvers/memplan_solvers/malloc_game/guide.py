"""How an annealing should go on: a network's guess of what a round gains, by the touch at which it begins and its kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Floats, Floats32, Ints
from memplan_solvers.jit import borrow, kernel
from memplan_solvers.latency.anneal import Focus, usual_weights
from memplan_solvers.latency.anneal_kernel import KINDS, STATES, AnnealingState, states
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.latency.msa import all_host_elapsed
from memplan_solvers.malloc_game.network import layer

SHIPPED = "guide.safetensors"

SHARPNESS = 0.6
"""Rounds are as frequent as usual, times their gain to this power."""

WINDOWS = (8, 64)
"""Steps to both sides over which the demand for the bus and for bytes is averaged."""

STATIC, HIDDEN = 13 + 2 * len(WINDOWS), 32
INPUTS = STATIC + STATES + 1
"""Numbers of a touch: of the problem; which state it is in, and how much of the cooling is done."""

LEAST, MOST = -6.0, 4.0
"""What the log of a gain may be."""


class Guide(NamedTuple):
    """Weights, input-major, rectified between; gives the log of what each kind of round gains for its work."""

    g0: Annotated[Floats32, "inputs, hidden"]  # INPUTS, HIDDEN
    c0: Annotated[Floats32, "hidden"]
    g1: Annotated[Floats32, "hidden, kinds"]  # HIDDEN, KINDS
    c1: Annotated[Floats32, "kinds"]


def static_inputs(timed: LatencyArrays) -> Floats32:
    """float32[k, STATIC] of a problem's touches, without units: bytes over the scratchpad, seconds over mean op times."""
    n, k = timed.n, len(timed.touch)
    own = np.repeat(np.arange(len(timed.size)), np.diff(timed.touch_row))
    elapsed = all_host_elapsed(timed)
    unit = max(elapsed[-1] / max(n, 1), 1e-30)
    copy, bus = timed.copy[own], timed.base_host.copy()
    np.add.at(bus, timed.touch, copy)
    t, first, last = timed.touch, timed.touch_row[own], timed.touch_row[own + 1] - 1
    place = np.arange(k)
    before = np.where(place > first, elapsed[t] - elapsed[t[np.maximum(place - 1, 0)]], timed.whole_copy)
    after = np.where(place < last, elapsed[t[np.minimum(place + 1, k - 1)]] - elapsed[t], timed.whole_copy)
    saved = np.maximum(bus[t], timed.compute[t]) - np.maximum(
        bus[t] - copy + timed.pad[own], timed.compute[t]
    )
    live = np.zeros(n + 1)  # bytes between each storage's first and last touch
    touched = np.flatnonzero(np.diff(timed.touch_row))
    np.add.at(live, t[timed.touch_row[touched]], timed.size[touched])
    np.add.at(live, t[timed.touch_row[touched + 1] - 1] + 1, -timed.size[touched])
    live = np.cumsum(live)[:n]
    columns = [
        np.log1p(timed.size[own] / timed.capacity * 1e4),
        timed.size[own] / timed.capacity,
        np.log1p(copy / unit * 10),
        np.minimum(copy / unit, 5.0),
        np.minimum(saved / unit, 5.0),
        np.log1p(np.maximum(saved, 0) / unit * 100),
        np.log1p(before / unit),
        np.log1p(after / unit),
        (place == first) * 1.0,
        (place == last) * 1.0,
        (timed.producer[own] < 0) * 1.0,
        np.log1p(last - first),
        np.full(k, np.log1p(timed.whole_copy / unit)),
    ]
    for width in WINDOWS:
        columns.append(np.log1p(smooth(bus, width) / np.maximum(smooth(timed.compute, width), 1e-30))[t])
        columns.append(np.log1p(smooth(live, width) / timed.capacity)[t])
    return np.stack(columns, axis=1).astype(np.float32)


def smooth(values: Floats, width: int) -> Floats:
    """The mean over `width` steps to both sides."""
    total, steps = np.concatenate(([0.0], np.cumsum(values))), np.arange(len(values))
    low, high = np.maximum(steps - width, 0), np.minimum(steps + width + 1, len(values))
    mean: Floats = (total[high] - total[low]) / (high - low)
    return mean


def with_state(static: Floats32, state: Ints, share: float) -> Floats32:
    """float32[k, INPUTS]: with the state of each touch, int64[k], and the share of the cooling done."""
    more = np.zeros((len(static), STATES + 1), np.float32)
    more[np.arange(len(static)), state] = 1.0
    more[:, STATES] = share
    return np.concatenate([static, more], axis=1)


@kernel
def log_gain(
    guide: Guide,
    known: Annotated[Floats32, "touches, hidden"],
    state: Annotated[Ints, "touches"],
    share: float,
) -> Floats32:
    """float32[touches, KINDS], log of what a round that begins at a touch gains for its work, over the mean round.

    known: what the static inputs add up to in the hidden layer. share: of the cooling that is done.
    """
    guide, known, state = borrow(guide), borrow(known), borrow(state)
    hidden, gain = np.empty(HIDDEN, np.float32), np.empty((len(state), KINDS), np.float32)
    for k in range(len(state)):
        for h in range(HIDDEN):
            hidden[h] = (
                known[k, h]
                + guide.g0[STATIC + state[k], h]
                + np.float32(share) * guide.g0[STATIC + STATES, h]
            )
        layer(hidden, True, guide.g1, guide.c1, gain[k])
        for kind in range(KINDS):
            gain[k, kind] = min(MOST, max(LEAST, gain[k, kind]))
    return gain


def focus_of(timed: LatencyArrays, guide: Guide) -> Focus:
    """How the annealing of a problem should go on, as the guide has it."""
    known, weight = static_inputs(timed) @ guide.g0[:STATIC] + guide.c0, usual_weights(timed)

    def focus(search: AnnealingState, share: float) -> Floats32:
        gain: Floats32 = np.exp(SHARPNESS * log_gain(guide, known, states(search), share))
        return weight * gain

    return focus


@cache
def load_guide() -> Guide:
    """The guide that comes with the package."""
    from safetensors.numpy import load

    return guide_of(load(resources.files(__package__).joinpath(SHIPPED).read_bytes()))


def guide_of(tensors: Mapping[str, Floats32]) -> Guide:
    """The guide of named tensors; ValueError where a shape is not this version's."""
    shapes = {"g0": (INPUTS, HIDDEN), "c0": (HIDDEN,), "g1": (HIDDEN, KINDS), "c1": (KINDS,)}
    for name, shape in shapes.items():
        if name not in tensors or tensors[name].shape != shape:
            raise ValueError(f"tensor '{name}' should have shape {shape}")
    return Guide(**{name: np.ascontiguousarray(tensors[name], dtype=np.float32) for name in shapes})


def save_guide(guide: Guide) -> bytes:
    """The guide as a safetensors file."""
    from safetensors.numpy import save

    return save(dict(guide._asdict()))
