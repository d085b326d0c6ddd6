"""Types that inference cannot know, read off one run in onnxruntime, in a process of its own.

A process of its own, because a model that needs this may also want more memory or time than anybody
has: it runs under a limit of both.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memplan.base.children import end_with_parent, start
from memplan.onnx.dtypes import ELEMENT_TYPES
from memplan.onnx.sizes import label

TIME_LIMIT_S = 45
MEMORY_LIMIT = 7 * 2**28  # bytes of data, 1.75 GiB
MAX_MEASURED = 2**31  # known bytes of the model beyond which it is not run

SIZES_CLASH = re.compile("ShapeInferenceError|Non-zero status code returned while running")
OUT_OF_MEMORY = re.compile("bad_alloc|[Ff]ailed to allocate|MemoryError")
"""How onnxruntime says that an op cannot take operands of these sizes, and that it had no memory for them."""


@dataclass(frozen=True)
class Measured:
    """What a run tells: types of the tensors that were asked for, as far as it came.

    why  what kept it from telling all, to be said after "and"; empty where nothing did
    op   the op that ends it, whatever the data: it cannot take operands of these sizes; empty for any other reason
    """

    types: Mapping[str, tuple[int, tuple[int, ...]]]
    why: str = ""
    op: str = ""


def measure_types(proto: Any, missing: Sequence[str], known_nbytes: int) -> Measured:
    """Types of the tensors `missing` (in program order) of a model whose large weights are inputs, within the limits.

    Nothing is told of those that no node makes, of what comes after an op that fails, and where the limits end it.
    """
    if known_nbytes > MAX_MEASURED:
        return Measured({}, "the model is too large to run")
    pipe = subprocess.PIPE
    with start("memplan.onnx.measure", stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            asked = json.dumps(missing).encode() + b"\n" + proto.SerializeToString()
            answer, complaint = process.communicate(asked, TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            return Measured({}, f"the model runs over {TIME_LIMIT_S} s")
        finally:
            process.kill()
    if process.returncode != 0:
        why = (complaint.decode(errors="replace").strip().splitlines() or ["it was killed"])[-1]
        return Measured({}, _in_words(why))
    types, why, op = json.loads(answer)
    told = {name: (element, tuple(shape)) for name, (element, shape) in types.items()}
    return Measured(told, _in_words(why) if why else "", op)


def _in_words(why: str) -> str:
    """What kept a model from running, as a message says it; `why` is what the run itself said."""
    if OUT_OF_MEMORY.search(why):
        return f"the model needs over {MEMORY_LIMIT:,} bytes to run"
    return f"the model does not run: {why[:200]}"


def _main() -> None:
    """Run a model on made-up inputs; print types of the tensors asked for, why some are missing, and the op
    that failed.

    On stdin: a line with the names as JSON, then the model.
    """
    end_with_parent()
    import onnx

    _limit_memory()
    wanted = json.loads(sys.stdin.buffer.readline())
    model = onnx.load_from_string(sys.stdin.buffer.read())
    types, why = _run(model, len(model.graph.node), wanted)
    op, runs, fails = "", 0, len(model.graph.node)  # so many first nodes run, so many do not
    while why and fails - runs > 1:
        middle = (runs + fails) // 2
        found, reason = _run(model, middle, wanted)
        if reason:
            fails, why = middle, reason
        else:
            runs, types = middle, found
    if SIZES_CLASH.search(why) and not OUT_OF_MEMORY.search(why):
        op = label(model.graph.node[fails - 1])
    print(json.dumps([types, why, op]))


def _run(model: Any, count: int, wanted: Sequence[str]) -> tuple[dict[str, tuple[int, list[int]]], str]:
    """Types of those `wanted` that the first `count` nodes of the model make, or why these do not run."""
    import onnx
    import onnxruntime as ort

    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    del proto.graph.node[count:]
    made = {name for node in proto.graph.node for name in node.output}
    asked = [name for name in wanted if name in made]
    fetched = asked or list(filter(None, proto.graph.node[-1].output))
    del proto.graph.output[:]
    for name in fetched:
        proto.graph.output.add().name = name
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena doubles: it would meet the limit at half of it
    try:
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own
        return {}, " ".join(str(error).split())
    elements = {value.name: _element(value.type) for value in session.get_outputs()}
    if odd := next((name for name in asked if elements.get(name) is None), None):
        return {}, f"'{odd}' is not a tensor of numbers"
    failure = ""
    for fill in (0, 1):  # zeros are in range as indices, ones as lengths
        try:
            found = session.run_with_ort_values(fetched, _feed(session, proto, fill))
        except Exception as error:
            failure = " ".join(str(error).split())
            continue
        return {n: (elements[n] or 0, list(v.shape())) for n, v in zip(asked, found, strict=False)}, ""
    return {}, failure


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
