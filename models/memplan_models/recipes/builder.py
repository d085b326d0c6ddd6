"""A small ONNX graph builder: layers append nodes, weights are only declared.

Weights are initializers whose data would lie in `weights.bin`, which is never written: shapes and
sizes are all a plan needs. Constants that decide shapes or value ranges (reshape targets, quantisation
scales, zero points, variances) are small and stored inline. Batch normalisation that follows a
convolution is folded into its bias, as inference compilers do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
IR_VERSION = 10
BATCH = "batch"
Dim = int | str
Extent = int | tuple[int, ...]
"""A size along every spatial axis, or one a axis."""


class Builder:
    """A graph under construction. Values are tensor names; `shape[name]` is known for each.

    `dtype` is what inputs, weights and constants are made of where nothing else is said.
    """

    def __init__(self, name: str, dtype: int = TensorProto.FLOAT) -> None:
        self.name = name
        self.dtype = dtype
        self.shape: dict[str, tuple[Dim, ...]] = {}
        self._dtype: dict[str, int] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[TensorProto] = []
        self._inputs: list[str] = []
        self._counts: dict[str, int] = {}
        self._scope: list[str] = []
        self._offset = 0

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of what is added inside with `name`."""
        self._scope.append(name)
        yield
        self._scope.pop()

    def path(self, name: str) -> str:
        """`name` under the present scopes."""
        return "/".join([*self._scope, name])

    def input(self, name: str, shape: Sequence[Dim], dtype: int | None = None) -> str:
        """A graph input."""
        self._inputs.append(name)
        return self._value(name, shape, dtype or self.dtype)

    def weight(self, name: str, shape: Sequence[int], dtype: int | None = None) -> str:
        """A parameter whose values are not stored."""
        dtype = dtype or self.dtype
        tensor = TensorProto(name=self._unique(name), data_type=dtype, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        length = math.prod(shape) * helper.tensor_dtype_to_np_dtype(dtype).itemsize
        for key, value in (("location", "weights.bin"), ("offset", self._offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self._offset += length
        self._weights.append(tensor)
        return self._value(tensor.name, shape, dtype)

    def const(self, name: str, values: Any, dtype: Any = None) -> str:
        """A small constant, stored."""
        kind = helper.tensor_dtype_to_np_dtype(self.dtype) if dtype is None else dtype
        array: np.ndarray[Any, Any] = np.asarray(values, dtype=kind)
        tensor = numpy_helper.from_array(array, self._unique(name))
        self._weights.append(tensor)
        return self._value(tensor.name, array.shape, tensor.data_type)

    def op(
        self,
        kind: str,
        inputs: Sequence[str],
        shape: Sequence[Dim],
        dtype: int | None = None,
        **attributes: Any,
    ) -> str:
        """Append a node with one output, by default of its first input's dtype; the output."""
        return self._node(kind, inputs, [shape], dtype, attributes)[0]

    def finish(self, **outputs: str) -> onnx.ModelProto:
        """The checked model with these outputs, renamed to their keys."""
        rename = {value: key for key, value in outputs.items()}
        for node in self._nodes:
            node.input[:] = [rename.get(n, n) for n in node.input]
            node.output[:] = [rename.get(n, n) for n in node.output]

        def info(name: str, value: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, self._dtype[value], self.shape[value])

        graph = helper.make_graph(
            self._nodes,
            self.name,
            [info(n, n) for n in self._inputs],
            [info(key, value) for key, value in outputs.items()],
            self._weights,
        )
        model = helper.make_model(
            graph,
            producer_name="memplan",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        return model

    # layers on images, [batch, channels, height, width], and on videos, [batch, channels, time, height, width]

    def conv(
        self,
        x: str,
        channels: int,
        kernel: Extent,
        stride: Extent = 1,
        pad: Extent | None = None,
        *,
        groups: int = 1,
        dilation: int = 1,
        bias: bool = True,
        weights: Sequence[str] = (),
    ) -> str:
        """A convolution, by default padded so that stride 1 keeps the size; the bias holds a folded norm.

        `weights` are those of another convolution, to share them: `conv_weights` makes such.
        """
        batch, cin, *size = self.shape[x]
        rank = len(size)
        kernel, stride = _each(kernel, rank), _each(stride, rank)
        reach = tuple(dilation * (k - 1) + 1 for k in kernel)
        margin = tuple((r - 1) // 2 for r in reach) if pad is None else _each(pad, rank)
        weights = weights or self.conv_weights(int(cin) // groups, channels, kernel, bias)
        return self.op(
            "Conv",
            [x, *weights],
            (batch, channels, *_slide(size, reach, stride, margin)),
            kernel_shape=kernel,
            strides=stride,
            pads=[*margin, *margin],
            group=groups,
            dilations=[dilation] * rank,
        )

    def conv_weights(self, cin: int, channels: int, kernel: Sequence[int], bias: bool = True) -> list[str]:
        """Weight and bias of a convolution from `cin` channels a group."""
        weight = self.weight("conv.weight", (channels, cin, *kernel))
        return [weight, self.weight("conv.bias", (channels,))] if bias else [weight]

    def relu(self, x: str) -> str:
        return self.op("Relu", [x], self.shape[x])

    def relu6(self, x: str) -> str:
        return self.op("Clip", [x, self.const("low", 0), self.const("high", 6)], self.shape[x])

    def sigmoid(self, x: str) -> str:
        return self.op("Sigmoid", [x], self.shape[x])

    def swish(self, x: str) -> str:
        """x · sigmoid(x), as two ops."""
        return self.mul(x, self.sigmoid(x))

    def conv_relu(self, x: str, channels: int, kernel: Extent, stride: Extent = 1, **more: Any) -> str:
        return self.relu(self.conv(x, channels, kernel, stride, **more))

    def norm(self, x: str) -> str:
        """A batch normalisation that no convolution before it can absorb."""
        c = int(self.shape[x][1])
        names = [
            self.weight("norm.scale", (c,)),
            self.weight("norm.bias", (c,)),
            self.weight("norm.mean", (c,)),
            self.const("norm.var", np.ones(c)),
        ]
        return self.op("BatchNormalization", [x, *names], self.shape[x])

    def pool(self, kind: str, x: str, kernel: Extent, stride: Extent, pad: Extent = 0) -> str:
        """ "Max" or "Average" pooling; padding does not count in averages."""
        batch, c, *size = self.shape[x]
        kernel, stride, pad = (_each(value, len(size)) for value in (kernel, stride, pad))
        shape = (batch, c, *_slide(size, kernel, stride, pad))
        return self.op(f"{kind}Pool", [x], shape, kernel_shape=kernel, strides=stride, pads=[*pad, *pad])

    def gap(self, x: str) -> str:
        """Global average pooling to one value a channel."""
        batch, c, *size = self.shape[x]
        return self.op("GlobalAveragePool", [x], (batch, c, *(1 for _ in size)))

    def flatten(self, x: str) -> str:
        batch, *rest = self.shape[x]
        return self.op("Flatten", [x], (batch, math.prod(map(int, rest))))

    def resize(self, x: str, factor: int, mode: str = "nearest") -> str:
        """Upsampling of an image by `factor`."""
        batch, c, h, w = self.shape[x]
        scales = self.const("scales", [1, 1, factor, factor], np.float32)
        shape = (batch, c, int(h) * factor, int(w) * factor)
        return self.op(
            "Resize",
            [x, "", scales],
            shape,
            mode=mode,
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def up_conv(self, x: str, channels: int, kernel: int = 2) -> str:
        """A transposed convolution of stride 2 that doubles the image."""
        batch, c, h, w = self.shape[x]
        weight = self.weight("up.weight", (int(c), channels, kernel, kernel))
        inputs = [x, weight, self.weight("up.bias", (channels,))]
        shape = (batch, channels, 2 * int(h), 2 * int(w))
        pads = {"pads": [0, 0, kernel - 2, kernel - 2]} if kernel > 2 else {}
        return self.op("ConvTranspose", inputs, shape, kernel_shape=[kernel] * 2, strides=[2, 2], **pads)

    def classifier(self, x: str, classes: int) -> str:
        """Global pooling and a fully connected layer."""
        return self.gemm(self.flatten(self.gap(x)), classes)

    # layers on anything

    def add(self, a: str, b: str) -> str:
        """Elementwise sum; the result has the shape of `a`."""
        return self.op("Add", [a, b], self.shape[a])

    def mul(self, a: str, b: str) -> str:
        """Elementwise product; the result has the shape of `a`."""
        return self.op("Mul", [a, b], self.shape[a])

    def concat(self, xs: Sequence[str], axis: int = 1) -> str:
        shape = list(self.shape[xs[0]])
        shape[axis] = sum(int(self.shape[x][axis]) for x in xs)
        return self.op("Concat", list(xs), shape, axis=axis)

    def split(self, x: str, parts: int, axis: int = 1) -> tuple[str, ...]:
        """Equal parts along an axis."""
        shape = list(self.shape[x])
        shape[axis] = int(shape[axis]) // parts
        return self._node("Split", [x], [shape] * parts, None, {"axis": axis, "num_outputs": parts})

    def slice(self, x: str, start: int, axis: int, end: int | None = None) -> str:
        """What lies from `start` on, up to `end`, along an axis."""
        shape = list(self.shape[x])
        end = int(shape[axis]) if end is None else end
        shape[axis] = end - start
        bounds = [self.const(n, [v], np.int64) for n, v in (("start", start), ("end", end), ("axis", axis))]
        return self.op("Slice", [x, *bounds], shape)

    def gemm(self, x: str, n: int) -> str:
        """A fully connected layer on [batch, features]."""
        batch, k = self.shape[x]
        inputs = [x, self.weight("fc.weight", (n, int(k))), self.weight("fc.bias", (n,))]
        return self.op("Gemm", inputs, (batch, n), transB=1)

    def linear(self, x: str, n: int, bias: bool = True) -> str:
        """A fully connected layer on the last axis."""
        *lead, k = self.shape[x]
        y = self.op("MatMul", [x, self.weight("linear.weight", (int(k), n))], (*lead, n))
        return self.add(y, self.weight("linear.bias", (n,))) if bias else y

    def layer_norm(self, x: str) -> str:
        d = int(self.shape[x][-1])
        inputs = [x, self.weight("ln.scale", (d,)), self.weight("ln.bias", (d,))]
        return self.op("LayerNormalization", inputs, self.shape[x], axis=-1)

    def softmax(self, x: str, axis: int = -1) -> str:
        return self.op("Softmax", [x], self.shape[x], axis=axis)

    def gelu(self, x: str) -> str:
        return self.op("Gelu", [x], self.shape[x])

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """The same data with the batch first and then `shape`."""
        target = self.const("shape", [0, *shape], np.int64)
        return self.op("Reshape", [x, target], (self.shape[x][0], *shape))

    def transpose(self, x: str, perm: Sequence[int]) -> str:
        return self.op("Transpose", [x], [self.shape[x][p] for p in perm], perm=list(perm))

    def top_k(self, x: str, k: int) -> tuple[str, str]:
        """The k largest along the last axis and where they are."""
        shape = (*self.shape[x][:-1], k)
        count = self.const("k", [k], np.int64)
        values, places = self._node("TopK", [x, count], [shape, shape], None, {"axis": -1})
        self._dtype[places] = TensorProto.INT64
        return values, places

    def attention(self, x: str, heads: int, mask: str = "", memory: str = "", bias: bool = True) -> str:
        """Multi-head attention of [batch, tokens, width] to itself or to a memory, and its output projection.

        `bias` says whether queries, keys and values have one.
        """
        batch, tokens, width = self.shape[x]
        n, d = int(tokens), int(width) // heads
        m = int(self.shape[memory or x][1])
        query, key, value = (
            self.reshape(self.linear(source, int(width), bias), (steps, heads, d))
            for source, steps in ((x, n), (memory or x, m), (memory or x, m))
        )
        query, value = self.transpose(query, (0, 2, 1, 3)), self.transpose(value, (0, 2, 1, 3))
        scores = self.op("MatMul", [query, self.transpose(key, (0, 2, 3, 1))], (batch, heads, n, m))
        scores = self.mul(scores, self.const("scale", 1 / math.sqrt(d)))
        if mask:
            scores = self.add(scores, mask)
        mixed = self.op("MatMul", [self.softmax(scores), value], (batch, heads, n, d))
        return self.linear(self.reshape(self.transpose(mixed, (0, 2, 1, 3)), (n, int(width))), int(width))

    def embed(self, ids: str, vocabulary: int, width: int) -> str:
        """Rows of an embedding table."""
        table = self.weight("embedding", (vocabulary, width))
        return self.op("Gather", [table, ids], (*self.shape[ids], width))

    def recurrent(self, kind: str, x: str, hidden: int, directions: int = 2) -> str:
        """A "GRU" or "LSTM" over [time, batch, features] to [time, batch, directions · hidden]."""
        time, batch, k = self.shape[x]
        rows = {"GRU": 3, "LSTM": 4}[kind] * hidden
        weights = [
            self.weight("rnn.w", (directions, rows, int(k))),
            self.weight("rnn.r", (directions, rows, hidden)),
            self.weight("rnn.b", (directions, 2 * rows)),
        ]
        y = self.op(
            kind,
            [x, *weights],
            (time, directions, batch, hidden),
            hidden_size=hidden,
            direction="bidirectional" if directions == 2 else "forward",
        )
        y = self.transpose(y, (0, 2, 1, 3))
        target = self.const("shape", [0, 0, directions * hidden], np.int64)
        return self.op("Reshape", [y, target], (time, batch, directions * hidden))

    def _node(
        self,
        kind: str,
        inputs: Sequence[str],
        shapes: Sequence[Sequence[Dim]],
        dtype: int | None,
        attributes: dict[str, Any],
    ) -> tuple[str, ...]:
        name = self._unique(kind.lower())
        dtype = dtype or self._dtype[next(i for i in inputs if i)]
        ends = [f".{i}" for i in range(len(shapes))] if len(shapes) > 1 else [".out"]
        outputs = tuple(
            self._value(name + end, shape, dtype) for end, shape in zip(ends, shapes, strict=True)
        )
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=name, **attributes))
        return outputs

    def _value(self, name: str, shape: Sequence[Dim], dtype: int) -> str:
        self.shape[name] = tuple(shape)
        self._dtype[name] = dtype
        return name

    def _unique(self, name: str) -> str:
        path = self.path(name)
        count = self._counts[path] = self._counts.get(path, 0) + 1
        return path if count == 1 else f"{path}_{count}"


def _each(value: Extent, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else value


def _slide(size: Sequence[Dim], reach: Sequence[int], stride: Sequence[int], pad: Sequence[int]) -> list[int]:
    """Output size of a sliding window along each axis."""
    return [(int(n) + 2 * p - r) // s + 1 for n, r, s, p in zip(size, reach, stride, pad, strict=True)]
