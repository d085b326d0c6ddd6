"""A graph's parts as JSON types, and the digest that plans are tied to."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from memplan.ir.boxes import Box
from memplan.ir.parts import Access, Op, Tensor


def digest(data: dict[str, Any]) -> str:
    """SHA-256 of JSON types, written canonically."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def tensor_1(t: Tensor, output: bool) -> dict[str, Any]:
    d: dict[str, Any] = {"name": t.name}
    if t.dtype is not None:
        d["dtype"] = t.dtype
    if t.shape is not None:
        d["shape"] = list(t.shape)
    return d | {"nbytes": t.nbytes, "kind": "output" if output else t.kind}


def op_1(op: Op) -> dict[str, Any]:
    d: dict[str, Any] = {
        "name": op.name,
        "kind": op.kind,
        "inputs": list(op.inputs),
        "outputs": list(op.outputs),
    }
    return d if op.flops is None else d | {"flops": op.flops}


def tensor_dict(t: Tensor) -> dict[str, Any]:
    d: dict[str, Any] = {"name": t.name}
    if t.dtype is not None:
        d["dtype"] = t.dtype
    if t.shape is not None:
        d["shape"] = list(t.shape)
    if t.strides is not None:
        d["strides"] = list(t.strides)
    d |= {"nbytes": t.nbytes, "kind": t.kind}
    if t.place is not None:
        d["place"] = list(t.place)
    if t.alignment is not None:
        d["alignment"] = t.alignment
    return d if t.part is None else d | {"part": _with_box(t.part)}


def op_dict(op: Op) -> dict[str, Any]:
    """All that decides what a plan may do with the op: not its source, nor its needs, which decide what tilings may."""
    d: dict[str, Any] = {"name": op.name, "kind": op.kind}
    d |= {"inputs": list(op.inputs), "outputs": list(op.results)}
    if op.flops is not None:
        d["flops"] = op.flops
    if op.view:
        d["view"] = True
    if op.overwrites:
        d["overwrites"] = [list(pair) for pair in op.overwrites]
    if op.workspace is not None:
        d["workspace"] = op.workspace
    if op.joins:
        d["joins"] = [list(pair) for pair in op.joins]
    if op.once:
        d["once"] = True
    if op.after:
        d["after"] = list(op.after)
    return d if op.tile is None else d | {"tile": _with_box(op.tile)}


def needs_list(op: Op) -> list[list[list[int] | None]]:
    """The op's needs as lists; numbers of an access at their defaults are left out at its end."""
    return [[None if access is None else _access(access) for access in operand] for operand in op.needs]


def _access(access: Access) -> list[int]:
    numbers, usual = list(access), list(Access(0))
    while len(numbers) > 1 and numbers[-1] == usual[len(numbers) - 1]:
        numbers.pop()
    return numbers


def _with_box(named: tuple[str, Box]) -> list[Any]:
    return [named[0], [list(interval) for interval in named[1]]]
