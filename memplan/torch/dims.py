"""Sizes for the dynamic dimensions of an exported program's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export.graph_signature import InputKind

from memplan.base.errors import DimensionError, GraphError, OptionError, nearest
from memplan.base.units import MAX_BYTES


class _Free(NamedTuple):
    """A dimension that the export left open; `size` is its expression over symbols."""

    name: str
    axis: int
    size: Any

    @property
    def place(self) -> str:
        return f"{self.name}:{self.axis}"

    @property
    def symbol(self) -> str | None:
        """Its symbol, None where the size is an expression such as 2*s0."""
        return str(self.size) if self.size.is_Symbol else None


def fixed_inputs(program: Any, dims: Mapping[str, int]) -> tuple[list[Any], dict[str, int], tuple[str, ...]]:
    """The program's user inputs with a number for every dimension, the sizes used, and notes for people.

    A dimension that leads an input and is given no size is the batch and becomes the least size that the
    export allows. GraphError names another one without a size, OptionError a size for no dimension.
    """
    users = {
        spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT
    }
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in users]
    free = [found for n in nodes for found in _free(n.name, n.meta.get("val"))]
    known = {word for f in free for word in (f.place, f.symbol) if word}
    for name, size in dims.items():
        if name not in known:
            raise DimensionError(f"the model has no free dimension '{name}'", nearest(name, known))
        if type(size) is not int or not 0 <= size <= MAX_BYTES:
            raise OptionError(f"dimension '{name}' = {size!r}", "sizes are whole numbers from 0 to 2^62")
    ranges = {str(symbol): found for symbol, found in program.range_constraints.items()}
    chosen, notes = _choose(free, dims, ranges)
    inputs = [_sized(n.meta.get("val"), chosen, n.name) for n in nodes]
    used = dict(dims) | {f.place: chosen[f.symbol] for f in free if f.symbol and f.place not in dims}
    return inputs, {k: v for k, v in used.items() if k in dims or k in known}, notes


def _choose(
    free: Sequence[_Free], dims: Mapping[str, int], ranges: Mapping[str, Any]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """A size for each symbol."""
    chosen: dict[str, int] = {}
    for f in free:
        size = dims.get(f.place, dims.get(f.symbol or ""))
        if size is None or f.symbol is None:
            continue
        if chosen.setdefault(f.symbol, size) != size:
            raise OptionError(
                f"dimension '{f.place}' = {size}", f"it has the size of others: {chosen[f.symbol]}"
            )
    notes = []
    for f in free:
        missing = sorted(str(s) for s in f.size.free_symbols if str(s) not in chosen)
        if not missing:
            continue
        if f.axis or f.symbol is None:
            label = next((g.place for g in free if g.symbol == missing[0]), f.place)
            raise GraphError(
                f"dimension {f.axis} of input '{f.name}' is free (size {f.size})",
                f"give it a size: --dim {label}=V",
            )
        low = _bounds(ranges.get(f.symbol))[0]
        chosen[f.symbol] = max(1, low)
        notes.append(
            f"dimension '{f.place}' was free and is taken as {chosen[f.symbol]}; "
            f"change it with --dim {f.place}=V"
        )
    for symbol, size in chosen.items():
        low, high = _bounds(ranges.get(symbol))
        if not (low <= size <= high or size in dims.values() and size == 1 and low == 2):
            place = next(f.place for f in free if f.symbol == symbol)
            raise OptionError(f"dimension '{place}' = {size}", f"the export allows {low} to {high}")
    return chosen, tuple(notes)


def _bounds(found: Any) -> tuple[int, int]:
    """The sizes that a range constraint allows."""
    try:
        low = int(found.lower)
    except (TypeError, ValueError, AttributeError, OverflowError):
        low = 0
    try:
        high = int(found.upper)
    except (TypeError, ValueError, AttributeError, OverflowError):
        high = MAX_BYTES
    return low, high


def _free(name: str, value: Any) -> list[_Free]:
    if not isinstance(value, torch.Tensor):
        if isinstance(value, torch.SymInt):
            raise GraphError(f"input '{name}' is a number that decides on shapes", "export it as a constant")
        return []
    shape: Sequence[Any] = value.shape
    sizes = [(axis, size.node.expr) for axis, size in enumerate(shape) if isinstance(size, torch.SymInt)]
    return [_Free(name, axis, expr) for axis, expr in sizes if not expr.is_number]


def _sized(value: Any, chosen: Mapping[str, int], name: str) -> Any:
    """The input with numbers for symbols; contiguous where it had any."""
    if not isinstance(value, torch.Tensor) or not any(isinstance(s, torch.SymInt) for s in value.shape):
        return value
    shape: list[int] = []
    sizes: Sequence[Any] = value.shape
    for size in sizes:
        if isinstance(size, torch.SymInt):
            expr = size.node.expr
            shape.append(int(expr.subs({s: chosen[str(s)] for s in expr.free_symbols})))
        else:
            shape.append(size)
    with FakeTensorMode():
        return torch.empty(shape, dtype=value.dtype, device=value.device)


def free_sizes(placeholders: Sequence[Any], inputs: Sequence[Any]) -> list[str]:
    """The dimensions without a size among the example inputs, in words."""
    found = []
    for node, value in zip(placeholders, inputs, strict=True):
        sizes: Sequence[Any] = value.shape if isinstance(value, torch.Tensor) else (value,)
        for axis, size in enumerate(sizes):
            if isinstance(size, torch.SymInt) and not size.node.expr.is_number:
                found.append(f"dimension {axis} of input '{node.name}' is free (size {size})")
    return found


def refuse_symbols(placeholders: Sequence[Any], inputs: Sequence[Any]) -> None:
    """GraphError where an example input has a dimension without a size."""
    if found := free_sizes(placeholders, inputs):
        raise GraphError(
            found[0], "a plan needs fixed sizes: compile with dynamic=False, or give concrete inputs"
        )
