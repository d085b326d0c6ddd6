"""The process in which TensorFlow Lite Micro's interpreter runs: native code that may end it, or print what it likes."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from memplan.base.children import end_with_parent


def _main() -> None:
    """Run a model on made-up inputs; print the digests of its outputs, run after run, and the interpreter's count on stderr.

    On stdin: a line of JSON with the arena's bytes, the numbers of runs, inputs and outputs, and a seed, then the model.
    """
    end_with_parent()
    import numpy as np
    from tflite_micro.python.tflite_micro import runtime

    asked = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=asked["arena"])
    rng = np.random.default_rng(asked["seed"])
    digests = []
    for _ in range(asked["runs"]):
        for i in range(asked["inputs"]):
            details = interpreter.get_input_details(i)
            interpreter.set_input(_values(rng, details["shape"], np.dtype(details["dtype"])), i)
        interpreter.invoke()
        outputs = [interpreter.get_output(i) for i in range(asked["outputs"])]
        digests += [hashlib.sha256(output.tobytes()).hexdigest() for output in outputs]
    interpreter.print_allocations()
    print(json.dumps(digests))


def _values(rng: Any, shape: Any, dtype: Any) -> Any:
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


if __name__ == "__main__":
    _main()
