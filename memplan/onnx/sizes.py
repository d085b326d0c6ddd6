"""Which sizes of an ONNX program are decided by data that only a run has, and by whose."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from memplan.base.errors import GraphError
from memplan.onnx.bounds import PartialType, TensorType, advice
from memplan.onnx.uses import captured, subgraphs

RANDOM_KINDS = frozenset(
    {
        "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
        "Multinomial", "Dropout",
    }
)  # fmt: skip

SHAPE_READERS = frozenset({"Shape", "Size", "EyeLike", "ConstantOfShape"})
"""Kinds whose values follow from sizes: of their input, or of their output."""

DECIDING: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,), "BlackmanWindow": (0,), "CenterCropPad": (1,), "Col2Im": (1, 2), "Compress": (1,),
    "ConstantOfShape": (0,), "ConvTransposeWithDynamicPads": (2,), "CropAndResize": (3,), "DFT": (1, 2), "Expand": (1,),
    "ExpandDims": (1,), "HammingWindow": (0,), "HannWindow": (0,), "ImageDecoder": (0,), "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1), "NonMaxSuppression": (0, 1, 2, 3, 4), "NonZero": (0,), "OneHot": (1,),
    "Pad": (1, 3), "Range": (0, 1, 2), "ReduceL1": (1,), "ReduceL2": (1,), "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,), "ReduceMax": (1,), "ReduceMean": (1,), "ReduceMin": (1,), "ReduceProd": (1,),
    "ReduceSum": (1,), "ReduceSumSquare": (1,), "RemovePadding": (1,), "Reshape": (1,),
    "Resize": (1, 2, 3), "STFT": (1, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,),
    "StringSplit": (0,), "Tile": (1, 2), "TopK": (1,), "Trim": (0,), "Unique": (0,), "Unsqueeze": (1,),
    "Upsample": (1,), "BeamSearch": (0, 1, 2), "GreedySearch": (0, 1, 2), "Sampling": (0, 1, 2),
}  # fmt: skip
"""The operands, by position, whose values (not their sizes) decide how large an output is."""


def label(node: Any) -> str:
    """What messages call a node: its name, which one in a body may lack, or kind and first output."""
    return node.name or f"{node.op_type}:{next(filter(None, node.output), '')}"


@dataclass(frozen=True)
class Cause:
    """Why a size is not known before a run: the op whose operand decides it, and whose data that operand is."""

    op: str
    kind: str
    operand: str
    source: str


@dataclass
class Flow:
    """What of a program follows from run-time data, by name; filled node by node in program order.

    values  whose data a value depends on, in words; a value that is not here is the same in every run
    sizes   why a size depends on them
    """

    values: dict[str, str]
    sizes: dict[str, Cause] = field(default_factory=dict)

    def follow(self, nodes: Iterable[Any], known: Collection[str]) -> None:
        """Take in `nodes`, in order; what is `known` has one size in every run."""
        for node in nodes:
            self._follow(node, known)

    def _follow(self, node: Any, known: Collection[str]) -> None:
        reads = [name for name in (*node.input, *captured(node)) if name]
        sizes = next((self.sizes[name] for name in reads if name in self.sizes), None)
        source = None if sizes is None else sizes.source
        if node.op_type not in SHAPE_READERS:
            source = next((self.values[name] for name in reads if name in self.values), source)
        if node.op_type in RANDOM_KINDS:
            source = f"the random numbers of '{label(node)}'"
        if sizes is None:
            sizes = self._decided(node)
        if node.op_type == "ConstantOfShape" and sizes is not None:
            source = sizes.source
        for name in filter(None, node.output):
            if source is not None:
                self.values[name] = source
            if sizes is not None and name not in known:
                self.sizes[name] = sizes

    def _decided(self, node: Any) -> Cause | None:
        """The cause that the node itself is, if an operand that decides sizes depends on data."""
        for name in self._deciding(node):
            if name in self.values:
                return Cause(label(node), node.op_type, name, self.values[name])
        return self._decided_inside(node)

    def _deciding(self, node: Any) -> list[str]:
        if next(subgraphs(node), None) is not None:
            positions: tuple[int, ...] = (0, 1) if node.op_type == "Loop" else (0,)
            if node.op_type not in ("If", "Loop"):
                positions = ()
        else:
            positions = DECIDING.get(node.op_type, ())
        return [node.input[i] for i in positions if i < len(node.input) and node.input[i]]

    def _decided_inside(self, node: Any) -> Cause | None:
        """The cause in a body of control flow: an output whose size, or a loop's condition, depends on data."""
        for body in subgraphs(node):
            inside = Flow({**self.values, **body_sources(node, body)}, dict(self.sizes))
            inside.follow(body.node, ())
            names = [value.name for value in body.output]
            if cause := next((inside.sizes[name] for name in names if name in inside.sizes), None):
                return Cause(label(node), node.op_type, cause.operand, cause.source)
            if node.op_type == "Loop" and names and names[0] in inside.values:
                if not _passed_on(body):
                    return Cause(label(node), node.op_type, names[0], inside.values[names[0]])
        return None


def _passed_on(body: Any) -> bool:
    """Whether a loop's body hands on the condition that it was given."""
    if len(body.input) < 2:
        return False
    same = {body.input[1].name}
    for node in body.node:
        if node.op_type == "Identity" and same.issuperset(node.input):
            same.update(node.output)
    return body.output[0].name in same


def body_sources(node: Any, body: Any) -> dict[str, str]:
    """The inputs of a body as data that differ from turn to turn."""
    return {value.name: f"'{value.name}' in the body of '{label(node)}'" for value in body.input}


def refuse_undecided(
    nodes: Iterable[Any],
    flow: Flow,
    types: Mapping[str, TensorType],
    partial: Mapping[str, PartialType],
    missing: Collection[str],
) -> None:
    """GraphError for the first tensor of `missing` whose size follows from data; `partial` has what is known of those."""
    for node in nodes:
        unknown = [name for name in node.output if name in missing and name in flow.sizes]
        if not unknown:
            continue
        cause = flow.sizes[unknown[0]]
        through = (
            "" if cause.op == label(node) else f", and so does that of '{unknown[0]}' of op '{label(node)}'"
        )
        decided = (
            f"the size of what op '{cause.op}' ({cause.kind}) writes depends on the data of {cause.source}"
        )
        if f"'{cause.operand}'" not in cause.source:
            decided += f", through its operand '{cause.operand}'"
        free = {name: partial[name][1] if name in partial else None for name in unknown}
        like = next((types[name][1] for name in node.input if name in types), ())
        raise GraphError(decided + through, advice(free, like))
