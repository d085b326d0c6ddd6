"""Expert iteration over many graphs: play better than the network, teach it what was played, again."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from memplan.base.files import write_atomic
from memplan_solvers.common.arrays import Ints
from memplan_solvers.malloc_game.actors import Actors, Task, TaskOutcome, TrainingCase
from memplan_solvers.malloc_game.learner import Learner, Lesson
from memplan_solvers.malloc_game.network import make_network
from memplan_solvers.malloc_game.policy import load_network, save_network
from memplan_solvers.malloc_game.tree_search import Settings


@dataclass(frozen=True)
class Schedule:
    """iterations of the whole; the first epochs, on greedy games, and those of each iteration after.

    moves: moves that annealing of one game replays per iteration, in units of whole games' moves: a game of k moves
    gets moves / k rounds, within least_rounds and most_rounds. searched: the share of iterations, the last ones, whose
    games are played by tree search at every move. rate, last_rate: of learning, in the first and the last iteration.
    start: the policy file to begin with; empty for a network drawn by the seed.
    """

    iterations: int = 48
    first_epochs: int = 30
    epochs: int = 12
    moves: int = 150_000
    least_rounds: int = 40
    most_rounds: int = 600
    searched: float = 0.0
    seed: int = 0
    rate: float = 1e-3
    last_rate: float = 1e-3
    start: str = ""

    def rate_at(self, iteration: int) -> float:
        """The learning rate of an iteration: geometric from `rate` to `last_rate`."""
        return float(self.rate * (self.last_rate / self.rate) ** (iteration / max(1, self.iterations - 1)))

    def rounds(self, moves: int) -> int:
        """Rounds of annealing for a game of so many moves."""
        return max(self.least_rounds, min(self.most_rounds, self.moves // max(moves, 1)))


@dataclass
class TrainingProgress:
    """What training has come to: per case the best answers and their latency, the first latency, the last lesson."""

    iteration: int = 0
    answers: dict[TrainingCase, Ints] = field(default_factory=dict)
    latency: dict[TrainingCase, float] = field(default_factory=dict)
    first: dict[TrainingCase, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)


def train(
    cases: Sequence[TrainingCase],
    actors: Actors,
    schedule: Schedule,
    folder: Path,
    tell: Callable[[str], None],
) -> Learner:
    """Train, or go on from `folder`'s checkpoint; writes checkpoint.pt, policy.safetensors and curve.json there.

    With one process and the same cases and schedule, an interrupted run that goes on gives the same weights bit for
    bit as one that was not interrupted: everything random is seeded by iteration.
    """
    net = load_network(schedule.start) if schedule.start else make_network(schedule.seed)
    learner, progress = Learner(net, schedule.rate, schedule.seed), TrainingProgress()
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(io.BytesIO(checkpoint.read_bytes()), weights_only=False)
        learner.restore(saved["learner"])
        progress = saved["progress"]
    while progress.iteration < schedule.iterations:
        number = progress.iteration
        searching = number >= schedule.iterations * (1 - schedule.searched)
        net = learner.net
        tasks = [
            Task(
                case,
                net,
                progress.answers.get(case),
                1_000_003 * schedule.seed + 1_009 * number + k,
                0 if searching else schedule.rounds(len(progress.answers.get(case, ())) or 10**6),
                Settings(),
            )
            for k, case in enumerate(cases)
        ]
        outcomes: dict[TrainingCase, TaskOutcome] = {}
        for outcome in actors.run(tasks):
            outcomes[outcome.case] = outcome
            tell(f"{number}: {len(outcomes)} of {len(cases)} games")
        for case in cases:  # in order, whoever came first
            _keep(progress, outcomes[case])
        lessons = [
            Lesson(o.x, o.legal, o.target, o.left) for o in map(outcomes.__getitem__, cases) if len(o.x)
        ]
        learner.use_rate(schedule.rate_at(number))
        loss = learner.fit(lessons, schedule.epochs if number else schedule.first_epochs)
        progress.iteration += 1
        progress.curve.append(
            {
                "iteration": number,
                "loss": loss,
                "policy": _mean_ratio({c: o.policy for c, o in outcomes.items()}, progress.first),
                "best": _mean_ratio(progress.latency, progress.first),
            }
        )
        tell(json.dumps(progress.curve[-1]))
        _write(folder, checkpoint, learner, progress, schedule)
    return learner


def _keep(progress: TrainingProgress, outcome: TaskOutcome) -> None:
    """Remember the best game of a case."""
    progress.first.setdefault(outcome.case, outcome.latency)
    if outcome.latency <= progress.latency.get(outcome.case, math.inf):
        progress.answers[outcome.case], progress.latency[outcome.case] = outcome.answers, outcome.latency


def _mean_ratio(now: dict[TrainingCase, float], first: dict[TrainingCase, float]) -> float:
    """Geometric mean of latencies over the first ones."""
    return math.exp(sum(math.log(now[c] / first[c]) for c in first) / len(first))


def _write(
    folder: Path, checkpoint: Path, learner: Learner, progress: TrainingProgress, schedule: Schedule
) -> None:
    buffer = io.BytesIO()
    state: dict[str, Any] = {"learner": learner.state(), "progress": progress}
    torch.save(state, buffer)
    write_atomic(checkpoint, buffer.getvalue())
    write_atomic(folder / "policy.safetensors", save_network(learner.net))
    curve = {
        "schedule": asdict(schedule),
        "cases": [asdict(c) for c in progress.first],
        "curve": progress.curve,
    }
    write_atomic(folder / "curve.json", json.dumps(curve, indent=1))
