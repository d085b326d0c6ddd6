"""Random games on random problems, each finished one checked and compared with the simulator."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from memplan_solvers.malloc_game.game import Game, open_board

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.parts import Compute, Memory
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from tests.generate import random_graph
from tests.graphs import graph_of


@dataclass(frozen=True)
class Played(Solver):
    """Stands for whoever played."""

    name: ClassVar[str] = "played"
    summary: ClassVar[str] = "for tests"
    supports: ClassVar[Capabilities] = Capabilities(("latency",), operands=("direct",))

    def solve(self, problem: Problem, budget: Limits) -> Plan:
        raise NotImplementedError


def elementwise_graph(rng: random.Random, ops: int) -> Graph:
    """In-place chains among others: elementwise ops on one size, each reading old values that then die."""
    tensors = {"x": Tensor("x", 4, "input", "int8", (4,))}
    values, made = ["x"], []
    for k in range(ops):
        kind = rng.choice(("Relu", "Add", "Add", "Conv"))
        reads = dict.fromkeys(rng.choice(values[-5:]) for _ in range(2 if kind == "Add" else 1))
        nbytes = rng.choice((2, 3, 8)) if kind == "Conv" else 4
        tensors[f"t{k}"] = Tensor(
            f"t{k}", nbytes, "output" if k == ops - 1 else "activation", "int8", (nbytes,)
        )
        made.append(Op(f"op{k}", kind, tuple(reads), (f"t{k}",), rng.choice((0, 20, 50))))
        values.append(f"t{k}")
    return graph_of("elementwise", tuple(tensors.values()), tuple(made))


def random_problem(rng: random.Random, most_ops: int = 12) -> Problem:
    """A small latency problem: any treatment, a scratchpad that holds a part of everything, mixed rates."""
    chained = rng.random() < 0.4
    graph = (elementwise_graph if chained else random_graph)(rng, rng.randint(1, most_ops))
    options = Options(
        "latency",
        rng.choice(("ignore", "tensor", "tensor", "stream")),
        rng.choice(("host", "host", "resident")),
        rng.random() < (0.9 if chained else 0.5),
        "program",
    )
    alignment = rng.choice((1, 1, 2, 4))
    rates = rng.choice((1e9, 1e10, 1e11))
    target = two_level(
        "random",
        Memory("scratchpad", rng.randint(4, 40), alignment, rng.choice((2e9, 4e9, 2e10))),
        Memory("host", bandwidth=1e9),
        direct=True,
        compute=Compute(rates, {}, rng.choice((0.0, 1e-8))),
    )
    problem = Problem(graph, target, options)
    least = max(problem.min_capacity, target.scratchpad.capacity or 0)
    return replace(problem, target=target.with_scratchpad(least))


def play_randomly(rng: random.Random, game: Game, undo: float = 0.0) -> float:
    """Play to the end, taking moves back now and then; the sum of the rewards."""
    total, rewards = 0.0, []
    for _ in range(20 * game.moves):
        if game.is_over:
            break
        if rewards and rng.random() < undo:
            game.undo()
            total -= rewards.pop()
            continue
        legal = np.flatnonzero(game.legal)
        assert len(legal), "no legal answer"
        rewards.append(game.step(int(rng.choice(legal))))
        total += rewards[-1]
    while not game.is_over:
        total += game.step(int(np.flatnonzero(game.legal)[0]))
    return total


def play_and_check(seed: int, undo: float = 0.0, games: int = 1) -> tuple[int, int]:
    """Games and backups of one random problem; AssertionError or InvalidPlanError on any fault."""
    rng = random.Random(seed)
    problem = random_problem(rng)
    board = open_board(problem, Limits(10.0))
    if board is None:
        return 0, 0
    game, backups = Game(board), 0
    for _ in range(games):
        game.reset()
        gained = play_randomly(rng, game, undo)
        plan = evaluate(problem.graph, game.plan(Played(), problem, Limits(1.0)))
        want = 1.0 - plan.metrics.latency_s / plan.metrics.latency_all_host_s if game.moves else 0.0
        assert abs(gained - want) < 1e-9, (seed, gained, want)
        backups += int(game.state.totals["backups"][0])
    return games, backups
