"""Floating-point operations of aten ops; a multiply-accumulate counts as two.

Products, convolutions and attention by the formulas torch itself keeps for its FlopCounterMode; what
is elementwise by torch's own tag for it, one operation an element, four where a transcendental function is
evaluated (as for ONNX); reductions and normalisations by their definitions. Unknown kinds give None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MOVEMENT = frozenset(
    """arange cat clone constant_pad_nd contiguous copy embedding empty eye fill flip full full_like gather
    index index_copy index_put index_select lift_fresh_copy masked_fill new_zeros ones ones_like pad
    repeat roll scalar_tensor scatter select_backward select_scatter slice_backward slice_scatter stack tril triu
    upsample_nearest2d where zeros zeros_like _to_copy to""".split()
)
TRANSCENDENTAL = frozenset(
    """acos asin atan atan2 cos cosh elu erf exp expm1 gelu gelu_backward hardswish log log1p log2 mish pow
    rsqrt sigmoid sigmoid_backward silu silu_backward sin sinh softplus sqrt tan tanh tanh_backward""".split()
)
PER_OUTPUT = {
    "layer_norm": 8, "native_layer_norm": 8, "native_group_norm": 8, "group_norm": 8, "rms_norm": 5, "_fused_rms_norm": 5,
    "softmax": 5, "_softmax": 5, "log_softmax": 6, "_log_softmax": 6, "_softmax_backward_data": 4, "_log_softmax_backward_data": 4,
    "native_layer_norm_backward": 16, "native_group_norm_backward": 16, "native_batch_norm_backward": 12,
    "batch_norm_backward": 12, "native_dropout": 2, "native_dropout_backward": 2, "addcmul": 3, "addcdiv": 3,
    "embedding_dense_backward": 1, "max_pool2d_with_indices_backward": 1,
}  # fmt: skip
"""Operations per element of the first output."""
REDUCTIONS = frozenset(
    """amax amin argmax argmin cumsum max mean min norm prod std sum sum_to_size var var_mean nll_loss_forward
    nll_loss nll_loss_backward linalg_vector_norm avg_pool2d_backward _adaptive_avg_pool2d adaptive_avg_pool2d""".split()
)
"""One operation per element of the first operand (per window element for pools)."""


def flops(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int | None:
    """Flops of one call of an aten op on fake operands `args`, `kwargs` that gave `result`."""
    name = target.overloadpacket.__name__.rstrip("_")
    try:
        return _count(target, name, args, kwargs, result)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return None  # a form of the op that the formula does not know


def _count(target: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int | None:
    import torch
    from torch.utils.flop_counter import flop_registry

    out = result[0] if isinstance(result, (tuple, list)) else result
    if name == "linear":
        bias = len(args) > 2 and args[2] is not None
        return int((2 * args[0].shape[-1] + bias) * out.numel())
    if name == "matmul":
        return int(2 * args[0].shape[-1] * out.numel())
    if name in ("conv1d", "conv2d", "conv3d"):
        return int(2 * out.numel() * math.prod(args[1].shape[1:]))
    if name == "conv_transpose2d":
        return int(2 * args[0].numel() * math.prod(args[1].shape[1:]))
    if name in ("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu"):
        q, k = args[0], args[1]
        return int(math.prod(q.shape[:-1]) * k.shape[-2] * (2 * q.shape[-1] + 2 * out.shape[-1] + 5))
    if name == "_scaled_dot_product_flash_attention_for_cpu_backward":  # five products instead of two
        q, k = args[1], args[2]
        return int(math.prod(q.shape[:-1]) * k.shape[-2] * (10 * q.shape[-1] + 8))
    if formula := flop_registry.get(target.overloadpacket):
        return int(formula(*args, **kwargs, out_val=result))
    if name in MOVEMENT:
        return 0
    if name in ("batch_norm", "native_batch_norm") or name.startswith("_native_batch_norm"):
        training = any(a is True for a in args)  # statistics cost four more operations an element
        return int((8 if training else 2) * out.numel())
    if name in PER_OUTPUT:
        return int(PER_OUTPUT[name] * out.numel())
    if name.startswith(("max_pool", "avg_pool")) and not name.endswith("backward"):
        window = args[1] if isinstance(args[1], (tuple, list)) else [args[1]]
        return int(out.numel() * (window[0] ** 2 if len(window) == 1 else math.prod(window)))
    if name in TRANSCENDENTAL:
        return int(4 * out.numel())
    if name in REDUCTIONS:
        return int(args[0].numel())
    return int(out.numel()) if torch.Tag.pointwise in target.tags else None
