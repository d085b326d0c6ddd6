"""Sound ONNX models, small and of many kinds, and what can be done to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import memplan
from memplan.onnx.emit import annotated
from memplan.onnx.read import model_from_bytes
from tests.onnx_models import external, model, small_cnn, value, weight

INT64 = TensorProto.INT64
ODD_NUMBERS = (-1, 0, 1, 2, 3, 7, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
ODD_NAMES = ("", "x", "c1", "r1", "w1", "y", "a", "nowhere", "é\u202e", "a" * 300)
ODD_KINDS = """Relu Conv LSTM Loop If Scan Tile Expand Range Split SplitToSequence Concat Reshape Squeeze Gather
Einsum Attention MatMul Gemm TopK Pad Resize Slice ConstantOfShape RandomNormal Constant NonZero Nope""".split()

node = helper.make_node


def seed_model(rng: random.Random) -> onnx.ModelProto:
    """One of the sound models."""
    return rng.choice(SEEDS)()


def _branches() -> onnx.ModelProto:
    then = helper.make_graph([node("Add", ["x", "far"], ["t"])], "then", [], [value("t", [2])])
    other = helper.make_graph([node("Mul", ["x", "w"], ["e"])], "else", [], [value("e", [2])])
    nodes = [node("Relu", ["x"], ["far"]), node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    inputs = [value("x", [2]), value("c", [], TensorProto.BOOL)]
    return model(nodes, inputs, [value("y", [2])], [weight("w", [1.0, 2.0])])


def _shapes() -> onnx.ModelProto:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["dims"], ["w"]),
        node("MatMul", ["x", "w"], ["m"]),
        node("Expand", ["m", "big"], ["e"]),
        node("Reshape", ["e", "flat"], ["y"]),
    ]
    weights = [
        weight("dims", np.array([3, 4])),
        weight("big", np.array([2, 5, 4])),
        weight("flat", np.array([-1])),
    ]
    return model(nodes, [value("x", ["N", 3])], [value("y", None), value("s", None, INT64)], weights)


def _slices() -> onnx.ModelProto:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["d"], axis=0),
        node("Concat", ["d", "minus"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["a"]),
        node("Split", ["a"], ["p", "q"], axis=1, num_outputs=2),
        node("Pad", ["p", "pads"], ["b"]),
        node("Transpose", ["q"], ["c"], perm=[1, 0]),
        node("Tile", ["c", "times"], ["g"]),
        node("Slice", ["g", "zero", "one"], ["y"]),
        node("TopK", ["b", "one"], ["v", "i"]),
    ]
    numbers = {"zero": [0], "one": [1], "minus": [-1], "pads": [0, 1, 0, 1], "times": [2, 3]}
    weights = [weight(name, np.array(numbers[name])) for name in numbers]
    outputs = [value("y", None), value("v", None), value("i", None, INT64)]
    return model(nodes, [value("x", [2, 4, 3])], outputs, weights, opset=18)


def _recurrent() -> onnx.ModelProto:
    nodes = [
        node("LSTM", ["x", "w", "r", "", "", "h0"], ["", "h", ""], hidden_size=3),
        node("Constant", [], ["k"], value=weight("", np.array([1, 3]))),
        node("Reshape", ["h", "k"], ["a"]),
        node("Gemm", ["a", "b"], ["g"], transB=1),
        node("Softmax", ["g"], ["y"], axis=-1),
    ]
    zeros = {"w": (1, 12, 2), "r": (1, 12, 3), "b": (4, 3)}
    weights = [weight(name, np.zeros(shape, np.float32)) for name, shape in zeros.items()]
    return model(nodes, [value("x", [5, "batch", 2]), value("h0", [1, 1, 3])], [value("y", None)], weights)


def _loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Add", ["v", "x"], ["u"]), node("Relu", ["u"], ["row"])],
        "body",
        [value("n", [], INT64), value("go", [], TensorProto.BOOL), value("v", [2])],
        [value("on", [], TensorProto.BOOL), value("u", [2]), value("row", [2])],
    )
    nodes = [node("Loop", ["trips", "", "x"], ["a", "y"], body=body)]
    return model(nodes, [value("x", [2])], [value("y", None)], [weight("trips", np.array(3))])


def _functions() -> onnx.ModelProto:
    proto = model([node("Twice", ["x"], ["y"], domain="mine")], [value("x", [2, 3])], [value("y", [2, 3])])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    once = helper.make_function("mine", "Once", ["a"], ["c"], [node("Relu", ["a"], ["c"])], opsets)
    calls = [node("Once", ["a"], ["b"], domain="mine"), node("Once", ["b"], ["c"], domain="mine")]
    proto.functions.extend([once, helper.make_function("mine", "Twice", ["a"], ["c"], calls, opsets)])
    proto.opset_import.append(opsets[1])
    return proto


def _quantised() -> onnx.ModelProto:
    nodes = [
        node("DequantizeLinear", ["x", "s"], ["a"]),
        node("MatMul", ["a", "w"], ["b"]),
        node("Attention", ["b", "b", "b"], ["c"], q_num_heads=2, kv_num_heads=2),
        node("QuantizeLinear", ["c", "s", "z"], ["y"]),
    ]
    weights = [
        weight("s", np.float32(0.5)),
        weight("z", np.uint8(3)),
        external("w", [4, 6], "weights.bin"),
    ]
    inputs = [value("x", [1, 5, 4], TensorProto.INT4)]
    return model(nodes, inputs, [value("y", None, TensorProto.UINT8)], weights, opset=23)


def _measured() -> onnx.ModelProto:
    nodes = [node("NonZero", ["x"], ["a"]), node("Cast", ["a"], ["y"], to=1)]
    return model(nodes, [value("x", [2, 3])], [value("y", None)])


def _annotated() -> onnx.ModelProto:
    loaded = model_from_bytes(small_cnn().SerializeToString(), "net", ".", {})
    return onnx.ModelProto.FromString(annotated(loaded, memplan.plan(loaded, scratchpad="MR")))


SEEDS: tuple[Callable[[], onnx.ModelProto], ...] = (
    small_cnn, lambda: small_cnn("N"), _branches, _shapes, _slices, _recurrent, _loop, _functions, _quantised,
    _annotated, small_cnn, _branches, _shapes, _slices, _recurrent, _loop, _functions, _quantised, _measured,
)  # fmt: skip


def mutate(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Change one thing, somewhere: in the graph, a body of control flow, or a function."""
    rng.choice(MUTATIONS)(rng, proto, _some_graph(rng, proto))


def _some_graph(rng: random.Random, proto: onnx.ModelProto) -> Any:
    bodies = [a.g for n in proto.graph.node for a in n.attribute if a.HasField("g")]
    return rng.choice([proto.graph, proto.graph, *bodies])


def _nodes(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> Any:
    return rng.choice([graph.node, *(f.node for f in proto.functions)])


def _dim(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    values = [*graph.input, *graph.output, *graph.value_info]
    dims = rng.choice(values).type.tensor_type.shape.dim if values else []
    if dims and rng.random() < 0.7:
        rng.choice(dims).dim_value = rng.choice(ODD_NUMBERS)
    elif dims:
        rng.choice(dims).dim_param = rng.choice(("N", "seq", "", "x:0"))


def _operand(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    nodes = _nodes(rng, proto, graph)
    if nodes:
        chosen = rng.choice(nodes)
        names = rng.choice((chosen.input, chosen.output))
        if names and rng.random() < 0.8:
            others = [name for n in nodes for name in (*n.input, *n.output)]
            names[rng.randrange(len(names))] = rng.choice((*ODD_NAMES, *others))
        elif names:
            del names[rng.randrange(len(names))]


def _drop(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    functions = (proto.functions,) if proto.functions else ()
    items = rng.choice((graph.node, graph.initializer, graph.input, graph.output, *functions))
    if items:
        del items[rng.randrange(len(items))]


def _repeat(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    items = rng.choice((graph.node, graph.initializer, graph.input, graph.output, proto.functions))
    if items:
        items.append(rng.choice(items))


def _kind(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    nodes = _nodes(rng, proto, graph)
    if nodes and rng.random() < 0.8:
        rng.choice(nodes).op_type = rng.choice(("", "Once", "Twice", *ODD_KINDS))
    elif nodes:
        rng.choice(nodes).domain = rng.choice(("com.microsoft", "mine", "nobody", "ai.onnx.ml"))


def _attribute(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    places = [n for n in _nodes(rng, proto, graph) if n.attribute]
    if not places:
        return
    chosen = rng.choice(places)
    at = rng.randrange(len(chosen.attribute))
    name, kind = chosen.attribute[at].name, rng.randrange(6)
    if kind == 0:
        del chosen.attribute[at]
    elif kind == 1 and chosen.attribute[at].ints:
        ints = chosen.attribute[at].ints
        ints[rng.randrange(len(ints))] = rng.choice(ODD_NUMBERS)
    elif kind == 2:
        chosen.attribute[at].name = rng.choice(("axis", "value", "body", "group", "kernel_shape", ""))
    else:
        odd = (rng.choice(ODD_NUMBERS), [rng.choice(ODD_NUMBERS)], 0.5, b"\xff", [b"a"], weight("", [1.0]))
        del chosen.attribute[at]
        chosen.attribute.append(helper.make_attribute(name, rng.choice(odd)))


def _weight(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    if not graph.initializer:
        return
    tensor, kind = rng.choice(graph.initializer), rng.randrange(5)
    if kind == 0:
        tensor.data_type = rng.randrange(30)
    elif kind == 1 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(ODD_NUMBERS)
    elif kind == 2:
        tensor.dims.extend([1] * rng.choice((1, 3, 70)))
    elif kind == 3 and tensor.HasField("raw_data"):
        tensor.raw_data = np.array(rng.choices(ODD_NUMBERS, k=rng.randint(0, 4)), np.int64).tobytes()
    else:
        tensor.data_location = TensorProto.EXTERNAL
        places = ("../up", "/etc/passwd", "here.bin", "", "a/../b", "C:\\w", "\0")
        tensor.external_data.add(key="location", value=rng.choice(places))
        tensor.external_data.add(key="offset", value=rng.choice(("0", "-1", "many", "9" * 30)))


def _opset(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    if proto.opset_import:
        rng.choice(proto.opset_import).version = rng.choice((-1, 1, 7, 13, 21, 99, 2**40))


def _declare(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    names = [name for n in graph.node for name in n.output]
    if names:
        shape = [rng.choice((0, 1, 2, 8, 2**40, "k")) for _ in range(rng.randint(0, 4))]
        graph.value_info.append(value(rng.choice(names), shape, rng.randrange(1, 24)))


def _metadata(rng: random.Random, proto: onnx.ModelProto, graph: Any) -> None:
    props = [p for one in (proto, graph, *graph.node) for p in one.metadata_props]
    if props:
        rng.choice(props).value = rng.choice(("", "0", "1", "-1", "²", "{}", "[]", "9" * 20))


MUTATIONS = (
    _dim,
    _operand,
    _operand,
    _drop,
    _repeat,
    _kind,
    _attribute,
    _attribute,
    _weight,
    _opset,
    _declare,
    _metadata,
)
