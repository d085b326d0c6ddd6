"""What a graph is made of: tensors, and ops with what is known of their kernels."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    """

    name: str
    nbytes: int
    kind: str = "activation"
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    place: tuple[str, int] | None = None
    alignment: int | None = None

    @property
    def first_byte(self) -> int:
        """Where it begins in its storage; 0 where that is not known."""
        return 0 if self.place is None else self.place[1]

    @property
    def layout(self) -> tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]:
        """What two tensors have in common whose elements lie alike: bytes, shape, and strides of axes longer than 1."""
        return self.nbytes, self.shape, _counted_strides(self.shape, self.strides)


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
