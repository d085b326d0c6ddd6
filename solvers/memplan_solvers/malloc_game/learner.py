"""Teaching the policy network in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from memplan_solvers.common.arrays import Flags, Floats32
from memplan_solvers.malloc_game.board import ANSWERS
from memplan_solvers.malloc_game.lesson import lesson_of
from memplan_solvers.malloc_game.network import BINS, Network
from memplan_solvers.malloc_game.refine import Refiner


class Lesson(NamedTuple):
    """What to learn of moves with a choice."""

    x: Annotated[Floats32, "rows, inputs"]
    legal: Annotated[Flags, "rows, answers"]
    policy: Annotated[Floats32, "rows, answers"]  # what to play
    left: Annotated[Floats32, "rows"]  # the return still to come, in [0, 1]


def concatenated(lessons: list[Lesson]) -> tuple[Lesson, Floats32]:
    """One lesson of all, and the weight of each row: a game of k rows counts as much as sqrt(k)."""
    weight = np.concatenate([np.full(len(each.x), len(each.x) ** -0.5, np.float32) for each in lessons])
    return Lesson(*(np.concatenate(parts) for parts in zip(*lessons, strict=True))), weight / weight.mean()


def two_hot(left: Tensor) -> Tensor:
    """float32[r] in [0, 1] as distributions over the bins, float32[r, BINS], of the same mean."""
    place = left.clamp(0, 1) * (BINS - 1)
    low = place.floor().long().clamp(max=BINS - 2)
    share = (place - low).unsqueeze(1)
    rows = torch.zeros(len(left), BINS)
    rows.scatter_(1, low.unsqueeze(1), 1 - share)
    return rows.scatter_add_(1, low.unsqueeze(1) + 1, share)


class Learner:
    """The network's weights under AdamW. One thread; the same seed and lessons give the same weights bit for bit."""

    def __init__(self, net: Network, rate: float = 1e-3, seed: int = 0) -> None:
        torch.set_num_threads(1)
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(part)) for part in net])
        self.optimizer = torch.optim.AdamW(self.weights, lr=rate, weight_decay=1e-4)
        self.dice = torch.Generator().manual_seed(seed)

    @property
    def net(self) -> Network:
        """The weights as the game plays them."""
        return Network(*(np.ascontiguousarray(w.detach().numpy().copy()) for w in self.weights))

    def use_rate(self, rate: float) -> None:
        """Learn at this rate from here on."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def forward(self, x: Tensor) -> Any:
        """Logits of the actions and of the value's bins, float32[r, ANSWERS + BINS]."""
        w = self.weights
        hidden = torch.relu(torch.relu(x @ w[0] + w[1]) @ w[2] + w[3])
        return hidden @ w[4] + w[5]

    def fit(self, lessons: list[Lesson], epochs: int, batch: int = 512) -> float:
        """Train on these lessons; the mean loss of the last epoch."""
        rows, weight = concatenated(lessons)
        x, legal = torch.from_numpy(rows.x), torch.from_numpy(rows.legal)
        policy, value, weights = (
            torch.from_numpy(rows.policy),
            two_hot(torch.from_numpy(rows.left)),
            torch.from_numpy(weight),
        )
        loss = 0.0
        for _ in range(epochs):
            loss, order = 0.0, torch.randperm(len(x), generator=self.dice)
            for part in torch.split(order, batch):
                out = self.forward(x[part])
                logits = out[:, :ANSWERS].masked_fill(~legal[part], -1e9).log_softmax(1)
                bins = out[:, ANSWERS:].log_softmax(1)
                each = -(policy[part] * logits).sum(1) - 0.25 * (value[part] * bins).sum(1)
                mean = (each * weights[part]).mean()
                self.optimizer.zero_grad()
                mean.backward()
                self.optimizer.step()
                loss += mean.item() * len(part) / len(x)
        return loss

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs to go on bit for bit."""
        return {
            "weights": self.weights.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "dice": self.dice.get_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.weights.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.dice.set_state(state["dice"])


class Tuner:
    """Teaches the network of one game its best answers so far."""

    def __init__(self, refiner: Refiner) -> None:
        self.refiner, self.learner = refiner, Learner(refiner.player.net, rate=3e-4)

    def tune(self, epochs: int = 4) -> None:
        """Learn the best game, and go on with the network that has."""
        lessons = [game_lesson(self.refiner)]
        if len(lessons[0].x):
            self.learner.fit(lessons, epochs, batch=128)
            self.refiner.use(self.learner.net)


def game_lesson(refiner: Refiner) -> Lesson:
    """What the refiner's best game teaches."""
    rows = lesson_of(refiner.game, refiner.player, refiner.best)
    return Lesson(rows.x, rows.legal, np.eye(ANSWERS, dtype=np.float32)[rows.answer], rows.left)
