"""What a graph is made of: tensors, and ops with what is known of their kernels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from memplan.ir.boxes import Box

TENSOR_KINDS = ("input", "constant", "activation", "workspace")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One value of a graph, and how it is stored.

    Args:
        name: unique in its graph.
        nbytes: its stored size in bytes, from its first byte to its last.
        kind: "input", "constant", "activation" or "workspace".
        dtype: such as "float32" or "int8", None where it is unknown.
        shape: elements along each axis, None where it is unknown.
        strides: in elements, an entry an axis, None where the tensor is row-major; what an axis of size 1
            says does not count.
        place: of a view, the root of its storage and the byte of it where the view begins, None where that is
            not known; of any other tensor None.
        alignment: its address is a multiple of so many bytes, whatever the memory asks; None where the
            memory's alignment is enough. A view has none: it lies where its storage does.
        part: of a chunk of a tensor that the graph was tiled in, that tensor's name and the box of it that is
            here, as far as tiles have written it by then. None elsewhere.
    """

    name: str
    nbytes: int
    kind: str = "activation"
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    place: tuple[str, int] | None = None
    alignment: int | None = None
    part: tuple[str, Box] | None = None

    @property
    def first_byte(self) -> int:
        """Where it begins in its storage; 0 where that is not known."""
        return 0 if self.place is None else self.place[1]

    @property
    def layout(self) -> tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]:
        """What two tensors have in common whose elements lie alike: bytes, shape, and strides of axes longer than 1."""
        return self.nbytes, self.shape, _counted_strides(self.shape, self.strides)


class Access(NamedTuple):
    """What the elements `[first, stop)` along one axis of an op's result need along one axis of an operand.

    They need the elements from `(first * stride - before) // factor` to
    `((stop - 1) * stride - before + extent) // factor`, both included; what lies outside of the operand is
    padding. With nothing but `axis` given, they need the elements of the same numbers.

    Args:
        axis: of the result.
        stride: by how much what is read moves on with each element of the result.
        before: padding in front, in elements; negative where the first elements are never read.
        extent: how far the last element read for one element of the result lies behind the first one: of a window
            (kernel - 1) * dilation.
        factor: how many elements of the result one of the operand serves, where the op enlarges.
    """

    axis: int
    stride: int = 1
    before: int = 0
    extent: int = 0
    factor: int = 1

    def span(self, first: int, stop: int) -> tuple[int, int]:
        """What `[first, stop)` needs as a half-open interval, padding included."""
        last = (stop - 1) * self.stride - self.before + self.extent
        return (first * self.stride - self.before) // self.factor, last // self.factor + 1


Needs = tuple[tuple[Access | None, ...], ...]
"""For each operand and each of its axes what the result needs of it: None for all that there is."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operator, and what its importer knows of its kernel.

    Args:
        name: unique in its graph.
        kind: the operator, such as "Conv" or "aten.relu.default", for people: nothing is told from it.
        inputs: names of the tensors it reads.
        outputs: names of the tensors it writes.
        flops: floating-point operations, a multiply-accumulate counts as two; None where unknown.
        view: its outputs lie in the bytes of its first input: it keeps a step, reads and writes nothing.
        overwrites: pairs (output, operand): the kernel may write the output over the operand's bytes.
        workspace: the one among its outputs that is no value: bytes it needs while it runs, read by nobody.
        joins: pairs (operand, first byte): its result is these operands side by side, each contiguous in it,
            so that nothing has to be copied where they lie there already.
        once: it must not be executed again: it is random or stateful, holds an op that is, or nobody knows its
            cost.
        after: names of ops that come before it, though it reads nothing of theirs.
        source: what it was in the program it came from, for people and for who carries a plan back; empty
            where its own name says it. No part of what makes two graphs equal.
        needs: what of each operand a part of its results needs; empty where nobody knows, so that it cannot be cut
            into tiles. Along an axis of the result that no operand's axis names, it works on the whole only. Its
            results are as long as the first one along every axis that is cut.
        tile: of an op that a tiling made, the name of the op it is a tile of, and the box of that one's results
            that it computes.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    flops: int | None = None
    view: bool = False
    overwrites: tuple[tuple[str, str], ...] = ()
    workspace: str | None = None
    joins: tuple[tuple[str, int], ...] = ()
    once: bool = False
    after: tuple[str, ...] = ()
    source: tuple[str, ...] = field(default=(), compare=False)
    needs: Needs = ()
    tile: tuple[str, Box] | None = None

    @property
    def results(self) -> tuple[str, ...]:
        """The outputs that are values: all but the workspace."""
        return tuple(name for name in self.outputs if name != self.workspace)


def _counted_strides(
    shape: tuple[int, ...] | None, strides: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """The strides of the axes longer than 1; None where they are those of a row-major tensor."""
    if shape is None or strides is None:
        return None
    counted, dense, row_major = [], 1, True
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1:
            counted.append(stride)
            row_major = row_major and stride == dense
        dense *= size
    return None if row_major or 0 in shape else tuple(reversed(counted))
