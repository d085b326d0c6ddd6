"""Self-play: what one task does, and who does it: this process, local processes or a Ray cluster."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from memplan.base.children import end_with_parent
from memplan.base.errors import MemplanError, OptionError
from memplan.library.load import load_model
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan_solvers.common.arrays import Flags, Floats32, Ints
from memplan_solvers.malloc_game.board import ANSWERS, Board
from memplan_solvers.malloc_game.game import Game, open_board
from memplan_solvers.malloc_game.gumbel_zero import play_episode
from memplan_solvers.malloc_game.lesson import lesson_of
from memplan_solvers.malloc_game.network import Network
from memplan_solvers.malloc_game.refine import Refiner
from memplan_solvers.malloc_game.tree_search import Settings

TRIES = 3
"""How often a task is given to somebody before its loss is an error."""


@dataclass(frozen=True)
class TrainingCase:
    """A game to be learnt: a model (a zoo name or file) on a timed target, with a share of its bytes as scratchpad."""

    model: str
    target: str
    share: float

    def problem(self) -> Problem:
        """Weights as tensors; capacity = share x (live peak in program order + weights)."""
        model = load_model(self.model, {})
        whole = make_problem(model, self.target, objective="latency", weights="tensor", scratchpad="max")
        everything = sum(s.size for s in whole.storages if s.is_constant) + _live_peak(whole)
        grain = whole.target.scratchpad.alignment
        capacity = max(grain, int(self.share * everything) // grain * grain)
        return make_problem(model, self.target, objective="latency", weights="tensor", scratchpad=capacity)


def _live_peak(problem: Problem) -> int:
    """Bytes of the activations that live at once in program order, at most."""
    change = np.zeros(problem.n + 1, np.int64)
    for s in problem.storages:
        if not s.is_constant and s.touches:
            change[s.touches[0]] += s.size
            change[s.touches[-1] + 1] -= s.size
    return int(np.cumsum(change).max(initial=0))


@lru_cache(maxsize=128)
def board_of(case: TrainingCase) -> Board:
    """The board of a case; OptionError where there is no game to play."""
    board = open_board(case.problem(), Limits(60.0))
    if board is None or not len(board.moves):
        raise OptionError(f"no game on {case.model}", "choose another model or share")
    return board


@dataclass(frozen=True)
class Task:
    """One game to be played better: by annealing with the network (`rounds` > 0), or by search at every move.

    best  the best answers so far, int64[moves], None at the beginning
    """

    case: TrainingCase
    net: Network
    best: Ints | None
    seed: int
    rounds: int
    settings: Settings = Settings()


@dataclass(frozen=True)
class TaskOutcome:
    """What a task found. `policy` is the latency of the network alone, `latency` that of `answers`, in seconds.

    The lesson's rows are those of `answers` (see `lesson.LessonRows`); targets are the search's policies where it
    searched at every move, else the answers.
    """

    case: TrainingCase
    answers: Ints  # [moves]
    latency: float
    policy: float
    x: Floats32  # [rows, inputs]
    legal: Flags  # [rows, answers]
    target: Floats32  # [rows, answers]
    left: Floats32  # [rows]


def run_task(task: Task) -> TaskOutcome:
    """Play. Deterministic for the same task."""
    board = board_of(task.case)
    game = Game(board)
    refiner = Refiner(game, task.net, task.seed)
    if task.best is None:
        refiner.consider_greedy()
    else:
        game.reset()
        for answer in task.best:
            game.step(int(answer))
        refiner.consider(task.best.copy(), game.latency)
    policies = None
    if task.rounds:
        refiner.cycle(task.rounds, lambda: False)
        answers, latency = refiner.best, refiner.least
    else:
        answers, policies, latency = play_episode(game, task.net, task.settings, task.seed)
    rows = lesson_of(game, refiner.player, answers)
    if policies is None:
        target = np.eye(ANSWERS, dtype=np.float32)[rows.answer]
    else:
        target = policies[rows_with_choice(game, answers)].astype(np.float32)
    return TaskOutcome(
        task.case, answers, latency, refiner.policy_latency, rows.x, rows.legal, target, rows.left
    )


def rows_with_choice(game: Game, answers: Ints) -> Ints:
    """The moves of a game that had more than one legal answer, int64[r]."""
    game.reset()
    found = []
    for i, answer in enumerate(answers):
        if game.legal.sum() > 1:
            found.append(i)
        game.step(int(answer))
    return np.array(found, np.int64)


class Actors(ABC):
    """Whoever runs tasks. Results come as they are ready; the order of a single process is that of the tasks."""

    @abstractmethod
    def run(self, tasks: Sequence[Task]) -> Iterator[TaskOutcome]:
        """Every task's outcome. An actor that dies is replaced, and its task is run again."""

    @abstractmethod
    def close(self) -> None:
        """Let the actors go."""


class Alone(Actors):
    """This process, one task after the other."""

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskOutcome]:
        return map(run_task, tasks)

    def close(self) -> None:
        pass


class Processes(Actors):
    """Local processes."""

    def __init__(self, workers: int, job: Callable[[Task], TaskOutcome] = run_task) -> None:
        self.workers, self.job = workers, job
        self.pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=end_with_parent)

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskOutcome]:
        left = dict(enumerate(tasks))
        for _ in range(TRIES):
            futures: dict[Future[TaskOutcome], int] = {
                self.pool.submit(self.job, task): i for i, task in left.items()
            }
            try:
                for future in as_completed(futures):
                    outcome = future.result()
                    del left[futures[future]]
                    yield outcome
            except BrokenProcessPool:  # one has died, and takes its fellows with it
                self.pool.shutdown(wait=False, cancel_futures=True)
                self.pool = self._start()
            if not left:
                return
        raise MemplanError(f"{len(left)} games were lost {TRIES} times", "the machine may be short of memory")

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)


class Ray(Actors):
    """A Ray cluster at `address` ("local" starts one here). Ray itself runs the tasks of dead workers again."""

    def __init__(self, address: str, job: Callable[[Task], TaskOutcome] = run_task) -> None:
        try:
            import ray
        except ImportError:
            raise OptionError("Ray is not installed", "pip install 'memplan[ray]'") from None
        self.ray: Any = ray
        ray.init(
            address=None if address == "local" else address,
            num_cpus=os.cpu_count() if address == "local" else None,
            include_dashboard=False,
            log_to_driver=False,
            ignore_reinit_error=True,
        )
        self.job = ray.remote(max_retries=TRIES, retry_exceptions=False)(job)

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskOutcome]:
        waiting = [self.job.remote(task) for task in tasks]
        while waiting:
            done, waiting = self.ray.wait(waiting)
            yield self.ray.get(done[0])

    def close(self) -> None:
        self.ray.shutdown()
