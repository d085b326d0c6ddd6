"""Encoder-decoder transformers: what the encoder makes is read by each block of the decoder, whose first ops need none of it."""

from __future__ import annotations

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from tests.graphs import graph_of


def encoder_decoder(
    encoders: int, decoders: int, tokens: int = 64, width: int = 384, heads: int = 8, wide: int = 4
) -> Graph:
    """So many blocks of each (Vaswani et al. 2017), a byte an element, batch 1, weights left out.

    `width` elements stand for a token, `wide` times as many between the two linear ops of a block.
    """
    row, scores = tokens * width, heads * tokens * tokens
    tensors, ops = [Tensor("source", row, "input"), Tensor("target", row, "input")], []

    def op(kind: str, *reads: str, nbytes: int = row) -> str:
        out = f"{kind}{len(ops)}"
        ops.append(Op(f"op{len(ops)}", kind, reads, (out,)))
        tensors.append(Tensor(out, nbytes))
        return out

    def attend(x: str, memory: str) -> str:
        query, key, value = op("Linear", x), op("Linear", memory), op("Linear", memory)
        weights = op("Softmax", op("MatMul", query, key, nbytes=scores), nbytes=scores)
        return op("Norm", op("Add", op("Linear", op("MatMul", weights, value)), x))

    def feed_forward(x: str) -> str:
        return op("Norm", op("Add", op("Linear", op("Linear", x, nbytes=wide * row)), x))

    memory = "source"
    for _ in range(encoders):
        memory = feed_forward(attend(memory, memory))
    x = "target"
    for _ in range(decoders):
        x = feed_forward(attend(attend(x, x), memory))
    tensors[-1] = Tensor(x, row, "output")
    return graph_of(f"encoder_decoder_{encoders}_{decoders}", tuple(tensors), tuple(ops))
