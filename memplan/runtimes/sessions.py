"""onnxruntime sessions as the executor uses them: one thread, no optimisation, operands bound by address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from memplan.base.errors import ExecutionError
from memplan.onnx.values import ALIGNMENT, Value, aligned

INLINE_BYTES = 4096
"""Constants up to this size are written into the session's model; larger ones are shared, not copied."""

_NOWHERE = aligned(ALIGNMENT)
"""An address for tensors without bytes."""


def make_session(
    proto: Any,
    nodes: Iterable[Any],
    inputs: Iterable[Any],
    outputs: Iterable[Any],
    constants: Mapping[str, Value],
    prepack: bool,
) -> Any:
    """A session over `nodes` with the opsets and functions of `proto` and `constants` as initializers."""
    from onnx import ModelProto

    model = ModelProto(ir_version=max(proto.ir_version, 4))
    model.opset_import.extend(proto.opset_import)
    model.functions.extend(proto.functions)
    model.graph.name = "memplan"
    model.graph.node.extend(nodes)
    model.graph.input.extend(inputs)
    model.graph.output.extend(outputs)
    return open_session(model, constants, prepack)


def open_session(model: Any, constants: Mapping[str, Value], prepack: bool) -> Any:
    """A session over `model`, to which `constants` are added as initializers.

    One thread, sequential, ORT_DISABLE_ALL; ExecutionError with onnxruntime's own words if it refuses.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    shared: dict[str, Any] = {}
    for name, value in constants.items():
        item = model.graph.initializer.add(name=name, data_type=value.elem_type, dims=value.shape)
        if value.data.nbytes <= INLINE_BYTES or (held := _ort_value(value)) is None:
            item.raw_data = value.data.tobytes()
        else:
            item.data_location = item.EXTERNAL
            entries = {"location": "shared", "offset": "0", "length": str(value.data.nbytes)}
            for key, text in entries.items():
                item.external_data.add(key=key, value=text)
            shared[name] = held
    if shared:
        options.add_external_initializers(list(shared), list(shared.values()))
    return inference_session(model, options)


def inference_session(model: Any, options: Any) -> Any:
    """A session of one thread over a ModelProto; ExecutionError with onnxruntime's own words if it refuses."""
    import onnxruntime as ort

    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, too
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExecutionError(
            f"onnxruntime cannot load the model: {_words(error)}",
            "does onnxruntime run the model on its own?",
        ) from error


def _ort_value(value: Value) -> Any:
    """The value as an OrtValue over the same memory, None for types numpy does not know."""
    import numpy as np
    import onnxruntime as ort
    from onnx import helper

    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(value.elem_type))
    if dtype.isbuiltin != 1:
        return None
    return ort.OrtValue.ortvalue_from_numpy(value.data.view(dtype).reshape(value.shape))


def bind(session: Any, reads: Mapping[str, Value], writes: Mapping[str, Value]) -> Any:
    """An IOBinding of the session's inputs and outputs to the addresses of the values."""
    binding = session.io_binding()
    for name, v in reads.items():
        binding.bind_input(name, "cpu", 0, v.elem_type, v.shape, v.address if v.data.size else _address())
    for name, v in writes.items():
        binding.bind_output(name, "cpu", 0, v.elem_type, v.shape, v.address if v.data.size else _address())
    return binding


def run_bound(session: Any, reads: Mapping[str, Value], writes: Mapping[str, Value]) -> None:
    """Run a session from `reads` into `writes`; ExecutionError with onnxruntime's own words."""
    try:
        session.run_with_iobinding(bind(session, reads, writes))
    except Exception as error:
        raise ExecutionError(
            f"onnxruntime failed: {_words(error)}",
            "shapes that depend on data cannot be executed from a plan",
        ) from error


def _address() -> int:
    return int(_NOWHERE.ctypes.data)


def _words(error: Exception) -> str:
    """The first lines of onnxruntime's message."""
    return " ".join(str(error).split())[:400]
