"""MuZero on one program: representation, dynamics and prediction learnt from its own games, in PyTorch.

Source: Schrittwieser et al., "Mastering Atari, Go, chess and shogi by planning with a learned model" (2020),
with the search of `tree_search`, as Wang et al., "Optimizing Memory Mapping Using Deep Reinforcement
Learning" (2023), train an agent per program. The search sees the true game at the root alone; beyond it
rewards, values, policies and which answers are legal come from the learnt model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Flags, Floats32, Ints
from memplan_solvers.malloc_game.board import ANSWERS
from memplan_solvers.malloc_game.encode import INPUTS, encode
from memplan_solvers.malloc_game.game import Game
from memplan_solvers.malloc_game.network import make_network
from memplan_solvers.malloc_game.play import play_random
from memplan_solvers.malloc_game.rollout import make_player, weigh_answers
from memplan_solvers.malloc_game.tree_search import Leaf, Path, Settings, drive, search

LATENT, HIDDEN = 48, 96
UNROLL = 4
"""Moves that the model is unrolled over when it learns."""


@dataclass(frozen=True)
class LearningPlan:
    """games, at most; a batch's size; batches learnt from after each game; games remembered."""

    games: int = 200
    batch: int = 64
    batches: int = 24
    memory: int = 24
    rate: float = 1e-3
    settings: Settings = Settings()


class LearntModel(nn.Module):
    """x → latent; (latent, action) → latent, reward; latent → policy logits, value, legality logits."""

    def __init__(self) -> None:
        super().__init__()
        self.represent = nn.Sequential(
            nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, LATENT), nn.Tanh()
        )
        self.advance = nn.Sequential(
            nn.Linear(LATENT + ANSWERS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, LATENT + 1)
        )
        self.predict = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * ANSWERS + 1))

    def step(self, latent: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """latent: float32[r, LATENT]; action: float32[r, ANSWERS], one hot. The next latent and the reward."""
        out = self.advance(torch.cat([latent, action], 1))
        return torch.tanh(out[:, :LATENT]), out[:, LATENT]

    def leaf(self, latent: Tensor, reward: float, legal: Flags | None = None) -> Leaf:
        """What the search is told of one latent; legality is the model's guess unless given."""
        out = self.predict(latent)[0].numpy().astype(np.float64)
        logits, guess = out[:ANSWERS], out[ANSWERS + 1 :] > 0
        allowed = guess if legal is None else legal
        if not allowed.any():
            allowed = out[ANSWERS + 1 :] == out[ANSWERS + 1 :].max()
        return Leaf(reward, np.where(allowed, logits, -np.inf), float(out[ANSWERS]))


@dataclass(frozen=True)
class Record:
    """One game."""

    x: Annotated[Floats32, "moves, inputs"]
    legal: Annotated[Flags, "moves, answers"]
    answer: Annotated[Ints, "moves"]
    policy: Annotated[Floats32, "moves, answers"]  # the search's
    reward: Annotated[Floats32, "moves"]
    left: Annotated[Floats32, "moves"]  # the return from there on


class Agent:
    """A model of one program's game and what it has seen of it. Seeded."""

    def __init__(self, game: Game, plan: LearningPlan, seed: int) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.game, self.plan, self.dice = game, plan, np.random.default_rng(seed)
        self.model = LearntModel()
        self.optimizer = torch.optim.Adam(self.model.parameters(), plan.rate)
        self.memory: deque[Record] = deque(maxlen=plan.memory)
        self.player = make_player(make_network(0), game.board)  # for its encoding alone

    def play(self, stop: Callable[[], bool] | None = None) -> Record | None:
        """Play a game, every move by search in the model; None if told to stop before its end."""
        game, k = self.game, self.game.moves
        game.reset()
        x, legal = np.zeros((k, INPUTS), np.float32), np.zeros((k, ANSWERS), np.bool_)
        answer, policy, reward = (
            np.zeros(k, np.int64),
            np.zeros((k, ANSWERS), np.float32),
            np.zeros(k, np.float32),
        )
        for i in range(k):
            if stop is not None and stop():
                return None
            choices = weigh_answers(game.board, game.state, self.player)
            encode(game.board, game.state, self.player.prices, self.player.seen, self.player.x)
            x[i], legal[i] = self.player.x, self.player.legal
            if choices == 1:
                answer[i], policy[i] = int(np.argmax(legal[i])), legal[i]
            else:
                found = drive(search(self._root(x[i], legal[i]), self.plan.settings, self.dice), self._expand)
                answer[i], policy[i] = found.action, found.policy
            reward[i] = game.step(int(answer[i]))
        left = np.cumsum(reward[::-1])[::-1].astype(np.float32)
        return Record(x, legal, answer, policy, reward, left)

    def _root(self, x: Floats32, legal: Flags) -> Leaf:
        with torch.no_grad():
            self.latents: dict[Path, Tensor] = {(): self.model.represent(torch.from_numpy(x).unsqueeze(0))}
            return self.model.leaf(self.latents[()], 0.0, legal)

    def _expand(self, path: Path) -> Leaf:
        with torch.no_grad():
            action = torch.eye(ANSWERS)[path[-1]].unsqueeze(0)
            self.latents[path], reward = self.model.step(self.latents[path[:-1]], action)
            return self.model.leaf(self.latents[path], float(reward))

    def learn(self) -> float:
        """Some batches from memory; the mean loss."""
        total = 0.0
        for _ in range(self.plan.batches):
            loss = self._loss()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() / self.plan.batches
        return total

    def _loss(self) -> Any:
        """Policy, value, reward and legality over UNROLL moves from random places of random games."""
        k = self.game.moves
        games = self.dice.integers(len(self.memory), size=self.plan.batch)
        starts = self.dice.integers(max(1, k - UNROLL), size=self.plan.batch)

        def at(name: str, ahead: int) -> Tensor:
            rows = [
                getattr(self.memory[g], name)[min(s + ahead, k - 1)]
                for g, s in zip(games, starts, strict=True)
            ]
            return torch.from_numpy(np.stack(rows))

        latent, loss = self.model.represent(at("x", 0)), torch.zeros(())
        for ahead in range(min(UNROLL, k)):
            out = self.model.predict(latent)
            legal = at("legal", ahead)
            logits = out[:, :ANSWERS].masked_fill(~legal, -1e9).log_softmax(1)
            loss = loss - (at("policy", ahead) * logits).sum(1).mean()
            loss = loss + (out[:, ANSWERS] - at("left", ahead)).square().mean()
            loss = loss + nn.functional.binary_cross_entropy_with_logits(out[:, ANSWERS + 1 :], legal.float())
            action = torch.eye(ANSWERS)[at("answer", ahead)]
            latent, reward = self.model.step(latent, action)
            loss = loss + (reward - at("reward", ahead)).square().mean()
        return loss


def learn_program(game: Game, limits: Limits, plan: LearningPlan | None = None) -> list[float]:
    """Play and learn until the time is up, or for all the plan's games; the best game stays on the board.

    Begins with random games, so that there is something to learn from. The latencies of the games played.
    """
    agent = Agent(game, plan or LearningPlan(), limits.seed)
    play_random(game.board, game.state, limits.seed, 1)
    best, least, played = game.answers, game.latency, list[float]()
    for _ in range(agent.plan.games):
        record = agent.play(limits.spent)
        if record is None:
            break
        played.append(game.latency)
        if game.latency < least:
            best, least = record.answer, game.latency
            limits.report("muzero", least, 0.0)
        agent.memory.append(record)
        agent.learn()
    game.reset()
    for answer in best:
        game.step(int(answer))
    return played
