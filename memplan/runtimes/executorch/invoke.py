"""Programs of ExecuTorch run by its runtime."""

from __future__ import annotations

from dataclasses import dataclass

from memplan.base.errors import ExecutionError
from memplan.runtimes.native import ask


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


def invoke(*programs: bytes, method: str = "forward", seed: int = 0) -> list[MethodInvocation]:
    """Run a method of each program on the same made-up inputs; ExecutionError with the runtime's own words where it refuses one."""
    asked = {"method": method, "seed": seed, "sizes": [len(program) for program in programs]}
    told, said = ask("memplan.runtimes.executorch.process", "ExecuTorch", asked, b"".join(programs))
    if told is None:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        raise ExecutionError(
            f"ExecuTorch does not run the program: {' '.join(lines[-2:] or ['it was killed'])[:300]}",
            "does it run as ExecuTorch lowers it itself?",
        )
    return [
        MethodInvocation(tuple(run["arenas"]), tuple(run["digests"]), len(program))
        for run, program in zip(told, programs, strict=True)
    ]
