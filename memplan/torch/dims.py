"""Sizes for the dynamic dimensions of an exported program's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export.graph_signature import InputKind
from torch.utils._sympy.interp import sympy_interp
from torch.utils._sympy.reference import PythonReferenceAnalysis

from memplan.base.errors import DimensionError, GraphError, OptionError, nearest
from memplan.base.units import MAX_BYTES
from memplan.ir.ranges import Dims, Size, check_size, ranges, upper


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


class Fixed(NamedTuple):
    """The sizes of a program's free dimensions.

    used     all of them by name, ranges too, as plans record them
    chosen   numbers by symbol, of a range the upper end
    symbols  the symbol of each dimension that has a range, by name
    notes    for people
    """

    used: dict[str, Size]
    chosen: dict[str, int]
    symbols: dict[str, str]
    notes: tuple[str, ...]


def fixed_dims(program: Any, dims: Dims) -> Fixed:
    """A size for every free dimension of the program's user inputs.

    A dimension that leads an input and is given no size is the batch and becomes the least size that the
    export allows. GraphError names another one without a size, OptionError a size for no dimension.
    """
    free = [found for n in _users(program) for found in _free(n.name, n.meta.get("val"))]
    known = {word for f in free for word in (f.place, f.symbol) if word}
    for name, size in dims.items():
        if name not in known:
            raise DimensionError(f"the model has no free dimension '{name}'", nearest(name, known))
        check_size(name, size)
    limits = {str(symbol): found for symbol, found in program.range_constraints.items()}
    chosen, notes = _choose(free, {name: upper(size) for name, size in dims.items()}, limits)
    symbols = {word: f.symbol for f in free for word in (f.place, f.symbol) if word and f.symbol}
    open_ones: dict[str, str] = {}
    for name, (low, _) in ranges(dims).items():
        if name not in symbols:
            raise OptionError(
                f"dimension '{name}' has a range", "a size that is an expression takes none: name its symbol"
            )
        _choose(free, {name: low}, limits, partly=True)
        if symbols[name] not in open_ones.values():
            open_ones[name] = symbols[name]
    places = {f.place: chosen[f.symbol] for f in free if f.symbol and f.symbol not in open_ones.values()}
    return Fixed({**places, **dims}, chosen, open_ones, notes)


def inputs_of(program: Any, sizes: Mapping[str, Any], mode: FakeTensorMode) -> list[Any]:
    """The program's user inputs with these sizes (numbers or SymInts) for its symbols; contiguous where they had any."""
    return [_sized(n.meta.get("val"), sizes, mode) for n in _users(program)]


def _users(program: Any) -> list[Any]:
    """The placeholders of what a user hands in."""
    users = {
        spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT
    }
    return [n for n in program.graph.nodes if n.op == "placeholder" and n.name in users]


def _choose(
    free: Sequence[_Free], dims: Mapping[str, int], limits: Mapping[str, Any], partly: bool = False
) -> tuple[dict[str, int], tuple[str, ...]]:
    """A size for each symbol, `partly` for those alone that `dims` names."""
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
    for f in () if partly else free:
        missing = sorted(str(s) for s in f.size.free_symbols if str(s) not in chosen)
        if not missing:
            continue
        if f.axis or f.symbol is None:
            label = next((g.place for g in free if g.symbol == missing[0]), f.place)
            raise GraphError(
                f"dimension {f.axis} of input '{f.name}' is free (size {f.size})",
                f"give it a size: --dim {label}=V",
            )
        low = _bounds(limits.get(f.symbol))[0]
        chosen[f.symbol] = max(1, low)
        notes.append(
            f"dimension '{f.place}' was free and is taken as {chosen[f.symbol]}; "
            f"change it with --dim {f.place}=V"
        )
    for symbol, size in chosen.items():
        low, high = _bounds(limits.get(symbol))
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


def _sized(value: Any, sizes: Mapping[str, Any], mode: FakeTensorMode) -> Any:
    """The input with sizes for symbols."""
    if not isinstance(value, torch.Tensor) or not any(isinstance(s, torch.SymInt) for s in value.shape):
        return value
    shape: list[Any] = []
    for size in value.shape:
        if isinstance(size, torch.SymInt):
            expr = size.node.expr
            known = {symbol: sizes[str(symbol)] for symbol in expr.free_symbols}
            size = sympy_interp(PythonReferenceAnalysis, known, expr)
        shape.append(size)
    with mode:
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
