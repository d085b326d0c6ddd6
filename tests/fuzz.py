"""Mutated model files: whatever is in them, memplan answers or says what is wrong, soon and in little memory."""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

import memplan
from memplan.errors import MemplanError
from memplan.importers.json import graph_from_dict
from memplan.importers.onnx import model_from_bytes
from tests.generate import random_graph
from tests.onnx_models import model, small_cnn, value, weight

CASE_LIMIT_S = 20.0
MEMORY_LIMIT = 2 * 2**30
ODD_NUMBERS = (-1, 0, 1, 2, 3, 7, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
ODD_NAMES = ("", "x", "c1", "r1", "w1", "y", "nowhere", "é\u202e", "a" * 300)


def run(seeds: Iterable[int], workers: int = 2) -> Counter[str]:
    """Try one mutated file per seed; counts of outcomes. AssertionError shows the first that broke."""
    outcomes: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _limit_memory, maxtasksperchild=500) as pool:
        pending = [(seed, pool.apply_async(case, (seed,))) for seed in seeds]
        for seed, result in pending:
            outcome = result.get(timeout=60 + CASE_LIMIT_S)
            assert not outcome.startswith("broke"), (seed, outcome)
            outcomes[outcome] += 1
    return outcomes


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_LIMIT, used + MEMORY_LIMIT))


def case(seed: int) -> str:
    """Load and plan one mutated file; "fine", the kind of refusal, or "broke" with a traceback."""
    rng = random.Random(seed)
    begin = time.monotonic()
    try:
        outcome = _answer(rng, seed)
    except MemplanError as error:
        sound = error.message and error.exit_status in (2, 5)
        outcome = type(error).__name__ if sound else f"broke: {error!r}"
    except BaseException:
        outcome = "broke: " + traceback.format_exc()
    spent = time.monotonic() - begin
    return outcome if spent < CASE_LIMIT_S else f"broke: {spent:.0f} s"


def _answer(rng: random.Random, seed: int) -> str:
    if seed % 3 == 0:
        text = json.dumps(random_graph(rng, rng.randint(1, 8)).to_dict())
        data = json.loads(text)
        if rng.random() < 0.5:
            for _ in range(rng.choice((1, 1, 2, 5))):
                _mutate_json(rng, data)
            graph = graph_from_dict(data, "fuzz")
        else:
            try:
                graph = graph_from_dict(json.loads(_mutate_bytes(rng, text.encode())), "fuzz")
            except (ValueError, RecursionError):  # the reader of files turns these into its own error
                return "not JSON"
    else:
        proto = _seed_model(rng)
        if rng.random() < 0.7:
            for _ in range(rng.choice((1, 1, 2, 4))):
                _mutate_proto(rng, proto)
            blob = proto.SerializeToString()
        else:
            blob = _mutate_bytes(rng, proto.SerializeToString())
        graph = model_from_bytes(blob, "fuzz", ".", {}).graph
    memplan.plan(graph, scratchpad=rng.choice(("MR", "MP", "max")), time_limit_s=2)
    return "fine"


def _mutate_bytes(rng: random.Random, blob: bytes) -> bytes:
    data = bytearray(blob)
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    if kind == 1:
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        at = rng.randrange(len(data))
        data[at:at] = rng.randbytes(rng.randint(1, 9))
    else:
        at = rng.randrange(len(data))
        del data[at : at + rng.randint(1, 40)]
    return bytes(data)


def _mutate_json(rng: random.Random, data: Any) -> None:
    """Replace, drop or copy a random value."""
    places = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(data)
    if not places:
        return
    node, key = rng.choice(places)
    kind = rng.randrange(3)
    if kind == 0:
        del node[key]
    elif kind == 1:
        other, from_key = rng.choice(places)
        node[key] = json.loads(json.dumps(other.get(from_key) if isinstance(other, dict) else None))
    else:
        node[key] = rng.choice((*ODD_NUMBERS, *ODD_NAMES, 0.5, 1e400, None, True, [], {}, [[]]))


def _seed_model(rng: random.Random) -> onnx.ModelProto:
    node = helper.make_node
    kind = rng.randrange(3)
    if kind == 0:
        return small_cnn(rng.choice((1, "N")))
    if kind == 1:
        then = helper.make_graph([node("Add", ["x", "far"], ["t"])], "then", [], [value("t", [2])])
        other = helper.make_graph([node("Mul", ["x", "w"], ["e"])], "else", [], [value("e", [2])])
        nodes = [node("Relu", ["x"], ["far"]), node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
        inputs = [value("x", [2]), value("c", [], TensorProto.BOOL)]
        return model(nodes, inputs, [value("y", [2])], [weight("w", [1.0, 2.0])])
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["dims"], ["w"]),
        node("MatMul", ["x", "w"], ["m"]),
        node("Expand", ["m", "big"], ["e"]),
        node("Reshape", ["e", "flat"], ["y"]),
    ]
    import numpy as np

    weights = [
        weight("dims", np.array([3, 4])),
        weight("big", np.array([2, 5, 4])),
        weight("flat", np.array([-1])),
    ]
    return model(nodes, [value("x", [5, 3])], [value("y", None), value("s", None)], weights)


def _mutate_proto(rng: random.Random, proto: onnx.ModelProto) -> None:
    graph = proto.graph
    kind = rng.randrange(9)
    if kind == 0 and graph.input:
        dims = rng.choice(graph.input).type.tensor_type.shape.dim
        if dims:
            rng.choice(dims).dim_value = rng.choice(ODD_NUMBERS)
    elif kind == 1 and graph.node:
        names = rng.choice(graph.node).input
        if names:
            names[rng.randrange(len(names))] = rng.choice(ODD_NAMES)
    elif kind == 2 and graph.node:
        names = rng.choice(graph.node).output
        if names:
            names[rng.randrange(len(names))] = rng.choice(ODD_NAMES)
    elif kind == 3 and graph.node:
        del graph.node[rng.randrange(len(graph.node))]
    elif kind == 4 and graph.node:
        rng.choice(graph.node).op_type = rng.choice(
            ("Relu", "Conv", "LSTM", "Loop", "Tile", "SplitToSequence", "Nope", "")
        )
    elif kind == 5 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        tensor.data_type = rng.randrange(30)
    elif kind == 6 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(ODD_NUMBERS)
    elif kind == 7 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        if tensor.raw_data:
            tensor.raw_data = _mutate_bytes(rng, tensor.raw_data)
    else:
        for entry in proto.opset_import:
            entry.version = rng.choice((1, 7, 13, 21, 99, 2**40))
