"""The agent's annealing: its rounds are those of which its guide expects gain, and loads ask for idle copy time."""

from __future__ import annotations

from dataclasses import replace

from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.testing import TIMED, chain
from memplan_solvers.latency.anneal import Anneal
from memplan_solvers.latency.annealed import AnnealingWork
from memplan_solvers.latency.arrays import LatencyArrays, make_arrays
from memplan_solvers.latency.layout import Layout
from memplan_solvers.latency.msa import tuned
from memplan_solvers.malloc_game.game import Game, open_board
from memplan_solvers.malloc_game.guide import focus_of, load_guide
from memplan_solvers.malloc_game.policy import load_network
from memplan_solvers.malloc_game.refine import Refiner

QUEUED = 0.9
"""Share of new ratios of loads that ask for idle copy capacity, see `anneal_kernel.AnnealingState`."""


def anneal(timed: LatencyArrays, start: Layout, work: AnnealingWork) -> Layout:
    """What guided annealing makes of a layout."""
    whole = Anneal()
    share = replace(whole, effort=round(work.share * whole.effort))
    focus = focus_of(timed, load_guide())
    return share.improve(timed, start, work.limits, work.bound, QUEUED, focus)


def warm() -> None:
    """Call every kernel of a game and its annealing, on a chain of three ops."""
    problem = Problem(chain(3), TIMED.with_scratchpad(600), Options("latency", "tensor", order="program"))
    limits = Limits(float("inf"))  # it compiles for a minute
    board, timed = open_board(problem, limits), make_arrays(problem, limits)
    if board is not None and timed is not None:
        refiner = Refiner(Game(board), load_network(), 0)
        refiner.consider_greedy()
        refiner.cycle(1, lambda: False)
        anneal(timed, tuned(timed, limits, 0.0), AnnealingWork(1.0, limits, 0.0))
