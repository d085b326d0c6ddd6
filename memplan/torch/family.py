"""The sizes of a torch program's tensors at every size that ranges allow, from fake tensors whose sizes are symbols.

A program is run on symbols once with each ranged dimension at 1, where torch broadcasts and takes more for
contiguous, and once above it. Whatever torch decides on the way it writes down as a guard; every guard and
every size is then computed at each point of the ranges, so that what is found holds for all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv
from torch.utils._sympy.value_ranges import ValueRanges

from memplan.base.errors import GraphError
from memplan.ir.graph import Graph
from memplan.ir.grid import Column, Grid
from memplan.ir.parts import Op
from memplan.ir.ranges import grown, planned_tensors, throughout, unproved
from memplan.torch.graph import flat_names, leaves
from memplan.torch.module import propagated, tensors_in

Sizes = Mapping[str, Any]
"""A number, or a SymInt, for each symbol of the exported program."""

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "Add": lambda *x: reduce(np.add, x), "Mul": lambda *x: reduce(np.multiply, x), "Pow": np.power,
    "FloorDiv": np.floor_divide, "CleanDiv": np.floor_divide, "IntTrueDiv": np.true_divide,
    "Mod": np.mod, "PythonMod": np.mod,
    "Max": lambda *x: reduce(np.maximum, x), "Min": lambda *x: reduce(np.minimum, x),
    "Equality": np.equal, "Unequality": np.not_equal, "StrictLessThan": np.less, "LessThan": np.less_equal,
    "StrictGreaterThan": np.greater, "GreaterThan": np.greater_equal,
    "And": lambda *x: reduce(np.logical_and, x), "Or": lambda *x: reduce(np.logical_or, x), "Not": np.logical_not,
}  # fmt: skip
"""What torch's expressions are made of, by class name, on columns."""


class _Layout:
    """A tensor at each point: bytes from its first to its last element, sizes, strides, and where it begins
    in its storage.
    """

    def __init__(self, points: int, tensor: torch.Tensor) -> None:
        self.item = tensor.element_size()
        self.sizes = np.zeros((tensor.dim(), points), np.int64)
        self.strides = np.zeros((tensor.dim(), points), np.int64)
        self.first = np.zeros(points, np.int64)

    def put(self, at: Column, tensor: torch.Tensor, value: Callable[[Any], Any]) -> None:
        """Take in the tensor as it is at the points `at`."""
        for k, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
            self.sizes[k, at], self.strides[k, at] = value(size), value(stride)
        self.first[at] = value(tensor.storage_offset()) * self.item

    @property
    def nbytes(self) -> Column:
        steps = ((self.sizes - 1) * self.strides).sum(0) + 1
        return np.where((self.sizes == 0).any(0), 0, steps * self.item)

    @property
    def row_major(self) -> bool:
        """Whether it is at every point."""
        dense = np.ones_like(self.first)
        for size, stride in zip(self.sizes[::-1], self.strides[::-1], strict=True):
            if ((size > 1) & (stride != dense)).any():
                return False
            dense = dense * size
        return True

    def like(self, other: _Layout) -> bool:
        """Whether the elements of both lie alike at every point."""
        if (self.item, self.sizes.shape) != (other.item, other.sizes.shape) or (
            self.sizes != other.sizes
        ).any():
            return False
        return bool(((self.strides == other.strides) | (self.sizes <= 1)).all())

    def fills(self, root: _Layout) -> bool:
        """Whether it takes all the bytes of its storage, which `root` is, at every point."""
        return bool((self.nbytes == root.nbytes).all() and (self.first == root.first).all())


def held_throughout(
    graph: Graph,
    module: GraphModule,
    inputs: Callable[[Sizes, FakeTensorMode], list[Any]],
    ranges: Mapping[str, tuple[int, int]],
    symbols: Mapping[str, str],
) -> Graph:
    """The graph, of the upper ends of `ranges`, without what does not hold for all sizes in them.

    `symbols` are the ranged dimensions' own in the program, by name; `module` is the program before it is
    given numbers, `inputs` makes fake inputs of these sizes for it. GraphError where a tensor grows as a
    dimension shrinks, or where its size cannot be told for each.
    """
    grid = Grid({name: ranges[name] for name in symbols})
    layouts: dict[str, _Layout] = {}
    for part in itertools.product(*(_parts(*ends) for ends in grid.ranges.values())):
        _follow(graph, module, inputs, grid, symbols, dict(zip(symbols, part, strict=True)), layouts)
    for t in planned_tensors(graph):
        nbytes = layouts[t.name].nbytes
        if int(nbytes[-1]) != t.nbytes:
            raise unproved(graph, t.name, "its size at the upper ends is told in two ways")
        if (points := grid.fall(nbytes)) is not None:
            raise grown(graph, t.name, [f"{nbytes[p]:,} bytes at {grid.words(p)}" for p in points])
    root = graph.storage_of

    def alike(a: str, b: str) -> bool:
        return layouts[a].like(layouts[b]) and layouts[b].fills(layouts[root[b]])

    def joined(op: Op) -> bool:
        parts = [layouts[part] for part, _ in sorted(op.joins, key=lambda join: join[1])]
        whole = layouts[op.results[0]]
        fixed = all((part.nbytes == part.nbytes[-1]).all() for part in parts[:-1])
        return fixed and all(part.row_major for part in (*parts, whole))

    return replace(graph, ops=throughout(graph, alike, joined))


def _parts(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The range cut where torch takes sizes for special: 0, 1 and the rest."""
    yield from ((special, special) for special in (0, 1) if low <= special <= high)
    if high > 1:
        yield max(low, 2), high


def _follow(
    graph: Graph,
    module: GraphModule,
    inputs: Callable[[Sizes, FakeTensorMode], list[Any]],
    grid: Grid,
    symbols: Mapping[str, str],
    part: Mapping[str, tuple[int, int]],
    layouts: dict[str, _Layout],
) -> None:
    """Take in the layouts of the graph's tensors at the points of a part."""
    env = ShapeEnv(specialize_zero_one=False, duck_shape=False)
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=env)
    sizes: dict[str, Any] = {}
    columns: dict[Any, Column] = {}
    inside = np.ones(grid.points, bool)
    for name, (low, high) in part.items():
        inside &= (grid.columns[name] >= low) & (grid.columns[name] <= high)
    for name, (low, high) in part.items():
        sizes[symbols[name]] = high
        if low < high:
            source = ConstantSource(name)
            symbol = env.create_symbol(high, source, DimDynamic.DYNAMIC, None)
            env.var_to_range[symbol] = ValueRanges(low, high)
            sizes[symbols[name]] = env.create_symintnode(symbol, hint=high, source=source)
            columns[symbol] = grid.columns[name][inside]

    def value(number: Any) -> Any:
        return _value(number.node.expr, columns) if isinstance(number, torch.SymInt) else number

    flat = propagated(module, inputs(sizes, mode), mode)
    try:
        for guard in env.guards:
            if not np.all(_value(guard.expr, columns)):
                raise _Unknown(f"it is another program where not {guard.expr}")
        storage: dict[str, int] = {}
        names = leaves(flat)
        for node in flat.graph.nodes:
            made = tensors_in(node.meta.get("val"))
            for tensor, name in zip(made, flat_names(names.get(node)), strict=False):
                if name in graph.tensor:
                    storage.setdefault(name, int(tensor.untyped_storage()._cdata))
                    layouts.setdefault(name, _Layout(grid.points, tensor)).put(inside, tensor, value)
    except _Unknown as unknown:
        raise GraphError(
            f"the program cannot be followed over the range: {unknown}",
            "give each dimension a single size, such as --dim NAME=V",
        ) from None
    for t in planned_tensors(graph):
        if t.name not in storage:
            raise unproved(graph, t.name, "it is not there at all sizes")
        if t.kind == "activation" and storage[t.name] != storage[graph.storage_of[t.name]]:
            raise unproved(graph, t.name, "it is a view at some sizes and a copy at others")


class _Unknown(Exception):
    """An expression that is not followed; the message says which."""


def _value(expr: Any, columns: Mapping[Any, Column]) -> Any:
    """The values of a sympy expression at each point."""
    if expr in columns:
        return columns[expr]
    if expr.is_Integer:
        return int(expr)
    if str(expr) in ("True", "False"):
        return str(expr) == "True"
    operation = _OPERATIONS.get(type(expr).__name__)
    if operation is None:
        raise _Unknown(f"{expr} is not known")
    found: NDArray[Any] = operation(*(_value(arg, columns) for arg in expr.args))
    return found
