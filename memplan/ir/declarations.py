"""What users say of kinds of ops that memplan does not know, or knows otherwise; importers ask for it by kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from memplan.base.errors import GraphError, OptionError, nearest
from memplan.base.units import MAX_BYTES
from memplan.ir.parts import Op, Tensor

UNITS: dict[str, Callable[[Sequence[Tensor], Sequence[Tensor]], int]] = {
    "constant": lambda inputs, outputs: 1,
    "input_bytes": lambda inputs, outputs: sum(t.nbytes for t in inputs),
    "input_elements": lambda inputs, outputs: sum(map(_elements, inputs)),
    "output_bytes": lambda inputs, outputs: sum(t.nbytes for t in outputs),
    "output_elements": lambda inputs, outputs: sum(map(_elements, outputs)),
}
"""What an amount may be so many times, by name: of all operands or of all results together."""

Amount = int | Mapping[str, int] | Callable[[Sequence[Tensor], Sequence[Tensor]], int]
"""A number; factors by unit, summed up; or a function of the tensors that an op reads and of those that it writes."""

_DECLARED: dict[str, Declaration] = {}


@dataclass(frozen=True)
class Declaration:
    """What is said of a kind of op, see `declare_op`; None where the importer's own word stands.

    Raises:
        OptionError: the words contradict each other, or an amount is none.
    """

    kind: str
    view: bool | None = None
    overwrites: tuple[int, ...] | None = None
    joins: bool | None = None
    workspace: Amount | None = None
    flops: Amount | None = None
    once: bool | None = None

    def __post_init__(self) -> None:
        if not self.kind:
            raise OptionError("an op is declared without a kind", "name it as `Op.kind` does")
        if self.view and (self.overwrites or self.joins or self.workspace):
            raise OptionError(
                f"op kind '{self.kind}' is declared a view that writes bytes",
                "a view only renames bytes: it overwrites and joins nothing and needs no workspace",
            )
        if any(type(x) is not int or x < 0 for x in self.overwrites or ()):
            raise OptionError(
                f"op kind '{self.kind}' is declared to overwrite the operands {list(self.overwrites or ())}",
                "name operands by their positions, from 0",
            )
        for amount in (self.workspace, self.flops):
            _check_amount(self.kind, amount)


def declare(declarations: Iterable[Declaration]) -> None:
    """Let these be what is known of their kinds from now on."""
    _DECLARED.update((said.kind, said) for said in declarations)


def declare_op(
    kind: str,
    *,
    view: bool | None = None,
    overwrites: Sequence[int] | None = None,
    joins: bool | None = None,
    workspace: Amount | None = None,
    flops: Amount | None = None,
    once: bool | None = None,
) -> None:
    """Tell memplan what the kernel of a kind of op does, for every model that is loaded from now on.

    What is said here takes the place of what memplan knows of this kind; what is None stays as it is. The last
    word on a kind counts. What the layout of an op's tensors forbids is left out for that op, as it is for
    kinds that memplan knows.

    Args:
        kind: as `Op.kind` has it: "Gelu" or "my.domain::Fused" for ONNX, "mylib.fused.default" for torch.
        view: its outputs lie in the bytes of its first operand, from the first one on.
        overwrites: positions, from 0, of the operands that its one result may be written over. All tensors
            that a call names count, and optional ones that it leaves out.
        joins: its one result is its operands side by side, in order, each contiguous in it.
        workspace: bytes that it needs while it runs.
        flops: floating-point operations; an op whose cost nobody knows is never executed again.
        once: it is random or stateful and must not be executed again.

    An amount is a whole number; factors by unit, whose products are summed up ("constant", "input_bytes",
    "input_elements", "output_bytes" and "output_elements"); or a function of the lists of tensors read and
    written.

    Returns:
        Nothing.

    Raises:
        OptionError: the words contradict each other, or an amount is none.

    >>> import memplan
    >>> memplan.declare_op("acme::ScaledAdd", overwrites=[0, 1], flops={"output_elements": 2})
    """
    positions = None if overwrites is None else tuple(overwrites)
    declare([Declaration(kind, view, positions, joins, workspace, flops, once)])


def counted_by_function(kind: str) -> bool:
    """Whether the workspace of this kind of op is declared by a function, of which nothing is known but what
    it returns.
    """
    said = _DECLARED.get(kind)
    return said is not None and callable(said.workspace)


def completed(
    op: Op, operands: Sequence[str | None], tensor: Mapping[str, Tensor], workspace: int
) -> tuple[Op, int]:
    """The op with what is declared of its kind, to be executed once where its cost stays unknown; and its workspace.

    Args:
        op: as its importer sees it, without a workspace.
        operands: the tensors of the call in order, None where an optional one is left out.
        tensor: those it reads and writes, by name.
        workspace: bytes, by the importer's own count.

    Raises:
        GraphError: a declared amount is no whole number from 0 for this op.
    """
    once = None
    if said := _DECLARED.get(op.kind):
        op, workspace = _amended(op, said, operands, tensor, workspace)
        once = said.once
    if once is None:
        once = op.once or (op.flops is None and not op.view)
    return (op if once == op.once else replace(op, once=once)), workspace


def _amended(
    op: Op, said: Declaration, operands: Sequence[str | None], tensor: Mapping[str, Tensor], workspace: int
) -> tuple[Op, int]:
    """The op as it is declared but for `once`, and its workspace."""
    inputs, outputs = [tensor[x] for x in operands if x is not None], [tensor[x] for x in op.outputs]
    if said.view is not None:
        op = replace(op, view=said.view)
    if said.overwrites is not None:
        over = [operands[k] for k in said.overwrites if k < len(operands)]
        pairs = [(result, x) for result in op.outputs for x in dict.fromkeys(over) if x is not None]
        op = replace(op, overwrites=tuple(pairs if len(op.outputs) == 1 else ()))
    if said.joins is not None:
        op = replace(op, joins=tuple((x, 0) for x in operands if x is not None and said.joins))
    if said.flops is not None:
        op = replace(op, flops=_amount(op, "flops", said.flops, inputs, outputs))
    if said.workspace is not None:
        workspace = _amount(op, "a workspace", said.workspace, inputs, outputs)
    return op, workspace


def _check_amount(kind: str, amount: Amount | None) -> None:
    """OptionError where it is no amount."""
    numbers = amount.values() if isinstance(amount, Mapping) else [] if callable(amount) else [amount or 0]
    if any(type(x) is not int or not 0 <= x <= MAX_BYTES for x in numbers):
        raise OptionError(
            f"op kind '{kind}' is declared with the amount {amount!r}",
            f"give a whole number from 0, or factors by unit: {', '.join(UNITS)}",
        )
    if isinstance(amount, Mapping) and (
        unknown := next((unit for unit in amount if unit not in UNITS), None)
    ):
        raise OptionError(
            f"op kind '{kind}' is declared by the unit {unknown!r}", nearest(str(unknown), UNITS)
        )


def _amount(op: Op, what: str, amount: Amount, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
    """The amount for this op; GraphError where it is none."""
    if isinstance(amount, Mapping):
        found: object = sum(factor * UNITS[unit](inputs, outputs) for unit, factor in amount.items())
    elif callable(amount):
        try:
            found = amount(inputs, outputs)
        except Exception as error:  # a user's code may raise anything
            found = f"{type(error).__name__}: {error}"
    else:
        found = amount
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= MAX_BYTES:
        return found
    raise GraphError(
        f"op '{op.name}' is declared to have {what} of {found!r}",
        f"correct what is declared of '{op.kind}': a whole number from 0 to 2^62",
    )


def _elements(t: Tensor) -> int:
    return math.prod(t.shape or ())
