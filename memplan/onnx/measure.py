"""Types that inference cannot know, read off one run in onnxruntime, in a process of its own.

A process of its own, because a model that needs this may also want more memory or time than anybody
has: it runs under a limit of both.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from memplan.base.children import end_with_parent, start
from memplan.base.errors import GraphError
from memplan.onnx.dtypes import ELEMENT_TYPES

TIME_LIMIT_S = 45
MEMORY_LIMIT = 7 * 2**28  # bytes of data, 1.75 GiB
MAX_MEASURED = 2**31  # known bytes of the model beyond which it is not run

MeasuredTypes = dict[str, tuple[int, tuple[int, ...]]]


class NotRunError(GraphError):
    """A model whose types only a run can tell, and that does not run within the limits."""


def measure_types(proto: Any, missing: list[str], known_nbytes: int) -> MeasuredTypes:
    """Types of the tensors `missing` of a model whose large weights are inputs; without those no node makes.

    NotRunError where the model does not run within the limits.
    """
    if known_nbytes > MAX_MEASURED:
        raise _unknown(missing[0], "the model is too large to run")
    produced = {name for node in proto.graph.node for name in node.output}
    wanted = [name for name in missing if name in produced]
    if not wanted:
        return {}
    declared = {value.name for value in proto.graph.output}
    for name in wanted:
        if name not in declared:
            proto.graph.output.add().name = name
    pipe = subprocess.PIPE
    with start("memplan.onnx.measure", stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            asked = json.dumps(wanted).encode() + b"\n" + proto.SerializeToString()
            answer, complaint = process.communicate(asked, TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise _unknown(wanted[0], f"the model runs over {TIME_LIMIT_S} s") from None
        finally:
            process.kill()
    if process.returncode != 0:
        why = (complaint.decode(errors="replace").strip().splitlines() or ["it was killed"])[-1]
        raise _unknown(wanted[0], f"the model does not run: {why[:200]}")
    return {name: (element, tuple(shape)) for name, (element, shape) in json.loads(answer).items()}


def _unknown(name: str, why: str) -> NotRunError:
    return NotRunError(
        f"the shape of tensor '{name}' is unknown and {why}",
        "export the model with static shapes, without sequences",
    )


def _main() -> None:
    """Run a model on made-up inputs; print element type and shape of each tensor asked for.

    On stdin: a line with the names as JSON, then the model.
    """
    end_with_parent()
    import onnx
    import onnxruntime as ort

    _limit_memory()
    wanted = json.loads(sys.stdin.buffer.readline())
    model = sys.stdin.buffer.read()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena doubles: it would meet the limit at half of it
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own
        sys.exit(" ".join(str(error).split()))
    proto = onnx.load_from_string(model)
    elements = {value.name: _element(value.type) for value in session.get_outputs()}
    if odd := next((name for name in wanted if elements.get(name) is None), None):
        sys.exit(f"'{odd}' is not a tensor of numbers")
    failure = ""
    for fill in (0, 1):  # zeros are in range as indices, ones as lengths
        try:
            found = session.run_with_ort_values(wanted, _feed(session, proto, fill))
        except Exception as error:
            failure = " ".join(str(error).split())
            continue
        print(json.dumps({n: [elements[n], list(v.shape())] for n, v in zip(wanted, found, strict=True)}))
        return
    sys.exit(failure)


def _limit_memory() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _element(text: str) -> int | None:
    """TensorProto.DataType of onnxruntime's name of a type, such as tensor(float); None if it is none."""
    name = text.removeprefix("tensor(").removesuffix(")")
    name = {"float": "float32", "double": "float64"}.get(name, name)
    return next((number for number, (known, _) in ELEMENT_TYPES.items() if known == name), None)


def _feed(session: Any, proto: Any, fill: int) -> dict[str, Any]:
    """A value for each input: 0.5 where it is floating, a switch's own value, else `fill`."""
    import numpy as np
    import onnx
    import onnxruntime as ort

    from memplan.onnx.inputs import compared_scalar
    from memplan.onnx.uses import index, sinks
    from memplan.onnx.weights import constant_nodes, stored_constants

    uses, constants = index(proto.graph), stored_constants(proto, ".", 0) | constant_nodes(proto.graph)
    feed = {}
    for value in session.get_inputs():
        dtype = onnx.helper.tensor_dtype_to_np_dtype(_element(value.type) or onnx.TensorProto.FLOAT)
        shape = [int(d) for d in value.shape]
        number: float = 0.5 if "float" in dtype.name else fill
        if not shape and (switch := compared_scalar(sinks(value.name, uses), constants)) is not None:
            number = switch  # such as the sampling rate that chooses a branch
        array = np.full(shape, number, dtype)
        if dtype.name in ("float16", "float32", "float64") or dtype.kind in "biu":
            feed[value.name] = ort.OrtValue.ortvalue_from_numpy(array)
        else:  # a type that numpy does not know by itself travels as its bits
            bits = array.view(f"uint{8 * dtype.itemsize}")
            element = _element(value.type) or 0
            feed[value.name] = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, element)
    return feed


if __name__ == "__main__":
    _main()
