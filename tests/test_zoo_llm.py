"""Language models: a token decoded beside a cache gives what the whole prompt gives."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from memplan_models.recipes.llm import Shape, gpt2, llama

TOKENS = 7
Values = dict[str, np.ndarray]


def run(model: onnx.ModelProto, feeds: Values) -> Values:
    """Outputs with weights drawn by name; cosines and sines are those of the positions fed."""
    positions = feeds.pop("positions")
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            shape = tuple(tensor.dims)
            if tensor.name in ("cosine", "sine"):
                wave = np.cos if tensor.name == "cosine" else np.sin
                half = 1e4 ** (-np.arange(shape[2] // 2) / (shape[2] // 2))
                values = wave(positions[:, None, None] * np.concatenate([half, half]))
            else:
                rng = np.random.default_rng(zlib.crc32(tensor.name.encode()))
                values = rng.standard_normal(shape) / shape[0] ** 0.5
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
