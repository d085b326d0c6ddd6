"""Transformers as torch.export sees them: encoder, prefill, and single decoding steps over a cache."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memplan_models.recipes.torch_builder import TorchRecipe, exported, ids


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(batch, steps, heads x size) as (batch, heads, steps, size), a view."""
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """The inverse of `split_heads`; copies."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


class BertLayer(nn.Module):
    """Self-attention and a feed-forward part, each added and normalised behind (Devlin et al. 2019)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-12), nn.LayerNorm(width, eps=1e-12)
        self.wide, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (split_heads(f(x), self.heads) for f in (self.query, self.key, self.value))
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.shape[-1]) + mask
        x = self.norm1(x + self.out(join_heads(torch.matmul(scores.softmax(-1), v))))
        return self.norm2(x + self.narrow(F.gelu(self.wide(x))))


class Bert(nn.Module):
    """The encoder with its pooler: token ids, token types and a mask of ones and zeros in."""

    def __init__(self, layers: int, width: int, heads: int, vocabulary: int, positions: int = 512) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(positions, width)
        self.types, self.norm = nn.Embedding(2, width), nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(width, heads, 4 * width) for _ in range(layers))
        self.pooler = nn.Linear(width, width)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> Any:
        places = self.places(torch.arange(input_ids.shape[1]))
        x = self.norm(self.words(input_ids) + self.types(token_type_ids) + places)
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for layer in self.layers:
            x = layer(x, mask)
        return x, torch.tanh(self.pooler(x[:, 0]))


class Gpt2Layer(nn.Module):
    """Pre-norm attention with one projection for query, key and value (Radford et al. 2019)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(split_heads(part, self.heads) for part in self.qkv(self.norm1(x)).split(x.shape[-1], -1))

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.out(join_heads(attended))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x)), approximate="tanh"))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.project(x)
        return self.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True)), k, v


class Gpt2(nn.Module):
    """GPT-2 with tied embeddings. `steps` > 0 makes a cache of that many steps for decoding."""

    def __init__(
        self, layers: int, width: int, heads: int, vocabulary: int, positions: int = 1024, steps: int = 0
    ) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(positions, width)
        self.layers = nn.ModuleList(Gpt2Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for i in range(layers if steps else 0):
            self.register_buffer(f"keys{i}", torch.zeros(1, heads, steps, width // heads))
            self.register_buffer(f"values{i}", torch.zeros(1, heads, steps, width // heads))

    def logits(self, x: Tensor) -> Tensor:
        return F.linear(self.norm(x[:, -1:]), self.words.weight)


class Gpt2Prefill(Gpt2):
    """Reads a prompt: the logits of the next token, and every layer's keys and values."""

    def forward(self, input_ids: Tensor) -> Any:
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        cache = []
        for layer in self.layers:
            x, k, v = layer(x)
            cache += [k, v]
        return self.logits(x), *cache


class Gpt2Decode(Gpt2):
    """One more token at `position`: its keys and values are written into the cache in place."""

    def forward(self, input_ids: Tensor, position: Tensor) -> Tensor:
        x = self.words(input_ids) + self.places(position)
        for i, layer in enumerate(self.layers):
            q, k, v = layer.project(x)
            keys, values = getattr(self, f"keys{i}"), getattr(self, f"values{i}")
            keys.index_copy_(2, position, k)
            values.index_copy_(2, position, v)
            seen = torch.arange(keys.shape[2]) <= position
            x = layer.finish(
                x, F.scaled_dot_product_attention(q, keys, values, attn_mask=seen[None, None, None])
            )
        return self.logits(x)


class RmsNorm(nn.Module):
    """Root-mean-square normalisation (Zhang & Sennrich 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding, halves against halves (Su et al. 2021)."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class LlamaBlock(nn.Module):
    """Grouped-query attention and SwiGLU with a cache, as in Llama (Touvron et al. 2023)."""

    def __init__(self, width: int, heads: int, groups: int, hidden: int, steps: int) -> None:
        super().__init__()
        self.heads, self.groups, size = heads, groups, width // heads
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = (nn.Linear(width, groups * size, bias=False) for _ in range(2))
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.register_buffer("keys", torch.zeros(1, groups, steps, size))
        self.register_buffer("values", torch.zeros(1, groups, steps, size))

    def forward(self, x: Tensor, position: Tensor, cos: Tensor, sin: Tensor, seen: Tensor) -> Tensor:
        y = self.norm1(x)
        q = rotate(split_heads(self.query(y), self.heads), cos, sin)
        k = rotate(split_heads(self.key(y), self.groups), cos, sin)
        self.keys.index_copy_(2, position, k)
        self.values.index_copy_(2, position, split_heads(self.value(y), self.groups))
        repeat = self.heads // self.groups
        keys, values = (
            t[:, :, None].expand(-1, -1, repeat, -1, -1).reshape(1, self.heads, t.shape[2], -1)
            for t in (self.keys, self.values)
        )
        scores = (q @ keys.transpose(-1, -2)) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~seen, float("-inf"))
        x = x + self.out(join_heads(scores.softmax(-1) @ values))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class LlamaDecode(nn.Module):
    """Blocks and head of one decoding step; the table of rotation angles is computed from the position."""

    def __init__(
        self, layers: int, width: int, heads: int, groups: int, hidden: int, vocabulary: int, steps: int
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(LlamaBlock(width, heads, groups, hidden, steps) for _ in range(layers))
        self.norm, self.head = RmsNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.size, self.steps = width // heads, steps

    def forward(self, input_ids: Tensor, position: Tensor) -> Tensor:
        rates = 10000.0 ** (-torch.arange(0, self.size, 2, dtype=torch.float32) / self.size)
        angles = torch.cat([position.to(torch.float32)[:, None] * rates] * 2, -1)
        seen = torch.arange(self.steps) <= position
        x = self.words(input_ids)
        for block in self.blocks:
            x = block(x, position, angles.cos(), angles.sin(), seen)
        return self.head(self.norm(x))


def bert_base(
    layers: int = 12, width: int = 768, heads: int = 12, vocabulary: int = 30522, steps: int = 128
) -> Any:
    """The encoder on one sequence."""
    inputs = ids(1, steps), ids(1, steps), ids(1, steps)
    return exported(lambda: Bert(layers, width, heads, vocabulary), *inputs)


def gpt2_prefill(
    layers: int = 12, width: int = 768, heads: int = 12, vocabulary: int = 50257, steps: int = 128
) -> Any:
    """A prompt of `steps` tokens."""
    return exported(lambda: Gpt2Prefill(layers, width, heads, vocabulary), ids(1, steps))


def gpt2_decode(
    layers: int = 12, width: int = 768, heads: int = 12, vocabulary: int = 50257, steps: int = 256
) -> Any:
    """One token over a cache of `steps`."""
    return exported(lambda: Gpt2Decode(layers, width, heads, vocabulary, steps=steps), ids(1, 1), ids(1))


def llama_decode(
    layers: int = 4, width: int = 512, heads: int = 8, groups: int = 2, hidden: int = 1376, steps: int = 512
) -> Any:
    """One token through a small Llama."""
    return exported(lambda: LlamaDecode(layers, width, heads, groups, hidden, 8000, steps), ids(1, 1), ids(1))


RECIPES = (
    TorchRecipe("torch_bert_base", "transformer", "float32", "Devlin et al. 2019, arXiv 1810.04805",
                "BERT-base encoder, 128 tokens, from torch.export", bert_base),
    TorchRecipe("torch_gpt2_prefill", "llm", "float32", "Radford et al. 2019 (GPT-2)",
                "GPT-2 small reading a prompt of 128 tokens, from torch.export", gpt2_prefill),
    TorchRecipe("torch_gpt2_decode", "llm", "float32", "Radford et al. 2019 (GPT-2)",
                "GPT-2 small, one decoding step over a KV cache of 256 steps updated in place", gpt2_decode),
    TorchRecipe("torch_llama_decode", "llm", "float32", "Touvron et al. 2023, arXiv 2302.13971",
                "four Llama blocks with grouped queries, one decoding step over a KV cache of 512 steps", llama_decode),
)  # fmt: skip
