"""Two programs timed in turns."""

from __future__ import annotations

from typing import Any

MAX_TURNS = 5


TIMING_S = 0.5
"""The two programs are timed in turns, at most this often and until this time is spent."""


def least_seconds(program: Any, plain: Any) -> tuple[float, float]:
    """Least seconds of each program over turns of one after the other: others may use the machine too."""
    best = (float("inf"), float("inf"))
    spent = 0.0
    for _ in range(MAX_TURNS):
        turn = (program.execute(), plain.execute())
        best = (min(best[0], turn[0]), min(best[1], turn[1]))
        spent += sum(turn)
        if spent >= TIMING_S:
            break
    return best
