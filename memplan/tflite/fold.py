"""Constants that a .tflite file keeps small and unpacks at run time: stored unpacked, for runtimes that cannot unpack them."""

from __future__ import annotations

from typing import Any

import numpy as np

from memplan.tflite.program import Operator, SubGraph, TfliteProgram, TfliteValue, parse
from memplan.tflite.rewrite import Changes, rewritten
from memplan.tflite.schema import TensorField
from memplan.tflite.sparse import dense


def folded(program: TfliteProgram) -> tuple[TfliteProgram, int]:
    """The program whose constants need no unpacking, and how many operators that took.

    These are DENSIFY of sparse constants of floats, and DEQUANTIZE of 16-bit floats in constants, or in what a DENSIFY made of
    one. Their results are constants of 32-bit floats in buffers of their own; what they read stays in the file.
    """
    constants: dict[tuple[int, int], bytes] = {}
    orders, emptied = dict[int, list[int]](), list[tuple[int, int]]()
    for n, subgraph in enumerate(program.subgraphs):
        if unpacked := _unpacked(program, subgraph):
            orders[n] = [i for i, o in enumerate(subgraph.operators) if unpacked.keys().isdisjoint(o.outputs)]
        for i, array in unpacked.items():
            if array.dtype == np.float32:
                constants[n, i] = array.tobytes()
            else:
                emptied.append((n, i))
    if not orders:
        return program, 0
    changed = rewritten(program, Changes(orders, constants, emptied))
    return parse(changed, program.root.file.where), len(constants) + len(emptied)


def _unpacked(program: TfliteProgram, subgraph: SubGraph) -> dict[int, Any]:
    """Arrays by the tensors that hold an unpacked constant, 16-bit ones where each reader makes them 32-bit ones in turn."""
    readers: dict[int, list[Operator]] = {}
    for operator in subgraph.operators:
        for i in operator.inputs:
            readers.setdefault(i, []).append(operator)
    returned = frozenset((*subgraph.inputs, *subgraph.outputs))
    found: dict[int, Any] = {}
    for operator in subgraph.operators:
        if not _inner(operator, returned):
            continue
        source, result = operator.inputs[0], operator.outputs[0]
        value, made = subgraph.tensors[source], subgraph.tensors[result]
        if _widens(subgraph, operator, returned):
            if source in found:
                found[result] = found[source].astype("<f4")
            elif value.constant and not _sparse(value):
                held = program.held(value)
                found[result] = np.frombuffer(held[: len(held) // 2 * 2], "<f2").astype("<f4")
        elif operator.kind == "DENSIFY" and _sparse(value) and value.dtype == made.dtype:
            widened = all(_widens(subgraph, reader, returned) for reader in readers.get(result, ()))
            if made.dtype == "float32" or (made.dtype == "float16" and widened):
                found[result] = dense(program, value)
    return found


def _inner(operator: Operator, returned: frozenset[int]) -> bool:
    """Whether it has one operand and one result, which is none of the tensors `returned`."""
    if len(operator.inputs) != 1 or len(operator.outputs) != 1 or operator.inputs[0] < 0:
        return False
    return operator.outputs[0] not in returned


def _widens(subgraph: SubGraph, operator: Operator, returned: frozenset[int]) -> bool:
    """Whether it makes 32-bit floats of 16-bit ones, of which none is returned."""
    if operator.kind != "DEQUANTIZE" or not _inner(operator, returned):
        return False
    source, result = (subgraph.tensors[i].dtype for i in (operator.inputs[0], operator.outputs[0]))
    return (source, result) == ("float16", "float32")


def _sparse(value: TfliteValue) -> bool:
    return value.constant and value.table.place(TensorField.SPARSITY) is not None
