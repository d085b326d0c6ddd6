"""Language models as they are served: the prompt at once, then a token at a time beside a key-value cache.

The cache enters as inputs and leaves, longer, as outputs. Attention is eager: scores are tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from memplan_models.recipes.builder import Builder
from memplan_models.recipes.recipe import Recipe

MASKED = -10000.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder: `queries` tokens now, `past` ones in the cache."""

    width: int
    heads: int
    kv_heads: int
    hidden: int
    queries: int
    past: int

    @property
    def head(self) -> int:
        """Elements of a head."""
        return self.width // self.heads


def _causal(b: Builder, s: Shape) -> str:
    """What hides later tokens from the queries of each group; nothing to hide from a single one."""
    mask = np.triu(np.full((s.queries, s.queries), MASKED), 1)
    return b.const("causal", np.tile(mask, (s.heads // s.kv_heads, 1))) if s.queries > 1 else ""


def _attend(b: Builder, query: str, key: str, value: str, mask: str, s: Shape) -> tuple[str, str, str]:
    """Attention of [1, tokens, heads, size] over the cache and itself: (mixed [1, tokens, width], keys, values).

    Queries that share keys are stacked along the tokens of one head (Ainslie et al. 2023).
    """
    keys, values = b.transpose(key, (0, 2, 1, 3)), b.transpose(value, (0, 2, 1, 3))
    if s.past:
        cache = (1, s.kv_heads, s.past, s.head)
        keys = b.concat([b.input(b.path("past_key"), cache), keys], axis=2)
        values = b.concat([b.input(b.path("past_value"), cache), values], axis=2)
    total, group = s.past + s.queries, s.heads // s.kv_heads
    query = b.reshape(b.transpose(query, (0, 2, 1, 3)), (s.kv_heads, group * s.queries, s.head))
    turned = b.transpose(keys, (0, 1, 3, 2))
    scores = b.op("MatMul", [query, turned], (1, s.kv_heads, group * s.queries, total))
    scores = b.mul(scores, b.const("scale", 1 / math.sqrt(s.head)))
    if mask:
        scores = b.add(scores, mask)
    mixed = b.op("MatMul", [b.softmax(scores), values], b.shape[query])
    mixed = b.transpose(b.reshape(mixed, (s.heads, s.queries, s.head)), (0, 2, 1, 3))
    return b.reshape(mixed, (s.queries, s.width)), keys, values


def gpt2_small(name: str, queries: int, past: int) -> onnx.ModelProto:
    """GPT-2 small: 12 layers of width 768, 12 heads."""
    return gpt2(name, Shape(768, 12, 12, 3072, queries, past), 12, 50257)


def gpt2(name: str, s: Shape, layers: int, vocabulary: int) -> onnx.ModelProto:
    """Pre-norm layers, one embedding for both ends; the logits of the last token."""
    b = Builder(name)
    queries = s.queries
    table = b.weight("embedding", (vocabulary, s.width))
    ids = b.input("input_ids", (1, queries), TensorProto.INT64)
    x = b.op("Gather", [table, ids], (1, queries, s.width), dtype=b.dtype)
    where = b.input("position_ids", (queries,), TensorProto.INT64)
    mask = _causal(b, s)
    places = b.op(
        "Gather", [b.weight("positions", (1024, s.width)), where], (queries, s.width), dtype=b.dtype
    )
    x = b.add(x, places)
    caches = {}
    for i in range(layers):
        with b.scope(f"h.{i}"):
            parts = b.split(b.linear(b.layer_norm(x), 3 * s.width), 3, axis=2)
            parts = tuple(b.reshape(part, (queries, s.heads, s.head)) for part in parts)
            mixed, caches[f"key_{i}"], caches[f"value_{i}"] = _attend(b, *parts, mask, s)
            x = b.add(x, b.linear(mixed, s.width))
            x = b.add(x, b.linear(b.gelu(b.linear(b.layer_norm(x), s.hidden)), s.width))
    x = b.layer_norm(x)
    last = b.reshape(b.slice(x, queries - 1, 1) if queries > 1 else x, (s.width,))
    return b.finish(logits=b.op("Gemm", [last, table], (1, vocabulary), transB=1), **caches)


def _rms_norm(b: Builder, x: str) -> str:
    """x over its root mean square, scaled (Zhang & Sennrich 2019)."""
    d = int(b.shape[x][-1])
    axes = b.const("axes", [-1], np.int64)
    mean = b.op("ReduceMean", [b.mul(x, x), axes], (*b.shape[x][:-1], 1))
    root = b.op("Sqrt", [b.add(mean, b.const("epsilon", 1e-5))], b.shape[mean])
    return b.mul(b.op("Div", [x, root], b.shape[x]), b.weight("norm.scale", (d,)))


def _rotate(b: Builder, x: str, cosine: str, sine: str) -> str:
    """Rotary position embedding of [1, tokens, heads, size] (Su et al. 2021)."""
    low, high = b.split(x, 2, axis=3)
    turned = b.concat([b.op("Neg", [high], b.shape[high]), low], axis=3)
    return b.add(b.mul(x, cosine), b.mul(turned, sine))


def _llama_attention(b: Builder, x: str, turn: tuple[str, str], mask: str, s: Shape) -> tuple[str, str, str]:
    """Pre-norm grouped-query attention with its residual: (output, keys, values)."""
    y = _rms_norm(b, x)
    query = b.reshape(b.linear(y, s.width, False), (s.queries, s.heads, s.head))
    key, value = (
        b.reshape(b.linear(y, s.kv_heads * s.head, False), (s.queries, s.kv_heads, s.head)) for _ in range(2)
    )
    mixed, keys, values = _attend(b, _rotate(b, query, *turn), _rotate(b, key, *turn), value, mask, s)
    return b.add(x, b.linear(mixed, s.width, False)), keys, values


def _gated(b: Builder, x: str, s: Shape) -> str:
    """Pre-norm gated feed-forward with its residual (Shazeer 2020)."""
    y = _rms_norm(b, x)
    y = b.mul(b.swish(b.linear(y, s.hidden, False)), b.linear(y, s.hidden, False))
    return b.add(x, b.linear(y, s.width, False))


def _turn(b: Builder, s: Shape) -> tuple[str, str]:
    """Cosines and sines of the positions, [tokens, 1, size]."""
    return b.weight("cosine", (s.queries, 1, s.head)), b.weight("sine", (s.queries, 1, s.head))


def llama(
    name: str, s: Shape, layers: int, vocabulary: int, dtype: int = TensorProto.FLOAT16
) -> onnx.ModelProto:
    """Llama's layers between an embedding and a head; the logits of every token."""
    b = Builder(name, dtype)
    ids = b.input("input_ids", (1, s.queries), TensorProto.INT64)
    x = b.op("Gather", [b.weight("embedding", (vocabulary, s.width)), ids], (1, s.queries, s.width), b.dtype)
    turn, mask = _turn(b, s), _causal(b, s)
    caches = {}
    for i in range(layers):
        with b.scope(f"layer{i}"):
            x, caches[f"key_{i}"], caches[f"value_{i}"] = _llama_attention(b, x, turn, mask, s)
            x = _gated(b, x, s)
    return b.finish(logits=b.linear(_rms_norm(b, x), vocabulary, False), **caches)


def llama_1b_decode() -> onnx.ModelProto:
    """TinyLlama's 1.1 billion parameters, one token after 1023: 22 layers, 32 heads on 4 key-value heads."""
    return llama("llama_1b_decode", Shape(2048, 32, 4, 5632, 1, 1023), 22, 32000)


def llama_7b_block(name: str, queries: int, past: int) -> onnx.ModelProto:
    """One layer of Llama-7B: width 4096, 32 heads, 11008 hidden."""
    b = Builder(name, TensorProto.FLOAT16)
    s = Shape(4096, 32, 32, 11008, queries, past)
    x, keys, values = _llama_attention(
        b, b.input("hidden", (1, queries, s.width)), _turn(b, s), _causal(b, s), s
    )
    return b.finish(output=_gated(b, x, s), key=keys, value=values)


def mixtral_block(name: str, s: Shape, dtype: int = TensorProto.FLOAT16) -> onnx.ModelProto:
    """One layer whose feed-forward is a mixture, for one token: the weights of 2 of 8 experts are gathered."""
    b = Builder(name, dtype)
    x, keys, values = _llama_attention(b, b.input("hidden", (1, 1, s.width)), _turn(b, s), "", s)
    y = b.reshape(_rms_norm(b, x), (s.width,))
    gates, chosen = b.top_k(b.linear(y, 8, False), 2)
    per_expert = b.const("shape", [2, 1, 1], np.int64)
    gates = b.op("Reshape", [b.softmax(gates), per_expert], (2, 1, 1))
    chosen = b.op("Reshape", [chosen, b.const("shape", [2], np.int64)], (2,))

    def experts(x: str, k: int, n: int) -> str:
        weights = b.weight("experts.weight", (8, k, n))
        picked = b.op("Gather", [weights, chosen], (2, k, n), dtype=b.dtype)
        return b.op("MatMul", [x, picked], (2, 1, n))

    hidden = b.mul(b.swish(experts(y, s.width, s.hidden)), experts(y, s.width, s.hidden))
    out = b.mul(experts(hidden, s.hidden, s.width), gates)
    axes = b.const("axes", [0], np.int64)
    out = b.op("ReduceSum", [out, axes], (1, 1, s.width))
    return b.finish(output=b.add(x, out), key=keys, value=values)


def expert_choice(name: str, tokens: int, width: int, experts: int, capacity: int) -> onnx.ModelProto:
    """A feed-forward layer of experts that each choose `capacity` tokens: parallel branches, then sums."""
    b = Builder(name)
    x = b.input("hidden", (tokens, width))
    y = b.layer_norm(x)
    router = b.op("MatMul", [y, b.weight("router", (width, experts))], (tokens, experts))
    gates, places = b.top_k(b.transpose(b.softmax(router), (1, 0)), capacity)
    rows = b.split(gates, experts, axis=0), b.split(places, experts, axis=0)
    for i, (gate, place) in enumerate(zip(*rows, strict=True)):
        with b.scope(f"expert{i}"):
            shape = b.const("shape", [capacity], np.int64)
            place = b.op("Reshape", [place, shape], (capacity,))
            h = b.op("Gather", [y, place], (capacity, width))
            h = b.linear(b.gelu(b.linear(h, 4 * width)), width)
            column = b.const("column", [capacity, 1], np.int64)
            h = b.mul(h, b.op("Reshape", [gate, column], (capacity, 1)))
            place = b.op("Reshape", [place, column], (capacity, 1))
            x = b.op("ScatterND", [x, place, h], (tokens, width), reduction="add")
    return b.finish(output=x)


RECIPES = (
    Recipe("gpt2_prefill", "llm", "float32", "Radford et al. 2019 (GPT-2)",
           "GPT-2 small, a prompt of 256 tokens, its cache as outputs", lambda: gpt2_small("gpt2_prefill", 256, 0)),
    Recipe("gpt2_decode", "llm", "float32", "Radford et al. 2019 (GPT-2)",
           "GPT-2 small, one token after 511, cache in and out", lambda: gpt2_small("gpt2_decode", 1, 511)),
    Recipe("llama_1b_decode", "llm", "float16",
           "Touvron et al. 2023, arXiv 2302.13971; Zhang et al. 2024, arXiv 2401.02385 (sizes)",
           "Llama of 1.1 G parameters, one token after 1023, float16", llama_1b_decode),
    Recipe("llama_7b_block_prefill", "llm", "float16", "Touvron et al. 2023, arXiv 2302.13971",
           "One layer of Llama-7B, a prompt of 512 tokens, float16",
           lambda: llama_7b_block("llama_7b_block_prefill", 512, 0)),
    Recipe("llama_7b_block_decode", "llm", "float16", "Touvron et al. 2023, arXiv 2302.13971",
           "One layer of Llama-7B, one token after 2047, float16",
           lambda: llama_7b_block("llama_7b_block_decode", 1, 2047)),
    Recipe("mixtral_block_decode", "llm", "float16", "Jiang et al. 2024, arXiv 2401.04088",
           "One layer of Mixtral 8x7B, one token after 511: 2 of 8 experts, float16",
           lambda: mixtral_block("mixtral_block_decode", Shape(4096, 32, 8, 14336, 1, 511))),
    Recipe("expert_choice_prefill", "llm", "float32", "Zhou et al. 2022, arXiv 2202.09368",
           "Mixture of 16 experts that choose 16 of 128 tokens each",
           lambda: expert_choice("expert_choice_prefill", 128, 768, 16, 16)),
)  # fmt: skip
