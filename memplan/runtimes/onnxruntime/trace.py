"""One model run by onnxruntime under its profiler: which nodes, in which order, and the bytes in use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memplan.base.children import temporary_folder
from memplan.base.errors import ExecutionError
from memplan.onnx.values import Value
from memplan.runtimes.sessions import inference_session, run_bound

COUNTED = "mem_bytes_requested_in_use"
"""What the profiler calls the bytes that tensors hold at the end of a node, as kernels asked for them."""

_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class TracedRun:
    """One run as onnxruntime's profiler saw it.

    Args:
        nodes: names of the nodes in the order of their execution, those of bodies included.
        requested: at the end of each node, the bytes that tensors of this run hold, as kernels asked for them.
        held: bytes held before the first run: weights.
    """

    nodes: tuple[str, ...]
    requested: tuple[int, ...]
    held: int

    @property
    def peak(self) -> int:
        """The most bytes requested and in use at the end of a node."""
        return max(self.requested, default=0)


def traced_runs(
    proto: Any, options: Any, fed: Mapping[str, Value], written: Mapping[str, Value]
) -> tuple[TracedRun, TracedRun]:
    """The first and the second run of a session over `proto`, which read `fed` and write into `written`.

    Inputs and outputs are the caller's buffers, which onnxruntime does not count. ExecutionError with onnxruntime's own words
    where it refuses the model or a run.
    """
    with temporary_folder() as folder:
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        session = opened(proto, options)
        run_bound(session, fed, written)
        run_bound(session, fed, written)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    runs: list[list[Mapping[str, Any]]] = [[]]
    for event in events:
        if event["name"] == "model_run":
            runs.append([])
        elif event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
            runs[-1].append(event)
    if any(COUNTED not in event["args"] for run in runs for event in run):
        raise ExecutionError(
            "the profile of this onnxruntime does not count bytes in use", "pip install -U onnxruntime"
        )
    return _run(runs[0], runs[0]), _run(runs[1], runs[0])


def _run(events: list[Mapping[str, Any]], first_run: list[Mapping[str, Any]]) -> TracedRun:
    """These events as a run; what was held before the first node of the first run is not counted."""
    held = 0
    if first_run:
        begin = first_run[0]["args"]
        held = int(begin[COUNTED]) - int(begin["mem_requested_in_use_delta"])
    names = tuple(event["name"].removesuffix(_SUFFIX) for event in events)
    return TracedRun(names, tuple(int(event["args"][COUNTED]) - held for event in events), held)


def opened(proto: Any, options: Any) -> Any:
    """A session over a ModelProto whose weights are in it; ExecutionError with onnxruntime's own words if it refuses.

    Where onnxruntime, as it optimises, refuses the sizes of the inputs, since a branch that they never take does not fit them,
    it is given the model with these sizes left open.
    """
    try:
        return inference_session(proto, options)
    except ExecutionError as error:
        if "InferenceError" not in error.message:
            raise
    return inference_session(_unsized(proto), options)


def _unsized(proto: Any) -> Any:
    """A copy of the ModelProto whose inputs have ranks and no sizes."""
    copy = type(proto)()
    copy.CopyFrom(proto)
    for value in copy.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()
    return copy
