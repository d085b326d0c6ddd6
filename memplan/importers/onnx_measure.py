"""Types that inference cannot know, read off one run in onnxruntime, in a process of its own.

A process of its own, because a model that needs this may also want more memory or time than anybody
has: it runs under a limit of both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from memplan.errors import GraphError
from memplan.importers.dtypes import ELEMENT_TYPES

TIME_LIMIT_S = 120
MEMORY_LIMIT = 4 * 2**30
MAX_MEASURED = 2**31  # known bytes of the model beyond which it is not run


def measure_types(
    proto: Any, missing: list[str], known_nbytes: int
) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Types of the tensors `missing` of a model whose large weights are inputs; absent where the run fails."""
    if known_nbytes > MAX_MEASURED:
        raise GraphError(f"the shape of tensor '{missing[0]}' is unknown and the model too large to run",
                         "export the model with static shapes")  # fmt: skip
    produced = {name for node in proto.graph.node for name in node.output}
    wanted = [name for name in missing if name in produced]
    if not wanted:
        return {}
    declared = {value.name for value in proto.graph.output}
    for name in wanted:
        if name not in declared:
            proto.graph.output.add().name = name
    with tempfile.TemporaryDirectory(prefix="memplan-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        command = [sys.executable, "-m", "memplan.importers.onnx_measure", str(path)]
        try:
            done = subprocess.run(
                command, input=json.dumps(wanted), capture_output=True, text=True, timeout=TIME_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            raise GraphError(f"the shape of tensor '{wanted[0]}' is unknown and the model ran over "
                             f"{TIME_LIMIT_S} s", "export the model with static shapes") from None  # fmt: skip
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["it was killed"])[-1][:200]
        raise GraphError(f"the shape of tensor '{wanted[0]}' is unknown and the model does not run: {why}",
                         "export the model with static shapes, without sequences")  # fmt: skip
    return {name: (element, tuple(shape)) for name, (element, shape) in json.loads(done.stdout).items()}


def _main(path: str) -> None:
    """Run the model on made-up inputs; print element type and shape of each tensor named on stdin."""
    import resource

    import numpy as np
    import onnx
    import onnxruntime as ort

    from memplan.runtime.inputs import compared_scalar
    from memplan.runtime.uses import index, sinks
    from memplan.runtime.weights import constant_nodes, stored_constants

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    wanted = json.load(sys.stdin)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
    elements = {name: number for number, (name, _) in ELEMENT_TYPES.items()}
    proto = onnx.load(path, load_external_data=False)
    uses, constants = index(proto.graph), stored_constants(proto, ".", 0) | constant_nodes(proto.graph)
    switches = {
        value.name: compared_scalar(sinks(value.name, uses), constants) for value in proto.graph.input
    }
    failure: Exception | None = None
    for fill in (0, 1):  # zeros are in range as indices, ones as lengths
        feed = {}
        for value in session.get_inputs():
            dtype = np.dtype(names.get(value.type, value.type.removeprefix("tensor(").removesuffix(")")))
            number = 0.5 if dtype.kind == "f" else fill
            if not value.shape and (switch := switches.get(value.name)) is not None:
                number = switch  # such as the sampling rate that chooses a branch
            feed[value.name] = np.full([int(d) for d in value.shape], number, dtype)
        try:
            found = session.run(wanted, feed)
        except Exception as error:  # onnxruntime raises classes of its own
            failure = error
            continue
        print(
            json.dumps(
                {n: [elements[str(a.dtype)], list(a.shape)] for n, a in zip(wanted, found, strict=True)}
            )
        )
        return
    print(str(failure), file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    _main(sys.argv[1])
