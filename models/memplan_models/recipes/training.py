"""Training steps as graphs: a network forward, its loss, backward by reverse mode, and the optimizer.

Trained parameters and the optimizer's state are inputs whose next values are outputs (`Graph.updates`).
Gradient operators read what their formulas need and nothing else: a Relu its output, a Gelu its input,
a convolution its input for the weight's gradient and its weight for the input's. Norms that are folded or
constant stay as they are. No gradient is made that no trained parameter needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import onnx

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.onnx.dialect import described, placed
from memplan_models.recipes.recipe import imported

STATES = {"sgd": 0, "momentum": 1, "adam": 2}
"""Optimizers, and how many tensors of a parameter's size each keeps."""
UPDATE_FLOPS = {"sgd": 2, "momentum": 4, "adam": 12}
FROM_OUTPUT = {"Relu": 1, "Clip": 2, "Sigmoid": 3, "Tanh": 3, "Softmax": 4}
"""Kinds whose gradient reads the output, and its flops an element."""
FROM_INPUT = {"Gelu": 8, "HardSwish": 4, "HardSigmoid": 2, "LeakyRelu": 1, "MaxPool": 1}
FROM_NEITHER = {"GlobalAveragePool": 1, "AveragePool": 1, "ReduceMean": 1, "Resize": 1}
LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class _Gradient:
    """An operator that makes the gradient of one input: its kind, what it reads, its flops."""

    kind: str
    reads: tuple[str, ...]
    flops: int


def parameters(model: onnx.ModelProto) -> list[str]:
    """The model's weights: initializers whose values are not stored."""
    return [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]


def training_step(
    model: onnx.ModelProto,
    name: str,
    optimizer: str,
    trained: Mapping[str, float] | None = None,
    batch: int = 1,
    at_once: bool = False,
) -> Graph:
    """One step on the model's first output against labels, by softmax and cross entropy.

    trained  parameters to train, each with the share of its input channels (axis 1) that is; by default
             all, wholly. A convolution then keeps that share of its input for the backward pass.
    at_once  whether a parameter is updated as soon as its gradient is there, or all at the end
    """
    graph = imported(model, batch)
    shares = dict.fromkeys(parameters(model), 1.0) if trained is None else dict(trained)
    step = _Step(graph, shares, optimizer)
    step.forward()
    step.backward(at_once)
    return step.graph(name)


class _Step:
    """A training step under construction."""

    def __init__(self, graph: Graph, shares: Mapping[str, float], optimizer: str) -> None:
        self.source = graph
        self.optimizer = optimizer
        used = {name for op in graph.ops for name in op.inputs}
        self.shares = {name: share for name, share in shares.items() if name in used}
        self.tensors = {t.name: t for t in graph.tensors}
        self.ops: list[Op] = []
        self.updates: list[tuple[str, str]] = []
        self.gradients: dict[str, str] = {}
        self.parts: dict[str, str] = {}  # a partly trained weight -> its trained share
        self.kept: dict[str, str] = {}  # such a convolution -> the share of its input
        self.needed: set[str] = set()
        self.renewals: list[tuple[str, str]] = []  # parameter, gradient

    def forward(self) -> None:
        """The network's ops; what trained parameters reach needs gradients."""
        for name, share in self.shares.items():
            if share == 1:
                self.tensors[name] = replace(self.tensors[name], kind="input")
        self.needed = set(self.shares)
        for op in self.source.ops:
            if any(name in self.needed for name in op.inputs):
                self.needed.update(op.outputs)
            partial = [name for name in op.inputs if self.shares.get(name, 1) < 1]
            self.ops.append(self._part(op, partial[0]) if partial else op)

    def _part(self, op: Op, weight: str) -> Op:
        """A convolution whose weight is a frozen and a trained share; the input's share is sliced off."""
        x, whole = self.tensors[op.inputs[0]], self.tensors[weight]
        channels = round(self.shares[weight] * _shape(whole)[1])
        part, kept = f"{weight}.trained", f"{op.name}.kept"
        self._add(part, _cut(whole, channels), "input")
        self.tensors[weight] = _cut(whole, _shape(whole)[1] - channels)
        self._add(kept, _cut(x, channels))
        self.ops.append(Op(f"{op.name}.keep", "Slice", (x.name,), (kept,), 0))
        self.parts[weight], self.kept[op.name] = part, kept
        return replace(op, inputs=(*op.inputs[:2], part, *op.inputs[2:]), needs=())

    def backward(self, at_once: bool) -> None:
        """The loss, gradients against program order, and the optimizer."""
        logits = self.source.tensor[self.source.outputs[0]]
        rows = _shape(logits)[:-1]
        self.tensors["labels"] = Tensor("labels", 8 * math.prod(rows), "input", "int64", rows)
        self.tensors["loss"] = Tensor("loss", 4, dtype="float32", shape=())
        self.outputs = ["loss"]
        self.gradients[logits.name] = self._add(f"{logits.name}.grad", self.tensors[logits.name])
        outputs = ("loss", self.gradients[logits.name])
        self.ops.append(
            Op("loss", "SoftmaxCrossEntropy", (logits.name, "labels"), outputs, 8 * _count(logits))
        )
        for op in reversed(self.source.ops):
            gradient = self.gradients.get(op.outputs[0])
            if gradient is None:
                continue
            if len(op.outputs) > 1:
                raise ValueError(f"no gradient of '{op.kind}' with several outputs")
            self._backward_of(op, gradient)
            if at_once:
                self._renew()
        self._renew()

    def _backward_of(self, op: Op, gradient: str) -> None:
        if op.kind == "Concat" and all(x in self.needed for x in op.inputs):
            parts = [self._add(f"{op.name}.grad.{i}.out", self.tensors[x]) for i, x in enumerate(op.inputs)]
            self.ops.append(Op(f"{op.name}.grad", "Split", (gradient,), tuple(parts), 0))
            for i, (x, part) in enumerate(zip(op.inputs, parts, strict=True)):
                self._arrive(x, part, f"{op.name}.sum.{i}")
            return
        for i, x in enumerate(op.inputs):
            if x not in self.needed:
                continue
            rule = self._rule(op, i, gradient)
            made = gradient
            if rule is not None:
                like = self.tensors[self.parts.get(x, x)]
                made = self._add(f"{op.name}.grad.{i}.out", like)
                self.ops.append(Op(f"{op.name}.grad.{i}", rule.kind, rule.reads, (made,), rule.flops))
            if x in self.shares:
                self.renewals.append((self.parts.get(x, x), made))
            else:
                self._arrive(x, made, f"{op.name}.sum.{i}")

    def _rule(self, op: Op, i: int, dy: str) -> _Gradient | None:
        """How the gradient of input i is made from that of the output; None if it is the same tensor."""
        kind, (x, *rest), y = op.kind, op.inputs, op.outputs[0]
        size, flops = _count(self.tensors[y]), op.flops or 0
        same = _shape(self.tensors[op.inputs[i]]) == _shape(self.tensors[y])
        if kind in LINEAR and i == 2:
            return _Gradient(f"{kind}GradBias", (dy,), size)
        if kind in LINEAR and i == 1:
            share = self.shares.get(rest[0], 1)
            return _Gradient(f"{kind}GradWeight", (dy, self.kept.get(op.name, x)), round(flops * share))
        if kind in LINEAR:
            return _Gradient(f"{kind}GradInput", (dy, rest[0], *self._part_of(rest[0])), flops)
        if kind in FROM_OUTPUT:
            return _Gradient(f"{kind}Grad", (dy, y), FROM_OUTPUT[kind] * size)
        if kind in FROM_INPUT:
            return _Gradient(f"{kind}Grad", (dy, x), FROM_INPUT[kind] * size)
        if kind in FROM_NEITHER:
            return _Gradient(f"{kind}Grad", (dy,), _count(self.tensors[x]))
        if kind == "LayerNormalization":
            reads = {0: (dy, x, rest[0]), 1: (dy, x), 2: (dy,)}[i]
            return _Gradient(f"{kind}Grad{('Input', 'Scale', 'Bias')[i]}", reads, (11, 2, 1)[i] * size)
        if kind == "BatchNormalization" and i == 0:
            return _Gradient(f"{kind}GradInput", (dy, rest[0]), size)
        if kind == "Mul":
            return _Gradient("Mul" if same else "MulGrad", (dy, op.inputs[1 - i]), size)
        if kind == "Add":
            return None if same else _Gradient("ReduceSum", (dy,), size)
        if kind == "Concat":
            return _Gradient("Slice", (dy,), 0)
        if kind in ("Reshape", "Flatten"):
            return _Gradient("Reshape", (dy,), 0)
        if kind == "Transpose":
            return _Gradient("Transpose", (dy,), 0)
        if kind == "Gather" and i == 0:
            return _Gradient("GatherGrad", (dy, rest[0]), size)
        raise ValueError(f"no gradient of '{kind}' for input {i}")

    def _part_of(self, weight: str) -> Iterable[str]:
        return (self.parts[weight],) if weight in self.parts else ()

    def _arrive(self, x: str, gradient: str, name: str) -> None:
        """A gradient of `x`; a second one is added to the first."""
        before = self.gradients.get(x)
        if before is not None:
            total = self._add(f"{name}.out", self.tensors[x])
            self.ops.append(Op(name, "Add", (before, gradient), (total,), _count(self.tensors[x])))
            gradient = total
        self.gradients[x] = gradient

    def _renew(self) -> None:
        """The optimizer on every parameter whose gradient is there, the gradients of one added up first."""
        pending: dict[str, str] = {}
        for weight, gradient in self.renewals:
            if weight in pending:
                like = self.tensors[weight]
                total = self._add(f"{weight}.grad.sum", like)
                self.ops.append(
                    Op(f"{weight}.sum", "Add", (pending[weight], gradient), (total,), _count(like))
                )
                gradient = total
            pending[weight] = gradient
        for weight, gradient in pending.items():
            like = self.tensors[weight]
            states = [self._add(f"{weight}.state{i}", like, "input") for i in range(STATES[self.optimizer])]
            new = [self._add(f"{name}.next", like) for name in (weight, *states)]
            self.outputs += new
            kind, flops = f"{self.optimizer.capitalize()}Update", UPDATE_FLOPS[self.optimizer] * _count(like)
            self.ops.append(Op(f"{weight}.update", kind, (weight, gradient, *states), tuple(new), flops))
            self.updates += zip(new, (weight, *states), strict=True)
        self.renewals = []

    def _add(self, name: str, like: Tensor, kind: str = "activation") -> str:
        self.tensors[name] = replace(like, name=name, kind=kind, place=None)
        return name

    def graph(self, name: str) -> Graph:
        """The finished graph."""
        parts = placed(self.tensors.values(), map(described, self.ops))
        return Graph(name, *parts, tuple(self.outputs), tuple(self.updates))


def _shape(t: Tensor) -> tuple[int, ...]:
    if t.shape is None:
        raise ValueError(f"'{t.name}' has no shape")
    return t.shape


def _count(t: Tensor) -> int:
    return math.prod(_shape(t))


def _cut(t: Tensor, channels: int) -> Tensor:
    """The tensor with so many channels on axis 1."""
    shape = _shape(t)
    return replace(t, shape=(shape[0], channels, *shape[2:]), nbytes=t.nbytes // shape[1] * channels)
