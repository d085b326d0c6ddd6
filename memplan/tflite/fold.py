"""Constants that a .tflite file stores as 16-bit floats and makes wide at run time: stored wide, for runtimes that cannot."""

from __future__ import annotations

from memplan.tflite.program import Program, SubGraph, parse
from memplan.tflite.rewrite import Changes, rewritten


def folded(program: Program) -> tuple[Program, int]:
    """The program whose DEQUANTIZE of 16-bit floats in constants are done, and how many that were.

    Their results are constants of 32-bit floats in buffers of their own; the 16-bit ones stay in the file.
    """
    import numpy as np

    constants: dict[tuple[int, int], bytes] = {}
    orders = {}
    for n, subgraph in enumerate(program.subgraphs):
        done = [i for i in range(len(subgraph.operators)) if _foldable(subgraph, i)]
        for i in done:
            (source,), (result,) = subgraph.operators[i].inputs, subgraph.operators[i].outputs
            held = program.held(subgraph.tensors[source])
            constants[n, result] = np.frombuffer(held[: len(held) // 2 * 2], "<f2").astype("<f4").tobytes()
        if done:
            orders[n] = sorted(set(range(len(subgraph.operators))) - set(done))
    if not constants:
        return program, 0
    where = program.root.file.where
    return parse(rewritten(program, Changes(orders=orders, constants=constants)), where), len(constants)


def _foldable(subgraph: SubGraph, number: int) -> bool:
    """Whether the operator makes a constant of 16-bit floats wide, for other operators."""
    operator = subgraph.operators[number]
    if operator.kind != "DEQUANTIZE" or len(operator.inputs) != 1 or len(operator.outputs) != 1:
        return False
    (source,), (result,) = operator.inputs, operator.outputs
    if source < 0 or result in (*subgraph.inputs, *subgraph.outputs):
        return False
    value = subgraph.tensors[source]
    return value.constant and value.dtype == "float16" and subgraph.tensors[result].dtype == "float32"
