"""Training steps: an interpreter of every gradient operator against torch's automatic differentiation.

The interpreter sees of a gradient operator only what it reads, so a missing read fails; shapes and bytes of
all tensors are compared with the graph's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from memplan_models.recipes.builder import Builder
from memplan_models.recipes.training import parameters, training_step
from memplan_models.recipes.training_steps import mcunet_5fps, sparse_parameters
from torch import Tensor
from torch.nn import functional as F

from memplan.ir.graph import Graph
from memplan.library.zoo import load_zoo_model, zoo_index

RATE = 0.1
Attributes = dict[str, Any]


def conv(at: Attributes, x: Tensor, w: Tensor, *rest: Tensor) -> Tensor:
    """A convolution; between weight and bias there may be the weight's trained share."""
    parts, bias = [r for r in rest if r.dim() == 4], next((r for r in rest if r.dim() == 1), None)
    half = len(at["pads"]) // 2
    assert at["pads"][:half] == at["pads"][half:]
    return F.conv2d(
        x, torch.cat([*parts, w], 1), bias, at["strides"], at["pads"][:half], at["dilations"], at["group"]
    )


def pool(at: Attributes, x: Tensor) -> Tensor:
    return F.max_pool2d(x, at["kernel_shape"], at["strides"], at["pads"][:2])


def norm(at: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], scale, bias)


FORWARD: dict[str, Callable[..., Tensor]] = {
    "Conv": conv,
    "ConvTranspose": lambda at, x, w, b: F.conv_transpose2d(x, w, b, at["strides"]),
    "Gemm": lambda at, x, w, b: x @ w.T + b,
    "MatMul": lambda at, a, b: a @ b,
    "Add": lambda at, a, b: a + b,
    "Mul": lambda at, a, b: a * b,
    "Relu": lambda at, x: x.relu(),
    "Clip": lambda at, x, low, high: x.clamp(float(low), float(high)),
    "Sigmoid": lambda at, x: x.sigmoid(),
    "Gelu": lambda at, x: F.gelu(x),
    "Softmax": lambda at, x: x.softmax(-1),
    "MaxPool": pool,
    "GlobalAveragePool": lambda at, x: x.mean((2, 3), keepdim=True),
    "Flatten": lambda at, x: x.flatten(1),
    "Reshape": lambda at, x, shape: x.reshape(
        [x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())]
    ),
    "Transpose": lambda at, x: x.permute(*at["perm"]),
    "Concat": lambda at, *xs: torch.cat(xs, at["axis"]),
    "LayerNormalization": norm,
    "Gather": lambda at, table, ids: table[ids],
}


def vjp(f: Callable[[Tensor], Tensor], x: Tensor, dy: Tensor) -> Tensor:
    """The gradient of x where y = f(x)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(f(x), x, dy)[0]


def like(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x summed to a shape it was broadcast from."""
    while x.dim() > len(shape):
        x = x.sum(0)
    spread = [i for i, n in enumerate(shape) if n < x.shape[i]]
    return x.sum(spread, keepdim=True) if spread else x


def gradient(kind: str, at: Attributes, r: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """The output, of this shape, of a gradient operator that reads `r`; `at` are its forward operator's."""
    dy, rest = r[0], r[1:]
    base = kind.partition("Grad")[0]
    if kind == "ConvGradInput":
        return vjp(lambda x: conv(at, x, *rest), torch.zeros(shape), dy)
    if kind == "ConvGradWeight":
        return vjp(lambda w: conv(at, rest[0], w), torch.zeros(shape), dy)
    if kind in ("ConvGradBias", "ConvTransposeGradBias"):
        return dy.sum((0, 2, 3))
    if kind == "ConvTransposeGradInput":
        return vjp(lambda x: F.conv_transpose2d(x, rest[0], None, at["strides"]), torch.zeros(shape), dy)
    if kind == "ConvTransposeGradWeight":
        return vjp(lambda w: F.conv_transpose2d(rest[0], w, None, at["strides"]), torch.zeros(shape), dy)
    if kind == "GemmGradInput":
        return dy @ rest[0]
    if kind == "GemmGradWeight":
        return dy.T @ rest[0]
    if kind == "GemmGradBias":
        return dy.sum(0)
    if kind == "MatMulGradInput":
        return like(dy @ rest[0].mT, shape)
    if kind == "MatMulGradWeight":
        return like(rest[0].mT @ dy, shape)
    if kind in ("ReluGrad", "ClipGrad"):
        y = rest[0]
        return dy * ((y > 0) & ((y < 6) | (kind == "ReluGrad")))
    if kind == "SigmoidGrad":
        return dy * rest[0] * (1 - rest[0])
    if kind == "SoftmaxGrad":
        return rest[0] * (dy - (dy * rest[0]).sum(-1, keepdim=True))
    if kind in ("GeluGrad", "MaxPoolGrad"):
        return vjp(lambda x: FORWARD[base](at, x), rest[0], dy)
    if kind == "GlobalAveragePoolGrad":
        return (dy / (shape[2] * shape[3])).expand(shape)
    if kind == "LayerNormalizationGradInput":
        return vjp(lambda x: norm(at, x, rest[1]), rest[0], dy)
    if kind == "LayerNormalizationGradScale":
        return vjp(lambda s: norm(at, rest[0], s), torch.ones(shape), dy)
    if kind in ("LayerNormalizationGradBias", "ReduceSum"):
        return like(dy, shape)
    if kind == "Mul":
        return dy * rest[0]
    if kind == "MulGrad":
        return like(dy * rest[0], shape)
    if kind == "Reshape":
        return dy.reshape(shape)
    if kind == "Transpose":
        return dy.permute(*np.argsort(at["perm"]).tolist())
    if kind == "GatherGrad":
        return torch.zeros(shape).index_put_((rest[0],), dy, accumulate=True)
    raise AssertionError(kind)


def attributes(model: onnx.ModelProto) -> dict[str, Attributes]:
    return {
        n.name: {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute} for n in model.graph.node
    }


def values_of(model: onnx.ModelProto, graph: Graph) -> dict[str, Tensor]:
    """Inputs, weights and constants of the model, the first two random."""
    rng = np.random.default_rng(3)
    values = {}
    for t in model.graph.initializer:
        if t.data_location == onnx.TensorProto.EXTERNAL:
            data = rng.standard_normal(tuple(t.dims)) / max(1, np.prod(t.dims[1:])) ** 0.5
            values[t.name] = torch.tensor(data, dtype=torch.float32)
        else:
            values[t.name] = torch.from_numpy(onnx.numpy_helper.to_array(t).copy())
    for t in graph.tensors:
        if t.kind == "input" and t.name not in values:
            assert t.shape is not None
            whole = t.dtype == "int64"
            data = rng.integers(0, 3, t.shape) if whole else rng.standard_normal(t.shape).astype(np.float32)
            values[t.name] = torch.from_numpy(np.asarray(data))
    return values


def interpret(graph: Graph, model: onnx.ModelProto, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor of the training graph, by its operators alone."""
    at = attributes(model)
    forward = {op.name: op for op in graph.ops}
    for op in graph.ops:
        r = [values[name] for name in op.inputs]
        out = graph.tensor[op.outputs[0]].shape or ()
        name, _, place = op.name.partition(".grad")
        if op.kind == "SoftmaxCrossEntropy":
            made = [
                F.cross_entropy(r[0].flatten(0, -2), r[1].flatten()),
                ((r[0].softmax(-1) - F.one_hot(r[1], r[0].shape[-1])) / r[1].numel()),
            ]
        elif op.kind == "SgdUpdate":
            made = [r[0] - RATE * r[1]]
        elif op.kind == "Split":
            sizes = [graph.tensor[o].shape[at[name]["axis"]] for o in op.outputs]  # type: ignore[index]
            made = list(r[0].split(sizes, at[name]["axis"]))
        elif op.kind == "Slice":
            before = forward[name].inputs[: int(place[1:])] if place else ()
            start = sum(values[x].shape[1] for x in before)
            made = [r[0][:, start : start + out[1]]]
        elif place:
            made = [gradient(op.kind, at[name], r, out)]
        elif ".sum" in op.name:
            made = [r[0] + r[1]]
        else:
            made = [FORWARD[op.kind](at[op.name], *r)]
        for output, value in zip(op.outputs, made, strict=True):
            t = graph.tensor[output]
            assert tuple(value.shape) == t.shape, f"{output}: {tuple(value.shape)} for {t.shape}"
            assert t.nbytes == value.numel() * value.element_size()
            values[output] = value
    return values


def expected(
    model: onnx.ModelProto, values: dict[str, Tensor], logits: str, names: list[str]
) -> dict[str, Tensor]:
    """Parameters after a step of gradient descent by torch."""
    at = attributes(model)
    values = dict(values)
    leaves = {name: values[name].clone().requires_grad_() for name in names}
    values |= leaves
    for node in model.graph.node:
        values[node.output[0]] = FORWARD[node.op_type](at[node.name], *(values[i] for i in node.input))
    F.cross_entropy(values[logits].flatten(0, -2), values["labels"].flatten()).backward()
    return {name: leaf.detach() - RATE * leaf.grad for name, leaf in leaves.items()}  # type: ignore[operator]


def small_cnn() -> onnx.ModelProto:
    """Every image operator whose gradient there is."""
    b = Builder("cnn")
    x = b.conv_relu(b.input("image", (2, 3, 12, 12)), 8, 3)
    with b.scope("left"):
        left = b.conv(b.relu6(b.conv(x, 8, 3, 2, groups=8)), 8, 1)
    right = b.pool("Max", x, 2, 2)
    x = b.add(b.concat([left, right]), b.concat([right, b.swish(left)]))
    x = b.mul(x, b.sigmoid(b.conv(b.gap(x), 16, 1)))
    x = b.concat([b.relu(b.up_conv(x, 4)), b.input("skip", (2, 2, 12, 12))])
    with b.scope("late"):
        x = b.relu6(b.conv(x, 8, 1))
    return b.finish(logits=b.classifier(b.conv(x, 8, 3, 2, dilation=2), 5))


def small_transformer() -> onnx.ModelProto:
    b = Builder("transformer")
    ids = b.input("ids", (2, 6), onnx.TensorProto.INT64)
    x = b.add(b.embed(ids, 11, 8), b.weight("positions", (6, 8)))
    mask = b.const("causal", np.triu(np.full((1, 1, 6, 6), -1e4), 1))
    x = b.layer_norm(b.add(x, b.attention(b.layer_norm(x), 2, mask)))
    x = b.add(x, b.linear(b.gelu(b.linear(x, 16)), 8))
    return b.finish(logits=b.linear(x, 11, bias=False))


@pytest.mark.slow(reason="runs many models")
@pytest.mark.parametrize("build", [small_cnn, small_transformer])
def test_every_gradient_agrees_with_automatic_differentiation(build: Callable[[], onnx.ModelProto]) -> None:
    model = build()
    graph = training_step(model, "step", "sgd")
    values = values_of(model, graph)
    wanted = expected(model, values, "logits", parameters(model))
    made = interpret(graph, model, values)
    assert {old for _, old in graph.updates} == set(wanted)
    still = [old for new, old in graph.updates if torch.equal(made[new], made[old])]
    assert len(still) <= 1  # a bias of all keys shifts no attention
    for new, old in graph.updates:
        assert torch.allclose(made[new], wanted[old], atol=1e-5), old


def test_a_sparse_update_is_the_dense_one_on_its_share() -> None:
    model = small_cnn()
    names = parameters(model)
    shares = {"late/conv.weight": 0.5, "late/conv.bias": 1.0, names[-1]: 1.0, names[-2]: 1.0}
    graph = training_step(model, "step", "sgd", shares, at_once=True)
    values = values_of(model, graph)
    whole = values_of(model, training_step(model, "step", "sgd"))
    for name in ("image", "skip", "labels"):
        values[name] = whole[name]
    wanted = expected(model, whole, "logits", list(shares))
    weight = values["late/conv.weight"]
    kept = graph.tensor["late/conv.weight.trained"].shape
    assert kept is not None and kept[1] == weight.shape[1] // 2 == 3
    values["late/conv.weight.trained"], values["late/conv.weight"] = weight[:, :3], weight[:, 3:]
    made = interpret(graph, model, values)
    assert torch.allclose(made["late/conv.weight.trained.next"], wanted["late/conv.weight"][:, :3], atol=1e-5)
    assert torch.allclose(made["late/conv.bias.next"], wanted["late/conv.bias"], atol=1e-5)
    assert len(graph.updates) == 4
    assert not any(op.name.startswith("left/") and ".grad" in op.name for op in graph.ops)


def test_a_device_of_256_kib_trains_sparsely_but_not_wholly() -> None:
    index = {entry["name"]: entry for entry in zoo_index()}
    limit = 256 * 1024
    assert index["mcunet_5fps_train_sparse_int8"]["peak_program"] <= limit
    assert index["mcunet_5fps_train_full_int8"]["peak_program"] > 4 * limit
    shares = sparse_parameters(mcunet_5fps())
    assert 0.25 in shares.values() and 1.0 in shares.values()


MADE = [e["name"] for e in zoo_index() if e["recipe"].endswith(".training_steps") and e["dtype"] == "float32"]


@pytest.mark.parametrize("name", MADE)
def test_a_training_step_costs_three_forwards(name: str) -> None:
    graph = load_zoo_model(name).graph
    loss = next(i for i, op in enumerate(graph.ops) if op.kind == "SoftmaxCrossEntropy")
    forward = sum(op.flops or 0 for op in graph.ops[:loss])
    backward = sum(op.flops or 0 for op in graph.ops[loss:] if not op.kind.endswith("Update"))
    assert backward / forward == pytest.approx(2, rel=0.1)
    trained = {old for _, old in graph.updates if ".state" not in old}
    assert len([op for op in graph.ops if op.kind.endswith("Update")]) == len(trained)


def test_what_has_no_gradient_is_refused() -> None:
    b = Builder("unknown")
    x = b.linear(b.input("x", (2, 4)), 4)
    model = b.finish(logits=b.op("Sqrt", [x], (2, 4)))
    with pytest.raises(ValueError, match="no gradient of 'Sqrt'"):
        training_step(model, "step", "sgd")
