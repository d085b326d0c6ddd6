"""The nodes of tiles, kind by kind: cut along every axis into tiles of several sizes they give what the whole op gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from memplan import ExecutionError, OptionError, Region
from memplan.ir.needs import cut_axes
from memplan.onnx.read import model_from_proto
from memplan.onnx.tiled import tiled_proto
from memplan.tiling.derive import derive
from tests.onnx.test_needs import CASES
from tests.onnx_models import model, value, weight
from tests.tiling.models import node
from tests.tiling.poisoned import garbage, session

IMAGE = (1, 4, 9, 8)
KERNEL = np.random.default_rng(1).standard_normal((4, 4, 3, 3), np.float32)
INTEGERS = {"shape": [1, 4, 9, 8], "wide": [3, 4, 9, 8], "flat": [1, 4, 72], "pads": [0, 0, 1, 2, 0, 0, 3, 0]}
INTEGERS |= {"crop": [0, 0, -1, 1, 0, 0, 2, -2], "from": [1, -6], "to": [3, 8], "at": [1, 2], "steps": [1, 2]}
INTEGERS |= {
    "back": [-1],
    "end": [-100],
    "down": [-2],
    "rows": [2],
    "doubled": [1, 4, 18, 24],
    "spatial": [18, 16],
}
FLOATS = {"scales": np.array([1, 1, 2, 3], np.float32), "w": KERNEL, "w1": KERNEL[:, :, :, 0]}
WHOLE_FACTORS = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}

KINDS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "convolution": (("Conv", ["a", "w"], {"pads": [1, 0, 2, 1], "strides": [2, 1]}), IMAGE),
    "convolution, padded by itself": (("Conv", ["a", "w"], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}), IMAGE),
    "convolution of one axis": (("Conv", ["a", "w1"], {"pads": [2, 2], "dilations": [2]}), (1, 4, 9)),
    "pool that rounds up": (("MaxPool", ["a"], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}), IMAGE),
    "pool": (("AveragePool", ["a"], {"kernel_shape": [3, 2], "pads": [1, 1, 1, 0]}), IMAGE),
    "transposed": (("ConvTranspose", ["a", "w"], {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}), IMAGE),
    "transposed, padded by itself": (("ConvTranspose", ["a", "w"], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}), IMAGE),
    "transposed to a shape": (("ConvTranspose", ["a", "w"], {"strides": [2, 2], "output_shape": [18, 15]}), IMAGE),
    "padding": (("Pad", ["a", "pads"], {}), IMAGE),
    "cropping": (("Pad", ["a", "crop"], {}), IMAGE),
    "reflection": (("Pad", ["a", "pads"], {"mode": "reflect"}), IMAGE),
    "nearest by scales": (("Resize", ["a", "", "scales"], {"mode": "nearest", **WHOLE_FACTORS}), IMAGE),
    "nearest by sizes": (("Resize", ["a", "", "", "doubled"], {"mode": "nearest", **WHOLE_FACTORS}), IMAGE),
    "nearest by some sizes": (("Resize", ["a", "", "", "spatial"], {"mode": "nearest", "axes": [2, 3], **WHOLE_FACTORS}), IMAGE),
    "linear": (("Resize", ["a", "", "scales"], {"mode": "linear"}), IMAGE),
    "slice": (("Slice", ["a", "from", "to", "at", "steps"], {}), IMAGE),
    "slice backwards": (("Slice", ["a", "back", "end", "rows", "down"], {}), IMAGE),
    "expansion": (("Expand", ["a", "wide"], {}), IMAGE),
    "reshape": (("Reshape", ["a", "flat"], {}), IMAGE),
    "flatten": (("Flatten", ["a"], {"axis": 2}), (1, 4, 9, 8)),
    "squeeze": (("Squeeze", ["a"], {}), IMAGE),
}  # fmt: skip


UNTILED = {
    "slice 9": "an opset without the Slice that tiled models have",
    "conv transpose gaps": "elements between, which nothing reaches",
    "nearest corners": "cut along axes with one element only",
    "split": "several results that are wanted outside",
}
"""Cases that no tiling cuts, and why."""


def net(kind: str, shape: tuple[int, ...]) -> ModelProto:
    """The op, between two that are cut with it."""
    (op, operands, attributes), _ = KINDS[kind]
    nodes = [
        node("Neg", ["x"], ["a"], name="before"),
        node(op, operands, ["b"], name="op", **attributes),
        node("Neg", ["b"], ["y"], name="behind"),
    ]
    read = set(operands)
    weights = [weight(name, np.array(numbers)) for name, numbers in INTEGERS.items() if name in read]
    weights += [weight(name, numbers) for name, numbers in FLOATS.items() if name in read]
    return model(nodes, [value("x", shape)], [value("y", None)], weights, opset=18)


def cut_everywhere(proto: ModelProto, first: str, last: str) -> int:
    """Cut the ops along every axis, and compare what the tiles give; in how many tilings `op` was cut."""
    whole = model_from_proto(proto, "net", ".", {})
    rng = np.random.default_rng(2)
    fed = {
        t.name: garbage(t.dtype or "", t.shape or (), rng) for t in whole.graph.tensors if t.kind == "input"
    }
    expected = session(proto).run(None, fed)
    seen = 0
    for axis in sorted(cut_axes(whole.graph.ops[-1])):
        for size in (1, 2, 5):
            tiling = (Region((first, last), (axis,), (size,)),)
            try:
                derived = derive(whole.graph, tiling)
            except OptionError:  # a tile of nothing but padding
                continue
            tiled = tiled_proto(whole, tiling, [op.name for op in derived.ops])
            for one, other in zip(session(tiled).run(None, fed), expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4, err_msg=f"{axis}, {size}")
            seen += any(op.tile is not None and op.tile[0] == "op" for op in derived.ops)
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_between_others_give_what_the_whole_gives(kind: str) -> None:
    seen = cut_everywhere(net(kind, KINDS[kind][1]), "before", "behind")
    assert seen or kind in ("transposed, padded by itself", "transposed to a shape")


@pytest.mark.slow(reason="reads many models")
@pytest.mark.parametrize("kind", CASES)
def test_tiles_of_every_kind_give_what_the_whole_op_gives(kind: str) -> None:
    if kind in UNTILED:
        pytest.skip(UNTILED[kind])
    assert cut_everywhere(CASES[kind], "op", "op")


def test_a_tile_that_no_node_computes_alone_is_refused() -> None:
    """A stride longer than the kernel leaves elements between that nothing reaches."""
    nodes = [
        node("Neg", ["x"], ["a"], name="before"),
        node("ConvTranspose", ["a", "w"], ["y"], name="op", strides=[3, 3]),
    ]
    proto = model(nodes, [value("x", IMAGE)], [value("y", None)], [weight("w", KERNEL[:, :, :1, :1])])
    whole = model_from_proto(proto, "net", ".", {})
    tiling = (Region(("before", "op"), (2,), (4,)),)
    with pytest.raises(ExecutionError, match="begins with elements that no operand reaches"):
        tiled_proto(whole, tiling, [op.name for op in derive(whole.graph, tiling).ops])
