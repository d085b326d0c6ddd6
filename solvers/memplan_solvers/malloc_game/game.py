"""`Game`: one mallocGame from Python. Agents that search use the compiled functions of `play` directly."""

from __future__ import annotations

import numpy as np

from memplan.base.errors import MemplanError, OptionError, TargetError
from memplan.problem.op_times import latency_ends
from memplan.problem.plan import InPlace, Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.common.arrays import Flags, Ints
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.malloc_game import play
from memplan_solvers.malloc_game.board import Board, make_board, open_state
from memplan_solvers.malloc_game.state import GameState, copy_state


def refusal(problem: Problem) -> MemplanError | None:
    """Why the game cannot be played: operands must be in the scratchpad, a kept storage has to be copied, or there are
    two queues; None where it can.
    """
    if problem.target.queues != 1:
        return TargetError(
            f"target '{problem.target.name}' has two DMA queues, the mallocGame has one",
            "use anneal or msa, or a target with dma.queues = 1",
        )
    if not problem.target.direct:
        return OptionError(
            f"target '{problem.target.name}' serves no operand from host, as the mallocGame does",
            "use anneal or greedy for latency there, or a target with operands = 'any'",
        )
    for s in problem.storages:
        if s.keep and not s.resident and (s.in_host or s.is_output):
            return OptionError(
                f"'{s.name}' is pinned to the scratchpad, but has to be copied, and the mallocGame does not plan its copy",
                "keep only activations there, or use anneal or msa",
            )
    return None


def open_board(problem: Problem, limits: Limits) -> Board | None:
    """The board of a latency problem; None if what must stay in the scratchpad could not be placed.

    What `refusal` says is raised.
    """
    if (error := refusal(problem)) is not None:
        raise error
    timed = make_arrays(problem, limits)
    if timed is None:
        return None
    return make_board(timed, latency_ends(problem.graph, problem.target, problem.options)[0] or 0.0)


class Game:
    """A game on a board, at its beginning.

    step(answer) → reward and undo() move it; legal is the mask of the next move, bool[3] for NO_COPY,
    COPY, DROP; after the last move `plan` is what was played. The rewards add up to
    1 − latency / latency with everything in host.
    """

    def __init__(self, board: Board, state: GameState | None = None) -> None:
        self.board = board
        self.state = open_state(board) if state is None else state
        self._legal = np.zeros(3, np.bool_)

    @property
    def moves(self) -> int:
        """Moves of a whole game."""
        return len(self.board.moves)

    @property
    def move(self) -> int:
        """The next move's number; `moves` once the game is over."""
        return int(self.state.totals["move"][0])

    @property
    def is_over(self) -> bool:
        """Whether every move has been answered."""
        return self.move == self.moves

    @property
    def latency(self) -> float:
        """Seconds with everything undecided in host."""
        return float(self.state.totals["latency"][0])

    @property
    def score(self) -> float:
        """The sum of the rewards so far."""
        return 1.0 - self.latency / self.board.all_host if self.move else 0.0

    @property
    def answers(self) -> Ints:
        """The answers so far, by move; of a finished game int64[moves]."""
        answers: Ints = self.state.history["answer"][: self.move].copy()
        return answers

    @property
    def legal(self) -> Flags:
        """The mask of the next move, bool[3]; at least one is True until the game is over."""
        play.mask(self.board, self.state, self._legal)
        return self._legal.copy()

    def reset(self) -> None:
        """Back to the beginning."""
        play.reset(self.board, self.state)

    def step(self, answer: int) -> float:
        """Answer the next move; the reward. ValueError, and nothing changed, if the answer is illegal."""
        before = self.score
        if not play.play(self.board, self.state, int(answer)):
            raise ValueError(
                f"answer {answer} to move {self.move} is illegal, legal are {np.flatnonzero(self.legal)}"
            )
        return self.score - before

    def undo(self) -> None:
        """Take the last step back."""
        play.undo(self.board, self.state)

    def copy(self) -> Game:
        """A game at the same state that shares only the board."""
        return Game(self.board, copy_state(self.state))

    def plan(self, solver: Solver, problem: Problem, limits: Limits, bound: float = 0.0) -> Plan:
        """The plan that a finished game amounts to. `bound` must hold for every plan of the problem."""
        if not self.is_over:
            raise ValueError(f"the game stands at move {self.move} of {self.moves}")
        storages, state = problem.storages, self.state
        residencies = [
            problem.residency(s, start, stop, offset)
            for s, start, stop, offset in state.residencies[: state.totals["residencies"][0]].tolist()
        ]
        moves = [
            problem.store(s, key // 2 + 1, due) if key % 2 else problem.load(s, key // 2, due)
            for key, due, s, *_ in state.queue.copies[: state.queue.used[0]].tolist()
        ]
        source = self.board.storages["source"]
        over = np.flatnonzero(state.standings["over"]).tolist()
        inplace = [InPlace(storages[b].producer, storages[b].name, storages[source[b]].name) for b in over]
        return solver.answer(
            problem,
            limits,
            order=tuple(range(problem.n)),
            residencies=residencies,
            moves=moves,
            bound=bound,
            inplace=inplace,
        )
