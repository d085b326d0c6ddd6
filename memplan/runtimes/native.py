"""Programs run by runtimes of native code that may end their process, or print what they like: in processes of their own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from memplan.base.children import end_with_parent, start
from memplan.base.errors import ExecutionError

RUNS = 3
"""Runs of a program that are compared, one after another: what it keeps from run to run shows."""

TIMEOUT_S = 600
"""A process that takes longer is ended."""


def ask(module: str, runtime: str, question: Mapping[str, object], program: bytes) -> tuple[Any, str]:
    """What the process of a module, which calls `answer`, makes of a program: None if it was ended; and what it said on stderr.

    ExecutionError where it does not end; the runtime is called by its name there.
    """
    pipe = subprocess.PIPE
    with start(module, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            told, said = process.communicate(json.dumps(question).encode() + b"\n" + program, TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ExecutionError(
                f"{runtime} has not run the model in {TIMEOUT_S} s", "does the model end?"
            ) from None
    lines = (
        [] if process.returncode else told.splitlines()
    )  # none where native code ends the process as if all were well
    return (json.loads(lines[-1]) if lines else None), said.decode(errors="replace")


def answer(run: Callable[[dict[str, Any], bytes], object]) -> None:
    """Answer the question on stdin: the last line of stdout is what `run` makes of it and of the program that follows it."""
    end_with_parent()
    question = json.loads(sys.stdin.buffer.readline())
    print(json.dumps(run(question, sys.stdin.buffer.read())))


def digests(outputs: Iterable[Any]) -> list[str]:
    """Digests of the bytes of arrays."""
    return [hashlib.sha256(output.tobytes()).hexdigest() for output in outputs]


def made_up(rng: Any, shape: Any, dtype: Any) -> Any:
    """Values for an input: floats from -1 to 1, all of a small integer's range; zeros as wide integers, which may be indices."""
    import numpy as np

    if dtype.kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.itemsize > 2:
        return np.zeros(shape, dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)
