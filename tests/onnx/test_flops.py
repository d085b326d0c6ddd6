"""Flops of ONNX nodes from their operands' shapes, worked out by hand; a multiply-accumulate counts as two."""

from __future__ import annotations

from typing import Any

import pytest

from memplan.onnx.flops import flops

Case = tuple[str, list[tuple[int, ...] | None], tuple[int, ...], dict[str, Any], int]

TABLE: list[Case] = [
    # a product however it is written
    ("MatMul", [(5, 2, 3), (5, 3, 4)], (5, 2, 4), {}, 2 * 5 * 2 * 3 * 4),
    ("Einsum", [(5, 2, 3), (5, 3, 4)], (5, 2, 4), {"equation": b"bij,bjk->bik"}, 2 * 5 * 2 * 3 * 4),
    ("Einsum", [(5, 2, 3), (5, 3, 4)], (5, 2, 4), {"equation": b"...ij, ...jk -> ...ik"}, 2 * 5 * 2 * 3 * 4),
    ("Einsum", [(7, 5, 2, 3), (5, 3, 4)], (7, 5, 2, 4), {"equation": b"...ij,...jk"}, 2 * 7 * 5 * 2 * 3 * 4),
    ("Einsum", [(1, 2, 3), (5, 3, 4)], (5, 2, 4), {"equation": b"...ij,...jk->...ik"}, 2 * 5 * 2 * 3 * 4),
    ("Einsum", [(2, 5, 3), (3, 4)], (2, 5, 4), {"equation": b"i...j,jk->i...k"}, 2 * 5 * 2 * 3 * 4),
    ("TransposeMatMul", [(3, 2), (3, 4)], (2, 4), {"transA": 1}, 2 * 2 * 3 * 4),
    ("FusedMatMul", [(2, 5, 3), (5, 3, 4)], (5, 2, 4), {"transBatchA": 1}, 2 * 5 * 2 * 3 * 4),
    ("FusedMatMul", [(3, 5, 2), (5, 3, 4)], (5, 2, 4), {"transBatchA": 1, "transA": 1}, 2 * 5 * 2 * 3 * 4),
    ("FusedMatMulActivation", [(2, 3), (3, 4)], (2, 4), {}, 2 * 2 * 3 * 4),
    ("MatMulInteger16", [(2, 3), (3, 4)], (2, 4), {}, 2 * 2 * 3 * 4),
    ("MatMulBnb4", [(2, 64), (128,), (4,)], (2, 4), {"K": 64, "N": 4}, 2 * 2 * 64 * 4),
    ("GemmFastGelu", [(2, 3), (3, 4), (4,)], (2, 4), {}, 2 * 2 * 3 * 4 + 4 * 8),
    ("GemmFloat8", [(2, 3), (3, 4), (4,)], (2, 4), {}, 2 * 2 * 3 * 4 + 8),
    # convolutions: (C_in / group) x kernel per output, (C_out / group) x kernel per input where transposed
    ("NhwcConv", [(1, 8, 8, 6), (4, 3, 3, 3)], (1, 6, 6, 4), {"group": 2}, 2 * 144 * 3 * 9),
    ("NhwcFusedConv", [(1, 8, 8, 6), (4, 6, 3, 3)], (1, 6, 6, 4), {}, 2 * 144 * 6 * 9),
    ("DeformConv", [(1, 6, 8, 8), (4, 6, 3, 3)], (1, 4, 6, 6), {}, 2 * 144 * 6 * 9),
    ("ConvTranspose", [(1, 6, 5, 5), (6, 4, 3, 3)], (1, 4, 7, 7), {}, 2 * 150 * 4 * 9),
    ("ConvTranspose", [(1, 6, 5, 5), (6, 2, 3, 3)], (1, 4, 7, 7), {"group": 2}, 2 * 150 * 2 * 9),
    ("CausalConvWithState", [(2, 3, 7), (3, 1, 4)], (2, 3, 7), {}, 2 * 42 * 4),
    ("NhwcMaxPool", [(1, 8, 8, 6)], (1, 4, 4, 6), {"kernel_shape": (2, 3)}, 96 * 6),
    # recurrences: (steps, batch, features) by gates x H x (I + H), and 3 per gate and unit
    ("LSTM", [(5, 2, 6), (1, 12, 6), (1, 12, 3)], (5, 1, 2, 3), {}, 10 * (2 * 4 * 3 * (6 + 3) + 3 * 4 * 3)),
    (
        "DynamicQuantizeLSTM", [(5, 2, 6), (1, 6, 12), (1, 3, 12)], (5, 1, 2, 3), {},
        10 * (2 * 4 * 3 * (6 + 3) + 3 * 4 * 3),
    ),
    # attention: projections, then per head 2 (d_qk + d_v) and 5 of softmax for each pair of query and key
    (
        "PackedAttention", [(7, 8), (8, 24), (24,), (2, 5), (3,)], (7, 8), {"num_heads": 2},
        7 * 2 * 8 * 24 + 7 * 5 * 2 * (2 * 4 + 2 * 4 + 5),
    ),
    (
        "DecoderMaskedSelfAttention", [(3, 1, 8), (8, 24), None, None, (2, 3, 2, 9, 4)], (3, 1, 8),
        {"num_heads": 2}, 3 * 2 * 8 * 24 + 3 * 10 * 2 * (2 * 4 + 2 * 4 + 5),
    ),
    (
        "DecoderMaskedMultiHeadAttention",
        [(3, 1, 8), (3, 1, 8), (3, 1, 8), None, None, (3, 2, 9, 4), (3, 2, 9, 4)], (3, 1, 8),
        {"num_heads": 2}, 3 * 2 * 10 * (2 * 4 + 2 * 4 + 5),
    ),
    (
        "DecoderMaskedMultiHeadAttention",
        [(3, 1, 8), (3, 1, 8), (3, 1, 8), None, None, (3, 2, 9, 4), (3, 2, 9, 4)], (3, 1, 8),
        {"num_heads": 2, "past_present_share_buffer": 1}, 3 * 2 * 9 * (2 * 4 + 2 * 4 + 5),
    ),
    # experts: each token meets k of them; the choice is a softmax over all
    ("MoE", [(2, 3, 8), (6, 4), (4, 8, 16), None, (4, 16, 8)], (2, 3, 8), {"k": 2}, 2 * 6 * 2 * 256 + 5 * 24),
    (
        "MoE", [(6, 8), (6, 4), (4, 8, 16), None, (4, 16, 8), None, (4, 8, 16)], (6, 8), {},
        2 * 6 * 384 + 5 * 24,
    ),
    (
        "QMoE", [(6, 8), (6, 4), (4, 16, 4), (4, 16), None, (4, 8, 8), (4, 8)], (6, 8),
        {"expert_weight_bits": 4}, 2 * 6 * 256 + 5 * 24,
    ),
    # per element
    ("QLinearReduceMean", [(2, 3, 4), (), None, (), None], (2, 3), {}, 24),
    ("QLinearWhere", [(2, 3), (2, 3), (), None, (1, 3)], (2, 3), {}, 6),
    ("GroupNorm", [(2, 4, 4, 8), (8,), (8,)], (2, 4, 4, 8), {"groups": 2}, 8 * 256),
    ("SkipGroupNorm", [(2, 4, 4, 8), (8,), (8,), (2, 4, 4, 8)], (2, 4, 4, 8), {"groups": 2}, 9 * 256),
    ("SwiGLU", [(2, 3), (2, 3)], (2, 3), {}, 5 * 6),
    ("Det", [(5, 3, 3)], (5,), {}, 5 * 18),
    ("AffineGrid", [(2, 2, 3), (4,)], (2, 5, 6, 2), {}, 2 * 3 * 120),
    ("RoiAlign", [(1, 3, 8, 8), (2, 4), (2,)], (2, 3, 5, 5), {"sampling_ratio": 2}, 8 * 4 * 150),
    ("NegativeLogLikelihoodLoss", [(4, 9), (4,)], (), {}, 8),
    ("SoftmaxCrossEntropyLoss", [(4, 9), (4,)], (), {}, 6 * 36),
    ("TensorScatter", [(2, 9, 4), (2, 1, 4)], (2, 9, 4), {}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "inputs", "output", "attributes", "count"), TABLE)
def test_flops_worked_out_by_hand(
    kind: str,
    inputs: list[tuple[int, ...] | None],
    output: tuple[int, ...],
    attributes: dict[str, Any],
    count: int,
) -> None:
    assert flops(kind, inputs, [output], attributes) == count


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes"),
    [
        ("RoiAlign", [(1, 3, 8, 8), (2, 4), (2,)], {"sampling_ratio": 0}),  # as many samples as a region asks
        ("Einsum", [(2, 3), (3, 4)], {"equation": b"...ijk,kl->...il"}),  # more letters than dimensions
        ("MoE", [(6, 8), None, (4, 8, 16)], {}),
        ("PackedAttention", [(7, 8), (8, 24), (24,)], {"num_heads": 2}),
        ("NonMaxSuppression", [(1, 5, 4), (1, 2, 5)], {}),
    ],
)
def test_what_shapes_do_not_tell_stays_unknown(
    kind: str, inputs: list[tuple[int, ...] | None], attributes: dict[str, Any]
) -> None:
    assert flops(kind, inputs, [(2, 3)], attributes) is None
