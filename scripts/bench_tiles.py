"""What tiles are worth: peaks of models with and without, whether the bits stay, and how fast onnxruntime is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from marked import put_measured
from onnx import ModelProto

sys.path.insert(0, str(Path(__file__).parents[1]))

import memplan
from memplan import Region
from memplan.onnx.exactness import exact_regions
from memplan.onnx.inputs import seeded_inputs
from memplan.onnx.read import model_from_proto
from memplan.onnx.tiled import tiled_proto
from memplan.onnx.values import to_array
from memplan.runtimes.source import prepare
from tests.tiling.models import attention

ROWS = (Region(("quantizelinear", "stage1/quantizelinear"), (2,), (1,), 2),)
RUNS = 3


class Case(NamedTuple):
    """A model, and its regions where they are not found automatically."""

    load: Callable[[], memplan.Model]
    tiling: tuple[Region, ...] | None = None


def block(rows: int, heads: int, size: int) -> Case:
    """A generated transformer block."""
    return Case(lambda: model_from_proto(attention(rows, heads, size), "block", ".", {}))


def zoo(name: str) -> Case:
    """A model of the zoo."""
    return Case(lambda: memplan.load(name))


CASES = {
    "block of GPT-2, 1,024 tokens": block(1024, 12, 64),
    "block of Whisper-tiny, 1,500 frames": block(1500, 6, 64),
    "block of Stable Diffusion, 64 x 64": block(4096, 8, 40),
    "gpt2_prefill": zoo("gpt2_prefill"),
    "vit_ti16": zoo("vit_ti16"),
    "latent_diffusion_small": zoo("latent_diffusion_small"),
    "whisper_tiny_encoder": zoo("whisper_tiny_encoder"),
    "resnet8_int8": Case(lambda: memplan.load("resnet8_int8"), ROWS),
}


def filled(model: memplan.Model) -> tuple[memplan.Model, dict[str, Any]]:
    """The model with all weights in its source, and inputs for it."""
    source = prepare(model, "ignore", 0)
    proto = ModelProto()
    proto.CopyFrom(model.source)
    del proto.graph.initializer[:]
    for name in sorted(source.initializers):
        v = source.constants[name]
        proto.graph.initializer.add(name=name, data_type=v.elem_type, dims=v.shape, raw_data=v.data.tobytes())
    fed = seeded_inputs(model.graph, source.proto, source.constants, 0)
    return replace(model, source=proto), {name: to_array(value) for name, value in fed.items()}


def measured(proto: ModelProto, fed: dict[str, Any], optimised: bool) -> tuple[list[Any], float]:
    """The outputs of onnxruntime on one thread, and the least processor seconds of some runs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    least = float("inf")
    for _ in range(RUNS):
        begin = time.process_time()
        outputs = session.run(None, fed)
        least = min(least, time.process_time() - begin)
    return outputs, least


def row(name: str, case: Case, limit: float) -> str:
    """A case's row of the table."""
    model = case.load()
    way = {"scratchpad": "max", "objective": "peak", "inplace": True, "time_limit_s": limit}
    whole = memplan.plan(model, **way)
    tiling = case.tiling or exact_regions(model.graph, memplan.tile(model, inplace=True))
    plan = memplan.plan(model, **way, tiling=tiling)
    report = memplan.run(model, plan)
    model, fed = filled(model)
    tiles = tiled_proto(model, tiling, plan.schedule)
    same, times = [report.identical], []
    for optimised in (False, True):
        (expected, seconds), (found, tiled_seconds) = (
            measured(proto, fed, optimised) for proto in (model.source, tiles)
        )
        same.append(all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True)))
        times.append(f"{1000 * seconds:.1f} / {1000 * tiled_seconds:.1f}")
    cells = [
        name,
        f"{len(model.graph.ops):,} → {len(plan.schedule):,}",
        f"{whole.value:,.0f}",
        f"{plan.value:,.0f}",
        str(report.exact),
        *("yes" if one else "no" for one in same),
        f"{len(model.source.graph.node):,} → {len(tiles.graph.node):,}",
        *times,
    ]
    return f"| {' | '.join(cells)} |"


def table(names: list[str], limit: float) -> Iterator[str]:
    """A row a case."""
    yield (
        "| model | ops | whole | tiled | exact | executor | ONNX | ONNX, optimised | nodes | ms | ms, optimised |"
    )
    yield "| --- | ---: | ---: | ---: | --- | --- | --- | --- | ---: | ---: | ---: |"
    for name in names:
        yield row(name, CASES[name], limit)


def main() -> None:
    """Print the table, or write it into its page."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    p.add_argument("--limit", type=float, default=20.0, help="seconds a plan")
    p.add_argument("-o", "--output", type=Path, help="the page whose table is replaced")
    args = p.parse_args()
    lines = []
    for line in table(args.cases, args.limit):
        print(line, file=sys.stderr, flush=True)
        lines.append(line)
    text = "\n".join(lines) + "\n"
    if args.output is None:
        print(text, end="")
        return
    put_measured(args.output, "bench_tiles", text)


if __name__ == "__main__":
    main()
