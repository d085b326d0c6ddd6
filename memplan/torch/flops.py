"""Floating-point operations of torch ops; a multiply-accumulate counts as two.

First by the formula that is registered for the op with torch's FlopCounterMode (a user's own too, see
`torch.utils.flop_counter.register_flop_formula`); then by the op's definition, where it is named below or
tagged as elementwise (one operation an element, four where a transcendental function is evaluated, as for
ONNX); then as the sum over what the op decomposes into. Unknown kinds give None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._decomp import decomposition_table
from torch._ops import HigherOrderOperator, OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

MOVEMENT = frozenset(
    """arange cat clone constant_pad_nd contiguous copy embedding empty eye fill flip full full_like gather
    alias index index_copy index_put _unsafe_index _unsafe_index_put index_select lift_fresh lift_fresh_copy masked_fill
    new_empty new_full new_ones new_zeros empty_like empty_permuted empty_strided ones ones_like pad pixel_shuffle
    pixel_unshuffle repeat repeat_interleave reshape roll scalar_tensor scatter select_backward select_scatter
    slice_backward slice_scatter stack tril triu _unsafe_view upsample_nearest1d upsample_nearest2d upsample_nearest3d
    where zero zeros zeros_like _to_copy to""".split()
)
TRANSCENDENTAL = frozenset(
    """acos asin atan atan2 cos cosh elu erf exp expm1 gelu gelu_backward hardswish log log1p log2 mish pow
    rsqrt sigmoid sigmoid_backward silu silu_backward sin sinh softplus sqrt tan tanh tanh_backward""".split()
)
PER_OUTPUT = {
    "layer_norm": 8, "native_layer_norm": 8, "native_group_norm": 8, "group_norm": 8, "rms_norm": 5, "_fused_rms_norm": 5,
    "softmax": 5, "_softmax": 5, "log_softmax": 6, "_log_softmax": 6, "_softmax_backward_data": 4, "_log_softmax_backward_data": 4,
    "native_layer_norm_backward": 16, "native_group_norm_backward": 16, "native_batch_norm_backward": 12,
    "batch_norm_backward": 12, "addr": 3, "native_dropout": 2, "native_dropout_backward": 2, "addcmul": 3, "addcdiv": 3,
    "embedding_dense_backward": 1, "max_pool2d_with_indices_backward": 1,
}  # fmt: skip
"""Operations per element of the first output."""
REDUCTIONS = frozenset(
    """all amax amin any argmax argmin cummax cumprod cumsum max mean min norm prod std sum sum_to_size topk var var_mean
    nll_loss_forward nll_loss nll_loss_backward linalg_vector_norm avg_pool2d_backward _adaptive_avg_pool2d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d""".split()
)
"""One operation per element of the first operand (per window element for pools)."""


def flops(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int | None:
    """Flops of one call of an op on fake operands `args`, `kwargs` that gave `result`."""
    known = _direct(target, args, kwargs, result)
    if known is None and isinstance(target, OpOverload):
        return _of_parts(target, args, kwargs)
    return known


def _direct(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int | None:
    """Flops by a formula for the op itself."""
    for count in (_registered, _defined):
        try:
            found = count(target, args, kwargs, result)
        except Exception:  # a form of the op that the formula, perhaps a user's, does not know
            continue
        if found is not None:
            return found
    return None


def _registered(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int | None:
    whole = target if isinstance(target, HigherOrderOperator) else target.overloadpacket
    formula = flop_registry.get(whole)
    return None if formula is None else int(formula(*args, **kwargs, out_val=result))


def _product(args: Sequence[Any], out: Any) -> int:
    """Every element of the result sums over the last axis of the first operand."""
    return 2 * int(args[0].shape[-1]) * int(out.numel())


def _linear(args: Sequence[Any], out: Any) -> int:
    biased = len(args) > 2 and args[2] is not None
    return _product(args, out) + int(biased) * int(out.numel())


def _convolution(args: Sequence[Any], out: Any) -> int:
    return int(2 * out.numel() * math.prod(args[1].shape[1:]))


def _transposed(args: Sequence[Any], out: Any) -> int:
    """Every element of the input meets the whole kernel of its group once."""
    return int(2 * args[0].numel() * math.prod(args[1].shape[1:]))


def _grouped(args: Sequence[Any], out: Any) -> int:
    """Products of groups; two matrices are cut along the axis that is summed over, each part to a product."""
    a, b = args[:2]
    groups = out.shape[0] if a.dim() == b.dim() == 2 else 1
    return _product(args, out) // int(groups)


def _attention(args: Sequence[Any], out: Any) -> int:
    """Two products and a softmax of 5 operations a score."""
    q, k = args[:2]
    return int(math.prod(q.shape[:-1]) * k.shape[-2] * (2 * q.shape[-1] + 2 * out.shape[-1] + 5))


def _attention_backward(args: Sequence[Any], out: Any) -> int:
    """Five products instead of two."""
    q, k = args[1:3]
    return int(math.prod(q.shape[:-1]) * k.shape[-2] * (10 * q.shape[-1] + 8))


def _recurrent(args: Sequence[Any], out: Any) -> int:
    """Every row of a sequence meets all matrices, and each gate is worth 3 operations an element, as for ONNX."""
    lists = [x for x in args if isinstance(x, (tuple, list)) and x and isinstance(x[0], torch.Tensor)]
    matrices = [w for w in (lists[-1] if lists else args[1:3]) if w.dim() == 2]
    gates = matrices[0].shape[0]  # of all gates together; a projection has fewer
    cells = sum(w.shape[0] == gates for w in matrices) // 2
    rows = args[0].numel() // args[0].shape[-1]
    return int(rows * (2 * sum(w.numel() for w in matrices) + 3 * cells * gates))


def _sorted(args: Sequence[Any], out: Any) -> int:
    """n log n comparisons along an axis, the last one unless another is given."""
    axis = next((a for a in args[1:] if type(a) is int), -1)
    length = args[0].shape[axis] if args[0].dim() else 1
    return int(args[0].numel()) * max(1, length - 1).bit_length()


DEFINITIONS: dict[str, Callable[[Sequence[Any], Any], int]] = {
    "linear": _linear, "matmul": _product, "mv": _product, "dot": _product, "vdot": _product,
    "addbmm": lambda args, out: 2 * int(args[1].numel()) * int(args[2].shape[-1]),
    "bilinear": lambda args, out: 2 * int(args[2].numel()) * (int(args[0].numel()) // int(args[0].shape[-1])),
    "cdist": lambda args, out: 3 * int(args[0].shape[-1]) * int(out.numel()),
    "conv1d": _convolution, "conv2d": _convolution, "conv3d": _convolution,
    "conv_transpose1d": _transposed, "conv_transpose2d": _transposed, "conv_transpose3d": _transposed,
    "_grouped_mm": _grouped, "_scaled_grouped_mm": _grouped,
    "scaled_dot_product_attention": _attention, "_scaled_dot_product_attention_math": _attention,
    "_scaled_dot_product_flash_attention_for_cpu": _attention, "_scaled_dot_product_fused_attention_overrideable": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "lstm": _recurrent, "gru": _recurrent, "rnn_tanh": _recurrent, "rnn_relu": _recurrent,
    "_cudnn_rnn": _recurrent, "mkldnn_rnn_layer": _recurrent,
    "sort": _sorted, "argsort": _sorted, "msort": _sorted,
}  # fmt: skip
"""Flops from an op's operands and its first result."""


def _defined(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int | None:
    if not isinstance(target, OpOverload):
        return None
    name = target.overloadpacket.__name__.rstrip("_")
    out = result[0] if isinstance(result, (tuple, list)) else result
    if name in DEFINITIONS:
        return DEFINITIONS[name](args, out)
    if name in MOVEMENT:
        return 0
    if name in ("batch_norm", "native_batch_norm") or name.startswith("_native_batch_norm"):
        training = any(a is True for a in args)  # statistics cost four more operations an element
        return int((8 if training else 2) * out.numel())
    if name in PER_OUTPUT:
        return int(PER_OUTPUT[name] * out.numel())
    if name.startswith(("max_pool", "avg_pool")) and not name.endswith("backward"):
        window = args[1] if isinstance(args[1], (tuple, list)) else [args[1]]
        dims = int(name[len("max_pool")])  # a square window may be given by one number
        return int(out.numel() * (window[0] ** dims if len(window) == 1 else math.prod(window)))
    if name in TRANSCENDENTAL:
        return int(4 * out.numel())
    if name in REDUCTIONS:
        return int(args[0].numel())
    return int(out.numel()) if torch.Tag.pointwise in target.tags else None


def _of_parts(target: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int | None:
    """Flops of what an op decomposes into under its operands' fake mode, None where a part is unknown."""
    modes = [x.fake_mode for x in tree_leaves((args, dict(kwargs))) if isinstance(x, FakeTensor)]
    if not modes:
        return None
    parts = _Parts()
    try:
        with modes[0], torch.no_grad(), parts:
            target(*args, **kwargs)
    except Exception:  # no decomposition works on fake operands
        return None
    return parts.total


class _Parts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the flops of all ops called under it; `total` becomes None at the first that is unknown."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int | None = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        makes_bytes = not func.is_view and any(isinstance(x, torch.Tensor) for x in tree_leaves(result))
        found = _direct(func, args, kwargs, result) if makes_bytes else 0
        if found is None and func in decomposition_table:
            with self:
                return decomposition_table[func](*args, **kwargs)
        self.total = None if found is None or self.total is None else self.total + found
        return result
