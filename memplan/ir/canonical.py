"""A graph's parts as JSON types, and the digest that plans are tied to."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from memplan.ir.parts import Op, Tensor


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
    return d if t.alignment is None else d | {"alignment": t.alignment}


def op_dict(op: Op) -> dict[str, Any]:
    """All that decides what a plan may do with the op: not its source."""
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
    return d | {"after": list(op.after)} if op.after else d
