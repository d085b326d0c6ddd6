"""What ONNX nodes need that read windows: convolutions, pools, padding, resizing."""

from __future__ import annotations

from collections.abc import Iterator

from memplan.ir.accesses import Axes, along, whole
from memplan.ir.parts import Access
from memplan.onnx.access import Formula, NodeCall
from memplan.onnx.flops_products import Shape


def _windows(call: NodeCall, x: Shape, kernel: Shape) -> Iterator[Access | None]:
    """Along each spatial axis the window that a kernel of this size slides over."""
    rank = len(kernel)
    strides = call.attributes.get("strides", (1,) * rank)
    dilations = call.attributes.get("dilations", (1,) * rank)
    pads = call.attributes.get("pads", (0,) * 2 * rank)
    auto = call.attributes.get("auto_pad", b"NOTSET")
    for k in range(rank):
        extent, stride, size = (kernel[k] - 1) * dilations[k], strides[k], call.result[k + 2]
        before = pads[k] if auto == b"NOTSET" else 0
        if auto in (b"SAME_UPPER", b"SAME_LOWER"):
            lacking = max((size - 1) * stride + extent + 1 - x[k + 2], 0)
            before = lacking // 2 if auto == b"SAME_UPPER" else lacking - lacking // 2
        yield Access(k + 2, stride, before, extent)


def conv(x: int, weight: int, bias: int, vectors: tuple[int, ...] = ()) -> Formula:
    """ONNX Conv and its quantized forms: operands by number, `vectors` those that may have an element a channel.

    Channels of the result can be cut where there is one group, or one for each channel (a depthwise convolution).
    """

    def formula(call: NodeCall) -> list[Axes] | None:
        image, kernel = call.shape(x), call.shape(weight)
        if image is None or kernel is None:
            return None
        group = call.attributes.get("group", 1)
        depthwise = 1 < group == image[1] == call.result[1]
        found = [whole(shape) for shape in call.inputs]
        found[x] = (Access(0), Access(1) if depthwise else None, *_windows(call, image, kernel[2:]))
        if group == 1 or depthwise:
            found[weight] = (Access(1), *whole(kernel[1:]))
            for k in (bias, *vectors):
                if k < len(found):
                    found[k] = along(call.inputs[k], 1, call.result[1])
        return found

    return formula


def conv_transpose(call: NodeCall) -> list[Axes] | None:
    """ONNX ConvTranspose with explicit padding: element o reads (o + pad - k * dilation) / stride where that is whole."""
    if call.attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or "output_shape" in call.attributes:
        return None
    kernel = (call.shape(1) or ())[2:]
    rank = len(kernel)
    strides = call.attributes.get("strides", (1,) * rank)
    dilations = call.attributes.get("dilations", (1,) * rank)
    pads = call.attributes.get("pads", (0,) * 2 * rank)
    axes = []
    for k in range(rank):
        extent = (kernel[k] - 1) * dilations[k] - strides[k] + 1
        axes.append(Access(k + 2, 1, extent - pads[k], extent, strides[k]))
    return [(Access(0), None, *axes), *(whole(shape) for shape in call.inputs[1:])]


def pool(call: NodeCall) -> list[Axes] | None:
    """ONNX MaxPool, AveragePool and LpPool; one whose last windows may begin in the padding works on whole images."""
    x = call.shape(0)
    if x is None or len(call.outputs) > 1:
        return None
    kernel = call.attributes["kernel_shape"]
    windows = whole(kernel) if call.attributes.get("ceil_mode", 0) else tuple(_windows(call, x, kernel))
    return [(Access(0), Access(1), *windows), *(whole(shape) for shape in call.inputs[1:])]


def pad(call: NodeCall) -> list[Axes] | None:
    """ONNX Pad by known amounts: with a constant, else nothing along the axes that it pads."""
    x = call.shape(0) or ()
    pads = call.numbers("pads", 1)
    if pads is None or len(pads) != 2 * len(x):  # unknown amounts, or padding of chosen axes
        return None
    constant = call.attributes.get("mode", b"constant") == b"constant"
    axes = tuple(
        Access(k, before=pads[k]) if constant or pads[k] == pads[k + len(x)] == 0 else None
        for k in range(len(x))
    )
    return [axes, *(whole(shape) for shape in call.inputs[1:])]


def resize(call: NodeCall) -> list[Axes] | None:
    """ONNX Resize by whole factors: copies of the nearest element, or linear between centres."""
    x = call.shape(0) or ()
    mode = call.attributes.get("mode", b"nearest")
    centres = call.attributes.get("coordinate_transformation_mode", b"half_pixel")
    rounding = call.attributes.get("nearest_mode", b"round_prefer_floor")
    halves = centres in (b"half_pixel", b"pytorch_half_pixel", b"half_pixel_symmetric")
    blocks = halves and rounding.startswith(b"round") or centres == b"asymmetric" and rounding == b"floor"
    axes: list[Access | None] = []
    for k, (size, larger) in enumerate(zip(x, call.result, strict=True)):
        factor = larger // max(size, 1)
        if size == larger:
            axes.append(Access(k))
        elif larger % max(size, 1):
            axes.append(None)
        elif mode == b"nearest" and blocks:
            axes.append(Access(k, factor=factor))
        elif mode == b"linear" and halves:
            axes.append(Access(k, 2, factor - 1, 2 * factor, 2 * factor))
        else:
            axes.append(None)
    return [tuple(axes), *(whole(shape) for shape in call.inputs[1:])]
