"""The process in which TensorFlow Lite Micro's interpreter runs."""

from __future__ import annotations

from typing import Any

from memplan.runtimes.native import RUNS, answer, digests, made_up


def _run(asked: dict[str, Any], data: bytes) -> list[str]:
    """Digests of what a model computes on made-up inputs, run after run; the interpreter's count goes to stderr."""
    import numpy as np
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=asked["arena"])
    rng = np.random.default_rng(asked["seed"])
    found = []
    for _ in range(RUNS):
        for i in range(asked["inputs"]):
            details = interpreter.get_input_details(i)
            interpreter.set_input(made_up(rng, details["shape"], np.dtype(details["dtype"])), i)
        interpreter.invoke()
        found += digests(interpreter.get_output(i) for i in range(asked["outputs"]))
    interpreter.print_allocations()
    return found


if __name__ == "__main__":
    answer(_run)
