"""Shapes and element types of every tensor of an ONNX model: inferred, declared, and at last measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from memplan.base.errors import GraphError
from memplan.onnx.bounds import PartialType, TensorType, advice, bounded
from memplan.onnx.checks import first_line
from memplan.onnx.dims import tensor_type
from memplan.onnx.dtypes import nbytes
from memplan.onnx.measure import Measured, measure_types
from memplan.onnx.sizes import Flow, refuse_undecided
from memplan.onnx.uses import subgraphs

MOST_VALUE_BYTES = 1024
"""Bytes beyond which an initializer's values cannot matter to a shape and are left out of inference."""

INFERENCE_MEMORY = 2**30
"""Bytes that shape inference may take, and 16 more for each byte of the model: damaged shapes ask for more."""

_TURN = threading.Lock()
"""One thread infers at a time: another would take its limit of memory for the process's own."""


@dataclass(frozen=True)
class Asked:
    """The bounds that a user gave, who types control flow, and what was found out of the bodies of one model,
    by their content.

    result_types  of a program, the nodes before, a control-flow node and what is known there: the types of its outputs
                  that its bodies tell, None where no branch comes to its end
    typed       types in bodies
    conditions  values of the conditions that are the same in every run, None where no run tells
    notes       for people, in order, each once
    """

    bounds: Mapping[str, tuple[int, ...]]
    result_types: Callable[[Any, Sequence[Any], Any, Inference, Asked], dict[str, TensorType] | None]
    typed: dict[bytes, Inference] = field(default_factory=dict)
    conditions: dict[bytes, bool | None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class Inference:
    """What is known of a program.

    types    of its tensors, by name
    notes    for people
    values   what follows from a run's data
    unknown  the tensors that have no type, in program order, with what is known of them
    run      what a run told where it was asked
    """

    types: Mapping[str, TensorType]
    notes: tuple[str, ...]
    values: Mapping[str, str]
    unknown: Mapping[str, PartialType | None] = field(default_factory=dict)
    run: Measured = Measured({})

    def check(self, where: str = "") -> None:
        """GraphError names the first tensor that has no type, and says why."""
        for name, partial in self.unknown.items():
            why = f" and {self.run.why}" if self.run.why else ""
            hint = "export the model with static shapes, without sequences"
            if self.run.op:
                hint = "do the sizes that are given fit the model?"
            elif partial is not None:
                hint = advice({name: partial[1]})
            raise GraphError(f"the shape of tensor '{name}'{where} is unknown{why}", hint)


def infer_types(
    proto: Any,
    nodes: Sequence[Any],
    needed: set[str],
    asked: Asked,
    sources: Mapping[str, str],
) -> Inference:
    """Type of every tensor in `needed` that any of four sources knows; which are unknown is for the caller to judge.

    ONNX shape inference with data propagation over `nodes` (in an order that respects dependencies); where it
    leaves gaps, what the file declares and what bodies of control flow come to; bounds, from which inference
    goes on; and only for what is still missing, one run in onnxruntime. What can be inferred is not believed
    from
    the file: it may be stale. `sources` says of each input whose data it is. GraphError names a tensor whose size
    only these data decide: a run on made-up inputs would guess it.
    """
    bounds = asked.bounds
    light = _without_large_weights(proto, nodes)
    stored = _stored_types(proto.graph)
    partial = _inferred(light, needed)
    types = _static(partial) | stored
    values = [*proto.graph.value_info, *proto.graph.output]
    notes = _stale(values, types)
    if needed - types.keys() and (declared := [v for v in values if v.name not in types]):
        light.graph.value_info.extend(declared)
        partial = _inferred(light, needed)
        types = _static(partial) | types
    flow = Flow(dict(sources))
    flow.follow(nodes, types)
    end = len(nodes)
    for i, node in enumerate(nodes):
        if next(subgraphs(node), None) is None or types.keys() >= set(node.output):
            continue
        found = asked.result_types(proto, nodes[:i], node, Inference(types, (), flow.values), asked)
        if found is None:
            end = i
            break
        if fresh := {name: known for name, known in found.items() if name not in types}:
            _tell(light, fresh)
            partial = _inferred(light, needed)
            types = _static(partial) | fresh | types
            flow = Flow(dict(sources))
            flow.follow(nodes, types)
    if given := bounds.keys() & needed:
        told = {name: bounded(name, bounds[name], partial.get(name), types) for name in sorted(given)}
        _tell(light, {name: known for name, known in told.items() if name not in types})
        partial = _inferred(light, needed)
        types = _static(partial) | told | types
        notes += [
            f"the size of tensor '{name}' is taken as {list(bounds[name])} at most" for name in sorted(given)
        ]
    missing = needed - types.keys()
    refuse_undecided(nodes[:end], flow, types, partial, missing)
    written = dict.fromkeys(name for node in nodes for name in node.output if name in missing)
    run = Measured({})
    if written:
        total = sum(nbytes(name, *types[name]) for name in needed if name in types)
        run = measure_types(light, list(written), total)
        types |= run.types
    if run.types:
        more = f" and {len(run.types) - 1} more" if len(run.types) > 1 else ""
        notes.append(f"the shape of tensor '{min(run.types)}'{more} was read off one run on made-up inputs")
    unknown = {
        name: partial.get(name) for name in (*written, *sorted(missing - written.keys())) if name not in types
    }
    return Inference(types, tuple(notes), flow.values, unknown, run)


def _stored_types(graph: Any) -> dict[str, TensorType]:
    types = {weight.name: (weight.data_type, tuple(weight.dims)) for weight in graph.initializer}
    stored = {s.values.name: (s.values.data_type, tuple(s.dims)) for s in graph.sparse_initializer}
    return types | stored


def _tell(light: Any, types: Mapping[str, TensorType]) -> None:
    """Let inference go on from these types."""
    old = [value for value in light.graph.value_info if value.name not in types]
    del light.graph.value_info[:]
    light.graph.value_info.extend(old)
    light.graph.value_info.extend(typed(name, *known) for name, known in types.items())


def _inferred(light: Any, needed: set[str]) -> dict[str, PartialType]:
    try:
        with _TURN, _bounded(INFERENCE_MEMORY + 16 * light.ByteSize()):
            graph = onnx.shape_inference.infer_shapes(
                light, check_type=False, strict_mode=False, data_prop=True
            ).graph
    except Exception as error:  # C++ exceptions of several kinds
        text = first_line(error)
        if isinstance(error, MemoryError) or "bad_alloc" in text:
            text = "it runs out of memory; some shape in the file cannot be right"
        raise GraphError(f"shape inference failed: {text}", "check the model with onnx.checker") from error
    types: dict[str, PartialType] = {}
    for value in (*graph.value_info, *graph.output, *graph.input):
        if value.name in needed:
            known = _partial(tensor_type(value.name, value.type))
            if known is not None:
                types[value.name] = known
    return types


@contextmanager
def _bounded(more: int) -> Iterator[None]:
    """A soft limit on the process's data `more` bytes above what it holds now, where the system has one."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (ImportError, OSError, ValueError, IndexError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = pages * resource.getpagesize() + more
    for known in (soft, hard):
        limit = limit if known == resource.RLIM_INFINITY else min(limit, known)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _partial(tensor: Any) -> PartialType | None:
    if tensor is None or not tensor.elem_type:
        return None
    if not tensor.HasField("shape"):
        return tensor.elem_type, None
    return tensor.elem_type, tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)


def _static(partial: Mapping[str, PartialType]) -> dict[str, TensorType]:
    """Those of which all is known."""
    return {
        name: (element, tuple(size for size in shape if size is not None))
        for name, (element, shape) in partial.items()
        if shape is not None and None not in shape
    }


def _stale(values: Sequence[Any], types: Mapping[str, TensorType]) -> list[str]:
    """A note on each output or intermediate (the first, and how many more) declared as what it is not."""
    wrong = []
    declared = {value.name: _partial(tensor_type(value.name, value.type)) for value in values}
    for name, said in _static({name: known for name, known in declared.items() if known}).items():
        if name in types and types[name] != said:
            wrong.append((name, list(said[1]), list(types[name][1])))
    if not wrong:
        return []
    name, shape, real = wrong[0]
    more = f", and so are {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return [f"tensor '{name}' is declared as {shape} but comes out as {real}{more}; inference is followed"]


def _without_large_weights(proto: Any, nodes: Sequence[Any]) -> Any:
    """A copy in which large or external initializers are inputs (their shapes matter, their values do not)
    and nothing is declared of what nodes write."""
    light = onnx.ModelProto()
    light.ir_version = max(proto.ir_version, 4)
    light.opset_import.extend(proto.opset_import)
    graph = light.graph
    graph.name = "light"
    graph.node.extend(nodes)
    for value in proto.graph.output:
        graph.output.add().name = value.name
    declared = {value.name for value in proto.graph.input}
    graph.input.extend(proto.graph.input)
    for sparse in proto.graph.sparse_initializer:
        if sparse.values.name not in declared:
            graph.input.append(typed(sparse.values.name, sparse.values.data_type, sparse.dims))
    for weight in proto.graph.initializer:
        external = weight.data_location == onnx.TensorProto.EXTERNAL
        if not external and weight.ByteSize() <= MOST_VALUE_BYTES:
            graph.initializer.append(weight)
        elif weight.name not in declared:
            graph.input.append(typed(weight.name, weight.data_type, weight.dims))
    return light


def typed(name: str, element: int, shape: Sequence[int]) -> Any:
    """The declaration of a tensor of this type."""
    return onnx.helper.make_tensor_value_info(name, element, list(shape))
