"""The mallocGame (after mallocMuZero, arXiv 2305.07440): its rules, its Gymnasium environment, its players."""

from __future__ import annotations


def register() -> None:
    """Tell Gymnasium of `memplan/MallocGame-v0`; called by Gymnasium when it collects plug-ins."""
    from gymnasium.envs.registration import register as make_known

    make_known(id="MallocGame-v0", entry_point="memplan_solvers.malloc_game.env:MallocGame")
