"""`memplan/MallocGame-v0`: the mallocGame as a Gymnasium environment.

Importing this module registers it; `gymnasium.make("memplan_solvers.malloc_game.env:memplan/MallocGame-v0")` does both.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from memplan.base.errors import OptionError
from memplan.library.load import load_model
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan_solvers.malloc_game.board import ANSWERS, MoveAnswer
from memplan_solvers.malloc_game.features import make_observation, numbers, observe
from memplan_solvers.malloc_game.game import Game, open_board

LIMITS = {"moves": (-64, 64), "occupancy": (0, 2), "bandwidth": (0, 64), "summary": (-64, 64)}
"""Least and largest number of each array of an observation; what lies beyond is shown as these."""

REPLACEMENTS = MoveAnswer.DROP, MoveAnswer.NO_COPY, MoveAnswer.COPY
"""What an illegal answer is replaced by, the first that is legal."""

PREPARE_S = 60.0
"""Seconds that placing what must stay in the scratchpad may take."""


class MallocGameEnv(gymnasium.Env[dict[str, Any], int]):
    """One episode = one game on one problem. Actions: 0 NoCopy, 1 Copy, 2 Drop.

    Observation: `Observation`'s arrays by name, within LIMITS, and `action_mask`, int8[3], which `info` has
    too. Reward: latency saved by the move, as a share of the latency with everything in host; an episode's
    sum is 1 − latency / that. An illegal action is answered by the first legal of Drop, NoCopy, Copy, and
    `info["replaced"]` is True.

    problem: the problem to plan, objective latency, order program; or `model` (a path or a name of the zoo), `target`
    and `scratchpad` as for `memplan.plan`. reset(options={"problem": …}) changes it.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(
        self,
        problem: Problem | None = None,
        *,
        model: str = "resnet8_int8",
        target: str = "ethos-u65",
        scratchpad: str | int = "64KiB",
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        if problem is None:
            problem = make_problem(
                load_model(model, {}), target, scratchpad=scratchpad, objective="latency", order="program"
            )
        self._open(problem)
        self._seen = make_observation()
        every = {
            name: spaces.Box(*LIMITS[name], part.shape, np.float32)
            for name, part in numbers(self._seen).items()
        }
        self.observation_space = spaces.Dict({**every, "action_mask": spaces.MultiBinary(ANSWERS)})
        self.action_space = spaces.Discrete(ANSWERS)

    def _open(self, problem: Problem) -> None:
        board = open_board(problem, Limits(PREPARE_S))
        if board is None or not len(board.moves):
            raise OptionError(
                f"the mallocGame has no moves for graph '{problem.graph.name}'",
                "nothing fits the scratchpad, or what must stay in it does not: give it more",
            )
        self.problem, self.game = problem, Game(board)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin a game; on `options["problem"]` if given."""
        super().reset(seed=seed)
        if options and "problem" in options:
            self._open(options["problem"])
        else:
            self.game.reset()
        return self._observation()

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Answer the move."""
        legal = self._legal
        replaced = not legal[action]
        if replaced:
            action = next(answer for answer in REPLACEMENTS if legal[answer])
        reward = self.game.step(int(action))
        seen, info = self._observation()
        return seen, reward, self.game.is_over, False, {**info, "replaced": replaced}

    def _observation(self) -> tuple[dict[str, Any], dict[str, Any]]:
        game = self.game
        observe(game.board, game.state, self._seen)
        self._legal = game.legal
        legal = self._legal.astype(np.int8)
        seen = {name: part.clip(*LIMITS[name]) for name, part in numbers(self._seen).items()}
        return {**seen, "action_mask": legal}, {"action_mask": legal, "latency_s": game.latency}

    def render(self) -> str | None:
        """The move and the latency in one line."""
        if self.render_mode != "ansi":
            return None
        game = self.game
        return f"move {game.move} of {game.moves}, latency {game.latency:.3e} s, score {game.score:.4f}"


gymnasium.register(id="memplan/MallocGame-v0", entry_point="memplan_solvers.malloc_game.env:MallocGameEnv")
