"""Transformers with eager attention: projections, scores and softmax as ops of their own."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.recipe import Recipe

MASKED = -10000.0


def bert_small() -> onnx.ModelProto:
    """BERT-Small encoder: 4 layers, 512 wide, 8 heads, 128 tokens; norms after the residuals."""
    b = Builder("bert_small")
    tokens, width = 128, 512
    ids = b.input("input_ids", (BATCH, tokens), TensorProto.INT64)
    segments = b.input("token_type_ids", (BATCH, tokens), TensorProto.INT64)
    mask = b.input("attention_mask", (BATCH, tokens), TensorProto.INT64)
    mask = b.op("Cast", [mask], b.shape[mask], dtype=TensorProto.FLOAT, to=TensorProto.FLOAT)
    off = b.op("Sub", [b.const("one", 1), mask], b.shape[mask])
    mask = b.reshape(b.mul(off, b.const("masked", MASKED)), (1, 1, tokens))
    x = b.add(b.embed(ids, 30522, width), b.embed(segments, 2, width))
    x = b.layer_norm(b.add(x, b.weight("positions", (tokens, width))))
    for i in range(4):
        with b.scope(f"layer{i}"):
            x = b.layer_norm(b.add(x, b.attention(x, 8, mask)))
            x = b.layer_norm(b.add(x, b.linear(b.gelu(b.linear(x, 4 * width)), width)))
    first = b.op("Gather", [x, b.const("first", 0, np.int64)], (BATCH, width), axis=1)
    pooled = b.gemm(first, width)
    return b.finish(hidden=x, pooled=b.op("Tanh", [pooled], b.shape[pooled]))


def gpt2_char() -> onnx.ModelProto:
    """GPT-2's pre-norm causal blocks at character-level size: 6 layers, 384 wide, 6 heads, 128 tokens."""
    b = Builder("gpt2_char")
    tokens, width = 128, 384
    ids = b.input("input_ids", (BATCH, tokens), TensorProto.INT64)
    x = b.add(b.embed(ids, 65, width), b.weight("positions", (tokens, width)))
    causal = b.const("causal", np.triu(np.full((1, 1, tokens, tokens), MASKED), 1))
    for i in range(6):
        with b.scope(f"h.{i}"):
            x = b.add(x, b.attention(b.layer_norm(x), 6, causal))
            x = b.add(x, b.linear(b.gelu(b.linear(b.layer_norm(x), 4 * width)), width))
    return b.finish(logits=b.linear(b.layer_norm(x), 65, bias=False))


def transformer_base() -> onnx.ModelProto:
    """The base encoder and decoder: 6 layers each, 512 wide, 8 heads, 128 tokens in and out, one embedding;
    batch 1."""
    b = Builder("transformer_base")
    tokens, width, vocabulary = 128, 512, 37000
    table = b.weight("embedding", (vocabulary, width))
    positions = b.weight("positions", (tokens, width))
    causal = b.const("causal", np.triu(np.full((1, 1, tokens, tokens), MASKED), 1))

    def embedded(name: str) -> str:
        ids = b.input(name, (1, tokens), TensorProto.INT64)
        x = b.op("Gather", [table, ids], (1, tokens, width), dtype=b.dtype)
        return b.add(b.mul(x, b.const("scale", width**0.5)), positions)

    def forward(x: str) -> str:
        return b.layer_norm(b.add(x, b.linear(b.relu(b.linear(x, 4 * width)), width)))

    memory = embedded("source_ids")
    for i in range(6):
        with b.scope(f"encoder{i}"):
            memory = forward(b.layer_norm(b.add(memory, b.attention(memory, 8))))
    x = embedded("target_ids")
    for i in range(6):
        with b.scope(f"decoder{i}"):
            x = b.layer_norm(b.add(x, b.attention(x, 8, causal)))
            x = forward(b.layer_norm(b.add(x, b.attention(x, 8, memory=memory))))
    flat = b.op("Reshape", [x, b.const("shape", [tokens, width], np.int64)], (tokens, width))
    logits = b.op("Gemm", [flat, table], (tokens, vocabulary), transB=1)
    return b.finish(probabilities=b.softmax(logits))


def vit_b16() -> onnx.ModelProto:
    """ViT-B/16 at 224 px: 12 pre-norm blocks, 768 wide, 12 heads, a class token; batch 1."""
    b = Builder("vit_b16")
    width, tokens = 768, 196
    x = b.conv(b.input("image", (1, 3, 224, 224)), width, 16, 16, pad=0)
    x = b.transpose(b.reshape(x, (width, tokens)), (0, 2, 1))
    x = b.concat([b.weight("class", (1, 1, width)), x])
    x = b.add(x, b.weight("positions", (tokens + 1, width)))
    for i in range(12):
        with b.scope(f"block{i}"):
            x = b.add(x, b.attention(b.layer_norm(x), 12))
            x = b.add(x, b.linear(b.gelu(b.linear(b.layer_norm(x), 4 * width)), width))
    first = b.op("Gather", [b.layer_norm(x), b.const("first", 0, np.int64)], (1, width), axis=1)
    return b.finish(logits=b.gemm(first, 1000))


def vit_ti16() -> onnx.ModelProto:
    """ViT-Ti/16 at 224 px: 12 pre-norm blocks, 192 wide, 3 heads, tokens averaged before the head."""
    b = Builder("vit_ti16")
    width, tokens = 192, 196
    x = b.conv(b.input("image", (BATCH, 3, 224, 224)), width, 16, 16, pad=0)
    x = b.transpose(b.reshape(x, (width, tokens)), (0, 2, 1))
    x = b.add(x, b.weight("positions", (tokens, width)))
    for i in range(12):
        with b.scope(f"block{i}"):
            x = b.add(x, b.attention(b.layer_norm(x), 3))
            x = b.add(x, b.linear(b.gelu(b.linear(b.layer_norm(x), 4 * width)), width))
    axes = b.const("axes", [1], np.int64)
    mean = b.op("ReduceMean", [b.layer_norm(x), axes], (BATCH, width), keepdims=0)
    return b.finish(logits=b.gemm(mean, 1000))


RECIPES = (
    Recipe("bert_small", "transformer", "float32",
           "Devlin et al. 2018, arXiv 1810.04805; Turc et al. 2019, arXiv 1908.08962 (Small)",
           "BERT-Small encoder, 128 tokens", bert_small),
    Recipe("gpt2_char", "transformer", "float32",
           "Radford et al. 2019 (GPT-2); size of nanoGPT's character-level Shakespeare model",
           "GPT-2 blocks, 6 layers, prefill of 128 tokens", gpt2_char),
    Recipe("vit_ti16", "transformer", "float32",
           "Dosovitskiy et al. 2020, arXiv 2010.11929; tokens averaged: Beyer et al. 2022, arXiv 2205.01580",
           "ViT-Ti/16, 224 px", vit_ti16),
)  # fmt: skip
