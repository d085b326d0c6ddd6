"""Attention and experts by their definitions: a token decoded beside a cache gives what the whole prompt gives."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from memplan_models.recipes.builder import Builder
from memplan_models.recipes.llm import Shape, expert_choice, gpt2, llama, mixtral_block
from memplan_models.recipes.speech import relative_attention

TOKENS = 7
Values = dict[str, np.ndarray]


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight, the same wherever its name and shape are."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return (rng.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)


def run(model: onnx.ModelProto, feeds: Values) -> Values:
    """Outputs with weights drawn by name; cosines and sines are those of the positions fed."""
    positions = feeds.pop("positions", np.zeros(1))
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            shape = tuple(tensor.dims)
            if tensor.name in ("cosine", "sine"):
                wave = np.cos if tensor.name == "cosine" else np.sin
                half = 1e4 ** (-np.arange(shape[2] // 2) / (shape[2] // 2))
                values = wave(positions[:, None, None] * np.concatenate([half, half]))
            else:
                values = drawn(tensor.name, shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), tensor.name))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def small_gpt2(shape: Shape) -> onnx.ModelProto:
    return gpt2("gpt2", shape, 2, 50)


def small_llama(shape: Shape) -> onnx.ModelProto:
    return llama("llama", shape, 2, 50, onnx.TensorProto.FLOAT)


@pytest.mark.parametrize(
    ("build", "kv_heads"),
    [(small_gpt2, 4), (small_llama, 4), (small_llama, 2)],
    ids=["gpt2", "llama", "grouped"],
)
def test_decoding_agrees_with_the_whole_prompt(
    build: Callable[[Shape], onnx.ModelProto], kv_heads: int
) -> None:
    whole = Shape(32, 4, kv_heads, 64, TOKENS, 0)
    ids = np.random.default_rng(0).integers(0, 50, (1, TOKENS))
    positions = np.arange(TOKENS)

    def fed(model: onnx.ModelProto, start: int, stop: int, cache: Values) -> Values:
        wanted = {value.name for value in model.graph.input}
        feeds = {"input_ids": ids[:, start:stop], "position_ids": positions[start:stop]} | cache
        return run(
            model, {k: v for k, v in feeds.items() if k in wanted} | {"positions": positions[start:stop]}
        )

    everything = fed(build(whole), 0, TOKENS, {})
    prompt = fed(build(replace(whole, queries=TOKENS - 1)), 0, TOKENS - 1, {})
    decoder = build(replace(whole, queries=1, past=TOKENS - 1))
    layer = "h." if build is small_gpt2 else "layer"
    cache = {f"{layer}{i}/past_{kind}": prompt[f"{kind}_{i}"] for i in range(2) for kind in ("key", "value")}
    decoded = fed(decoder, TOKENS - 1, TOKENS, cache)
    assert np.ptp(decoded["logits"]) > 0.1
    last = everything["logits"].reshape(-1, 50)[-1]
    assert np.allclose(decoded["logits"].reshape(-1), last, atol=1e-4)
    for i in range(2):
        assert np.allclose(decoded[f"key_{i}"], everything[f"key_{i}"], atol=1e-5)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_norm(x: np.ndarray, name: str) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    d = x.shape[-1:]
    return x * drawn(f"{name}.scale", d) + drawn(f"{name}.bias", d)


def test_a_mixture_is_the_gated_sum_of_its_two_best_experts() -> None:
    s = Shape(16, 4, 2, 24, 1, 5)
    model = mixtral_block("mixture", s, onnx.TensorProto.FLOAT)
    rng = np.random.default_rng(1)
    feeds = {
        v.name: rng.standard_normal([d.dim_value for d in v.type.tensor_type.shape.dim]).astype(np.float32)
        for v in model.graph.input
    }
    by_output = {n.output[0]: n for n in model.graph.node}
    top = next(n for n in model.graph.node if n.op_type == "TopK")
    norm, router = by_output[top.input[0]].input
    residual = by_output["output"].input[0]
    for name in (norm, residual):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    made = run(model, feeds)
    y = made[norm].reshape(16)
    weights = [t.name for t in model.graph.initializer if t.name.startswith("experts.weight")]
    gate, up, down = (
        drawn(n, shape) for n, shape in zip(weights, [(8, 16, 24), (8, 16, 24), (8, 24, 16)], strict=True)
    )
    scores = y @ drawn(router, (16, 8))
    best = np.argsort(-scores)[:2]
    shares = softmax(scores[best])
    mixed = np.zeros(16)
    for share, e in zip(shares, best, strict=True):
        g = y @ gate[e]
        mixed += share * ((g / (1 + np.exp(-g)) * (y @ up[e])) @ down[e])
    assert np.allclose(made["output"].reshape(16), made[residual].reshape(16) + mixed, atol=1e-4)


def test_experts_take_the_tokens_they_prefer() -> None:
    tokens, width, experts, capacity = 12, 8, 4, 3
    x = np.random.default_rng(2).standard_normal((tokens, width)).astype(np.float32)
    made = run(expert_choice("choice", tokens, width, experts, capacity), {"hidden": x})["output"]
    y = layer_norm(x, "ln")
    gates = softmax(y @ drawn("router", (width, experts))).T
    wanted = x.astype(np.float64)
    for e in range(experts):
        chosen = np.argsort(-gates[e])[:capacity]
        first, second = f"expert{e}/linear", f"expert{e}/linear"
        h = y[chosen] @ drawn(f"{first}.weight", (width, 4 * width)) + drawn(f"{first}.bias", (4 * width,))
        h = 0.5 * h * (1 + np.vectorize(math.erf)(h / 2**0.5))
        h = h @ drawn(f"{second}.weight_2", (4 * width, width)) + drawn(f"{second}.bias_2", (width,))
        wanted[chosen] += gates[e][chosen, None] * h
    assert np.allclose(made, wanted, atol=1e-4)


def test_relative_attention_meets_every_distance_once() -> None:
    n, width, heads = 5, 8, 2
    d = width // heads
    b = Builder("relative")
    y = relative_attention(b, b.input("x", (1, n, width)), b.weight("positions", (2 * n - 1, width)), heads)
    x = np.random.default_rng(3).standard_normal((1, n, width)).astype(np.float32)
    made = run(b.finish(y=y), {"x": x})["y"][0]
    z = layer_norm(x[0], "ln")
    names = ["linear.weight", "linear.weight_2", "linear.weight_3"]
    biases = ["linear.bias", "linear.bias_2", "linear.bias_3"]
    query, key, value = (
        (z @ drawn(w, (width, width)) + drawn(c, (width,))).reshape(n, heads, d)
        for w, c in zip(names, biases, strict=True)
    )
    far = (drawn("positions", (2 * n - 1, width)) @ drawn("linear.weight_4", (width, width))).reshape(
        -1, heads, d
    )
    content, place = drawn("content.bias", (heads, d)), drawn("place.bias", (heads, d))
    mixed = np.zeros((n, heads, d))
    for h in range(heads):
        scores = np.empty((n, n))
        for i in range(n):
            for j in range(n):
                scores[i, j] = (query[i, h] + content[h]) @ key[j, h] + (query[i, h] + place[h]) @ far[
                    j - i + n - 1, h
                ]
        mixed[:, h] = softmax(scores / d**0.5) @ value[:, h]
    out = mixed.reshape(n, width) @ drawn("linear.weight_5", (width, width)) + drawn(
        "linear.bias_4", (width,)
    )
    assert np.allclose(made, x[0] + out, atol=1e-4)
