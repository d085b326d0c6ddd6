"""`malloc_game`: the agent that plays the mallocGame, after mallocMuZero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from memplan.base.errors import OptionError, nearest
from memplan.judge.timeline import timeline
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import OPERANDS, Capabilities
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from memplan_solvers.latency.arrays import UNPLACED, make_arrays
from memplan_solvers.latency.solver import LatencySolver
from memplan_solvers.restricted import value_of

if TYPE_CHECKING:
    from memplan_solvers.malloc_game.game import Game
    from memplan_solvers.malloc_game.refine import Refiner

MODES = ("agent", "prod", "game", "policy", "search", "muzero", "greedy", "random")
FIRST_CYCLE = 64
"""Rounds of the first cycle of annealing; each later one has twice as many."""

ROUNDS_PER_MOVE = 200
"""Rounds of annealing after which the agent is content, per move of the game."""

EXHAUSTIVE, PLAYED_OUT = 12, 2_000
"""Moves up to which the tree search tries to play every game out first, with at most so many leaves."""

GAMES = 0.02
"""Share of the time in which mode=agent plays, before it anneals."""

EPISODES = 16
"""Games that mode=search plays at most."""


@dataclass(frozen=True)
class MallocGame(LatencySolver):
    """Plays the game over program order with a trained network; needs no torch but for finetune_s and muzero.

    mode        agent (the network's and the greedy game and games near them for a while, then annealing over
                residencies and orders, as `anneal` does, guided by a second network; the better of both, and
                annealing alone where there is no game: with two queues, operands that must be in the scratchpad,
                kept inputs or outputs), prod (the better of agent and tuned assignment), game (the agent without leaving the
                game), policy (the network's one game), search (Gumbel AlphaZero: a tree search at every move,
                games until time is up), muzero (learns this one program's dynamics as the paper's agent
                does), greedy, random
    finetune_s  seconds in which the network is trained on this graph between the cycles of annealing
    policy      a file of scripts/train_agent instead of the network that comes with the package, to play with
    """

    name: ClassVar[str] = "malloc_game"
    summary: ClassVar[str] = "an agent that plays the mallocGame with a trained network, after mallocMuZero"
    supports: ClassVar[Capabilities] = replace(LatencySolver.supports, operands=OPERANDS)

    mode: str = "agent"
    finetune_s: float = 0.0
    policy: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise OptionError(f"solver 'malloc_game': mode = '{self.mode}'", nearest(self.mode, MODES))
        if self.finetune_s < 0:
            raise OptionError(f"solver 'malloc_game': finetune_s = {self.finetune_s}", "seconds from 0")
        if (self.finetune_s or self.mode == "muzero") and find_spec("torch") is None:
            raise OptionError(
                "solver 'malloc_game' learns with PyTorch, which is not installed",
                "pip install 'memplan[torch]', or leave finetune_s and mode=muzero out",
            )

    def lacks(self, problem: Problem) -> list[str]:
        """What of the problem is beyond it: mode=agent anneals where the game has no moves for the machine."""
        known = self.supports if self.mode == "agent" else replace(LatencySolver.supports, queues=(1,))
        return known.lacks(problem)

    @property
    def kernels(self) -> str:
        """See `LatencySolver.kernels`."""
        return "game"

    def search(self, problem: Problem, limits: Limits) -> Plan:
        """The best of what the mode says."""
        return self._better(problem, limits) if self.mode == "prod" else self._played(problem, limits)

    def _played(self, problem: Problem, limits: Limits) -> Plan:
        """What the mode says, tuned memory space assignment apart."""
        from memplan_solvers.latency.annealed import annealed
        from memplan_solvers.malloc_game.game import Game, open_board, refusal
        from memplan_solvers.malloc_game.guided import anneal

        if self.mode == "agent" and refusal(problem):
            return annealed(self, problem, limits, anneal)
        board, timed = open_board(problem, limits), make_arrays(problem, limits)
        if board is None or timed is None:
            return self.no_answer(problem, limits, *UNPLACED)
        game = Game(board)
        game.reset()
        if game.moves and self.mode == "agent":
            self._with_network(game, self._games(limits))
            found = annealed(self, problem, limits, anneal)
            if value_of(problem, found) < game.latency:
                return found
            return game.plan(self, problem, limits, found.bound)
        if game.moves:
            self._play(game, limits)
        return game.plan(self, problem, limits, self.lower_bound(problem, timed, limits))

    def _games(self, limits: Limits) -> Limits:
        """What mode=agent may spend on games."""
        until = limits.seconds + max(GAMES * limits.remaining_s, self.finetune_s)
        return replace(limits, time_limit_s=min(until, limits.time_limit_s))

    def _better(self, problem: Problem, limits: Limits) -> Plan:
        """The better of the agent's plan and that of tuned memory space assignment."""
        assigned = parse_spec("msa_tuned").solve(problem, limits.share(0.1))
        plan = replace(self, mode="agent")._played(problem, limits)
        known = [p for p in (plan, assigned) if p.status is not Status.UNKNOWN]
        if not known:
            return replace(plan, solver=self.spec)
        best = min(known, key=lambda p: timeline(problem.graph, p).latency_s)
        return replace(best, solver=self.spec, reason=f"found by {best.solver}")

    def _play(self, game: Game, limits: Limits) -> None:
        """Leave the best game found on the board."""
        from memplan_solvers.malloc_game.greedy import play_greedy
        from memplan_solvers.malloc_game.play import play_random

        if self.mode == "random":
            play_random(game.board, game.state, limits.seed, 1)
        elif self.mode == "greedy":
            play_greedy(game.board, game.state, 0)
        elif self.mode == "muzero":
            from memplan_solvers.malloc_game.muzero import learn_program

            learn_program(game, limits)
        else:
            self._with_network(game, limits)

    def _with_network(self, game: Game, limits: Limits) -> Refiner:
        from memplan_solvers.malloc_game.gumbel_zero import play_episode
        from memplan_solvers.malloc_game.policy import load_network
        from memplan_solvers.malloc_game.refine import Refiner
        from memplan_solvers.malloc_game.tree_search import Settings

        net = load_network(self.policy)
        refiner = Refiner(game, net, limits.seed)
        if self.mode != "policy":
            refiner.consider_greedy()
        limits.report("policy", refiner.least, 0.0)
        if game.moves <= EXHAUSTIVE and self.mode != "policy":
            episode = play_episode(
                game, net, Settings(simulations=PLAYED_OUT, noise=0.0), limits.seed, limits.spent
            )
            refiner.consider(episode.answers, episode.latency)
        if self.mode == "search":
            for seed in range(limits.seed, limits.seed + EPISODES):
                if limits.spent():
                    break
                episode = play_episode(game, net, Settings(), seed, limits.spent)
                refiner.consider(episode.answers, episode.latency)
                limits.report("search", refiner.least, 0.0)
        elif self.mode != "policy":
            self._anneal(refiner, limits)
        refiner.replay()
        return refiner

    def _anneal(self, refiner: Refiner, limits: Limits) -> None:
        """Cycle after cycle, with lessons between them where they were asked for."""
        tune: Callable[[], None] | None = None
        if self.finetune_s:
            from memplan_solvers.malloc_game.learner import Tuner

            tune = Tuner(refiner).tune
        for rounds in cycles(refiner.k * ROUNDS_PER_MOVE):
            if not refiner.cycle(rounds, limits.spent):
                return
            limits.report("agent", refiner.least, 0.0)
            if tune is not None and limits.seconds < self.finetune_s:
                tune()


def cycles(most: int) -> Iterator[int]:
    """Rounds of each cycle: every one twice as long as the one before, `most` in all."""
    rounds = FIRST_CYCLE
    while most > 0:
        yield min(rounds, most)
        most -= rounds
        rounds *= 2
