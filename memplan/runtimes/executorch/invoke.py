"""Programs of ExecuTorch run by its runtime, in a process of its own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from memplan.base.children import start
from memplan.base.errors import ExecutionError

RUNS = 3
"""Runs of a program that are compared, one after another: what it keeps from run to run shows."""

TIMEOUT_S = 600
"""A run that takes longer is ended."""


@dataclass(frozen=True)
class MethodInvocation:
    """What the runtime tells of some runs of a program.

    Args:
        arenas: bytes of its memory-planned buffers 1, 2, …, which it asks the application for.
        digests: of each output of each run.
        file_nbytes: of the program itself, constants included.
    """

    arenas: tuple[int, ...]
    digests: tuple[str, ...]
    file_nbytes: int


def invoke(program: bytes, method: str = "forward", seed: int = 0) -> MethodInvocation:
    """Run a method on made-up inputs; ExecutionError with the runtime's own words where it refuses."""
    asked = {"method": method, "runs": RUNS, "seed": seed}
    pipe = subprocess.PIPE
    with start("memplan.runtimes.executorch.process", stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            answer, said = process.communicate(json.dumps(asked).encode() + b"\n" + program, TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ExecutionError(
                f"ExecuTorch has not run the program in {TIMEOUT_S} s", "does it end?"
            ) from None
    if process.returncode:
        lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
        raise ExecutionError(
            f"ExecuTorch does not run the program: {' '.join(lines[-2:] or ['it was killed'])[:300]}",
            "does it run as ExecuTorch lowers it itself?",
        )
    told = json.loads(answer.splitlines()[-1])
    return MethodInvocation(tuple(told["arenas"]), tuple(told["digests"]), len(program))
