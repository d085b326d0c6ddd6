"""The policy network as the game plays it: a perceptron on one move's numbers, evaluated in compiled code
without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Floats32
from memplan_solvers.jit import kernel
from memplan_solvers.malloc_game.board import ANSWERS
from memplan_solvers.malloc_game.encode import INPUTS

HIDDEN = (128, 64)
BINS = 21
"""Bins of the value: the return still to come lies in [0, 1]."""


class Network(NamedTuple):
    """Weights: x @ w + b, rectified, twice; then logits of the actions and of the value's bins."""

    w0: Annotated[Floats32, "inputs, hidden0"]  # INPUTS, HIDDEN[0]
    b0: Annotated[Floats32, "hidden0"]
    w1: Annotated[Floats32, "hidden0, hidden1"]  # HIDDEN
    b1: Annotated[Floats32, "hidden1"]
    w2: Annotated[Floats32, "hidden1, outputs"]  # HIDDEN[1], ANSWERS + BINS
    b2: Annotated[Floats32, "outputs"]


def make_network(seed: int) -> Network:
    """A network of random weights (He's initialisation) that knows nothing."""
    rng = np.random.default_rng(seed)
    sizes = (INPUTS, *HIDDEN, ANSWERS + BINS)
    parts: list[Floats32] = []
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
        parts.append((rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)).astype(np.float32))
        parts.append(np.zeros(fan_out, np.float32))
    parts[-2] *= 0.01
    return Network(*parts)


def network_of(tensors: Mapping[str, Floats32]) -> Network:
    """The network of named tensors; ValueError where a shape is not this version's."""
    blank = make_network(0)
    for name, like in blank._asdict().items():
        if name not in tensors or tensors[name].shape != like.shape:
            raise ValueError(f"tensor '{name}' should have shape {like.shape}")
    return Network(*(np.ascontiguousarray(tensors[name], dtype=np.float32) for name in blank._fields))


@kernel(fastmath=True)
def forward(
    net: Network,
    x: Annotated[Floats32, "inputs"],
    h0: Annotated[Floats32, "hidden0"],
    h1: Annotated[Floats32, "hidden1"],
    out: Annotated[Floats32, "outputs"],
) -> None:
    """Fill `out` from x; h0 and h1 are scratch."""
    layer(x, False, net.w0, net.b0, h0)
    layer(h0, True, net.w1, net.b1, h1)
    layer(h1, True, net.w2, net.b2, out)


@kernel(fastmath=True)
def layer(
    x: Annotated[Floats32, "fan_in"],
    rectify: bool,
    w: Annotated[Floats32, "fan_in, fan_out"],
    b: Annotated[Floats32, "fan_out"],
    out: Annotated[Floats32, "fan_out"],
) -> None:
    """Fill `out` with x @ w + b, or with max(x, 0) @ w + b."""
    out[:] = b
    for i in range(len(x)):
        xi = x[i]
        if xi > 0 or (xi != 0 and not rectify):
            for j in range(len(out)):
                out[j] += xi * w[i, j]
