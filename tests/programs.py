"""Small programs written as words, and the problems that they pose without a clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.problem import Problem

KINDS = {"w": "constant", "x": "input"}


def program(words: str, sizes: Mapping[str, int] | None = None, inplace: str = "") -> Graph:
    """`x>a a,w>y`: one op a word; w… are constants, x… inputs, y… outputs; a byte each but for `sizes`.

    `inplace` names ops, op0 and so on, that may write their first output over any input of its size.
    """
    tensors: dict[str, Tensor] = {}
    ops = []
    for k, word in enumerate(words.split()):
        reads, writes = (tuple(part.split(",")) for part in word.split(">"))
        for name in (*reads, *writes):
            nbytes = (sizes or {}).get(name, 1)
            tensors[name] = Tensor(name, nbytes, KINDS.get(name[0], "activation"), "int8", (nbytes,))
        over = tuple((writes[0], x) for x in reads if tensors[x].nbytes == tensors[writes[0]].nbytes)
        overwrites = over if f"op{k}" in inplace.split() else ()
        ops.append(Op(f"op{k}", "Conv", reads, writes, overwrites=overwrites))
    outputs = tuple(name for name in tensors if name.startswith("y"))
    return Graph("program", tuple(tensors.values()), tuple(ops), outputs)


def problem(
    words: str,
    sizes: Mapping[str, int] | None = None,
    capacity: int | None = None,
    alignment: int = 1,
    overwriting: str = "",
    **options: Any,
) -> Problem:
    """The problem of a `program`; `overwriting` is its `inplace`, `options` are fields of `Options`."""
    target = Target().with_scratchpad(capacity, alignment)
    return Problem(program(words, sizes, overwriting), target, Options(**options))
